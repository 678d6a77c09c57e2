import {
  diag,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SamplingDecision,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanContext,
  type SpanKind,
  type SpanOptions,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import { version } from "../../src/version.ts";
import { withChosenIds } from "./chosen-ids.ts";
import { TRACER_NAME } from "./semconv.ts";

/** What this package's tracer can do that the API's cannot: say who a span is. */
export interface IdentityTracer {
  /**
   * Whether the user's sampler wants the span, asked without starting one: so the decision is made before the span is,
   * and again in every episode, to the same end (telemetry.md I5).
   */
  decide(name: string, kind: SpanKind, attributes: Attributes, identity: SpanContext, parent: Context): SpanContext;
  /** Starts the span that `identity` names, under the span in `parent`. */
  start(name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span;
}

// The delegate of a provider that nobody has set.
const noop = new ProxyTracerProvider().getDelegate();

/** The tracer of the provider that is registered now, or `undefined` if none is: then tracing has nothing to do. */
export function currentTracer(): IdentityTracer | undefined {
  let provider = trace.getTracerProvider();
  // By shape: it may be another copy's proxy, and a proxy of a proxy.
  while (isProxy(provider)) provider = provider.getDelegate();
  return provider === noop ? undefined : identityTracer(provider);
}

function isProxy(provider: TracerProvider): provider is TracerProvider & { getDelegate(): TracerProvider } {
  return "getDelegate" in provider && typeof provider.getDelegate === "function";
}

// A provider gives the same tracer each time; asking it anew at each work item would be most of this package's cost.
const tracers = new WeakMap<TracerProvider, IdentityTracer>();

function identityTracer(provider: TracerProvider): IdentityTracer {
  let tracer = tracers.get(provider);
  if (tracer === undefined) {
    tracer = new SdkTracer(provider.getTracer(TRACER_NAME, version));
    tracers.set(provider, tracer);
  }
  return tracer;
}

interface Sampler {
  shouldSample(
    context: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): { readonly decision: SamplingDecision; readonly traceState?: SpanContext["traceState"] };
}

class SdkTracer implements IdentityTracer {
  readonly #tracer: Tracer;
  readonly #sampler: Sampler | undefined;
  readonly #hasGenerator: boolean;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
    // The API has no way to ask a sampler; the SDK's tracers (2.x and 3.x) keep it here.
    const { _sampler: sampler } = tracer as { _sampler?: Partial<Sampler> };
    this.#hasGenerator = takesChosenIds(tracer);
    this.#sampler = typeof sampler?.shouldSample === "function" ? (sampler as Sampler) : undefined;
  }

  decide(name: string, kind: SpanKind, attributes: Attributes, identity: SpanContext, parent: Context): SpanContext {
    const above = trace.getSpanContext(parent);
    // Without a sampler to ask, what came with the work item decides, and what starts here is wanted.
    if (this.#sampler === undefined) return { ...identity, traceFlags: above?.traceFlags ?? TraceFlags.SAMPLED };
    const answer = this.#sampler.shouldSample(parent, identity.traceId, name, kind, { ...attributes }, []);
    const sampled = answer.decision === SamplingDecision.RECORD_AND_SAMPLED;
    const traceState = answer.traceState ?? above?.traceState;
    return {
      ...identity,
      traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      ...(traceState === undefined ? {} : { traceState }),
    };
  }

  start(name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span {
    const isRoot = parent === ROOT_CONTEXT;
    if (this.#hasGenerator) {
      const { traceId, spanId } = identity;
      const ids = isRoot ? { traceId, spanId } : { spanId };
      return withChosenIds(ids, () => this.#tracer.startSpan(name, options, parent)).result;
    }
    // A provider without DurableIdGenerator (I6). The SDK's spans hand out their own span context, so the span ID can
    // be written there. The trace ID, which samplers look at, must be right from the start: it comes from the parent,
    // and a root has one for as long as it is being made.
    const maker = isRoot ? contextOf({ ...identity, isRemote: true }) : parent;
    const span: Span & { parentSpanContext?: SpanContext | undefined } = this.#tracer.startSpan(name, options, maker);
    if (!span.isRecording()) return span;
    const own: { spanId: string } = span.spanContext();
    own.spanId = identity.spanId;
    if (isRoot) span.parentSpanContext = undefined;
    sayWithoutGenerator(span.spanContext().spanId === identity.spanId);
    return span;
  }
}

// Whether the provider's ID generator takes IDs from us: it is asked once, for an ID that nobody uses.
function takesChosenIds(tracer: Tracer): boolean {
  const { _idGenerator: generator } = tracer as { _idGenerator?: { generateSpanId?: () => string } };
  return withChosenIds({ spanId: "1".repeat(16) }, () => generator?.generateSpanId?.()).taken;
}

let said = false;

function sayWithoutGenerator(whole: boolean): void {
  if (said) return;
  said = true;
  const remedy = "pass idGenerator: new DurableIdGenerator() (from durable-telemetry/otlp) to your NodeSDK or TracerProvider";
  if (whole) {
    diag.info(`durable-telemetry: the TracerProvider has no DurableIdGenerator; span IDs are written after the start. To have them right from the start, ${remedy}.`);
  } else {
    diag.warn(`durable-telemetry: spans can't be given their durable identity, so traces will have gaps; ${remedy}.`);
  }
}

/** The context whose span is `parent`; the root context if there is none. */
export function contextOf(parent: SpanContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}
