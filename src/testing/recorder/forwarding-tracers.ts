import {
  ProxyTracerProvider,
  type Context,
  type Span,
  type SpanOptions,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import { currentRecording } from "./recording.ts";

/**
 * The provider that is registered hands everything on to the recording of the moment. Tracers are kept by those who took
 * them (the SDK keeps the first tracer that it gets, and user code has them in constants), so without this only the first
 * recorder of a process would see their spans.
 */
const noTracers = new ProxyTracerProvider().getDelegate();

function tracersNow(): TracerProvider {
  return currentRecording()?.tracers ?? noTracers;
}

class ForwardingTracer implements Tracer {
  readonly #scope: Parameters<TracerProvider["getTracer"]>;

  constructor(scope: Parameters<TracerProvider["getTracer"]>) {
    this.#scope = scope;
  }

  startSpan(...args: Parameters<Tracer["startSpan"]>): Span {
    return tracersNow()
      .getTracer(...this.#scope)
      .startSpan(...args);
  }

  startActiveSpan<F extends (span: Span) => unknown>(
    ...args: [name: string, options: F | SpanOptions, context?: F | Context, fn?: F]
  ): ReturnType<F> {
    const tracer: { startActiveSpan(...all: unknown[]): unknown } = tracersNow().getTracer(...this.#scope);
    // By its overloads a tracer can't be called with what may be any of them.
    return tracer.startActiveSpan(...args) as ReturnType<F>;
  }
}

/** Has `getDelegate`, as the API's own proxy has: tracing looks through it for the recording's provider. */
export const forwardingTracers: TracerProvider & { getDelegate(): TracerProvider } = {
  getDelegate: tracersNow,
  getTracer: (...scope) => new ForwardingTracer(scope),
};
