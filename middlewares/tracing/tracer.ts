import {
  diag,
  INVALID_SPAN_CONTEXT,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SamplingDecision,
  trace,
  TraceFlags,
  type Context,
  type Span,
  type SpanContext,
  type SpanOptions,
  type TimeInput,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import { messageOf, resultNow } from "../../src/telemetry/isolate.ts";
import { withChosenIds } from "../../src/telemetry/chosen-ids.ts";
import { contextOf } from "../../src/telemetry/identity.ts";
import { SCOPE_NAME } from "../../src/telemetry/semconv.ts";
import { version } from "../../src/version.ts";
import { recordedString } from "../../src/telemetry/recorded-string.ts";
import { spanValueLimit } from "../../src/telemetry/value-limits.ts";
import { cutAttributes } from "./attributes.ts";
import { Decisions, type Answer, type Decision, type Sampler, type SpanToDecide } from "./decisions.ts";
import { isolated } from "./faults.ts";
import { suppressed } from "./live-context.ts";

/** What this package's tracer does beyond the API's: it sets a span's identity and sampling decision. */
export interface IdentityTracer {
  /** The sampling decision for the trace that a span starts or continues, without starting the span (telemetry.md I10). */
  decide(span: SpanToDecide): Decision;
  /** The trace state that the sampler set for a trace, if it was asked in this process. */
  traceStateOf(traceId: string): SpanContext["traceState"];
  /**
   * The context in which user code runs under the span `identity`. If the trace is not sampled, but the sampler could sample
   * single spans of it, tracing is suppressed there: a trace is whole or absent (telemetry.md I10).
   */
  contextForCode(context: Context, identity: SpanContext): Context;
  /** Whether spans with this decision need not be created, because nobody records them. */
  drops(identity: SpanContext): boolean;
  /**
   * Starts the span with the identity and sampling decision of `identity`, as a child of the span in `parent`. If the
   * provider can't start it, returns a span that records nothing.
   */
  start(name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span;
}

/**
 * The tracer of the registered provider; `undefined` if there is none, or if it can't give spans their identity: then the
 * Durable Task SDK's own spans stay on.
 *
 * @param report called once for each provider that is unfit, with what is lost and the way out.
 */
export function currentTracer(report: Report): IdentityTracer | undefined {
  const provider = currentProvider();
  if (provider === undefined) return undefined;
  // A provider returns the same tracer each time. Asking it for each work item would be most of this package's cost.
  let tracer = tracers.get(provider);
  if (tracer === undefined) {
    tracer = new ProviderTracer(provider);
    tracers.set(provider, tracer);
  }
  const { unfit } = tracer;
  if (unfit === undefined) return tracer;
  if (!tracer.isReported && !silent.has(report)) {
    tracer.isReported = true;
    report(
      `the tracer provider (${nameOf(provider)}) can't give spans their durable identity: ${unfit}. ` +
        "So there is no whole trace of an orchestration: this package makes no spans here, and those of the Durable Task SDK stay on. " +
        "Metrics and logs are not affected. For whole traces, register a tracer provider of the OpenTelemetry SDK, with setupOtlp() or NodeSDK.",
    );
  }
  return undefined;
}

/** Writes a warning to the log of one worker; each worker has its own. */
type Report = (message: string) => void;

// By the function that writes to a worker's log.
const silent = new WeakSet<Report>();

/** Turns off the warning about an unsuitable provider for `report`. */
export function silenceUnfitProviders(report: Report): void {
  silent.add(report);
}

// The delegate of a proxy whose provider was never set.
const noop = new ProxyTracerProvider().getDelegate();
const tracers = new WeakMap<TracerProvider, ProviderTracer>();

function currentProvider(): TracerProvider | undefined {
  let provider: Partial<Proxied> = trace.getTracerProvider();
  // By its members: it may be a proxy of another copy of the API, or a proxy of a proxy.
  for (let depth = 0; depth < 10; depth += 1) {
    const delegate = delegateOf(provider);
    if (delegate === undefined) break;
    provider = delegate;
  }
  return isProvider(provider) && !isNoop(provider) ? provider : undefined;
}

/** A provider that delegates to another one, as the API's own does. */
interface Proxied extends TracerProvider {
  getDelegate(): Partial<Proxied> | undefined;
}

function delegateOf(provider: Partial<Proxied>): Partial<Proxied> | undefined {
  return readIn(() => (typeof provider.getDelegate === "function" ? (provider.getDelegate() ?? {}) : undefined));
}

function isProvider(provider: unknown): provider is TracerProvider {
  // A provider whose members throw counts as a provider, and is reported.
  return typeof provider === "object" && provider !== null && readIn(() => "getTracer" in provider) !== false;
}

/** The result of `read` on another implementation's provider, tracer or span; `undefined` if it throws. */
function readIn<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

// Another copy of the API has another object, of a class with the same name unless code is minified.
function isNoop(provider: TracerProvider): boolean {
  return provider === noop || nameOf(provider) === "NoopTracerProvider";
}

function nameOf(provider: TracerProvider): string {
  const name = readIn(
    (): unknown => (provider as { readonly constructor?: { readonly name?: unknown } }).constructor?.name,
  );
  return typeof name === "string" && name !== "" ? name : "Object";
}

function tracerOf(provider: TracerProvider): Tracer | undefined {
  return readIn(() => {
    const tracer: unknown = resultNow(provider.getTracer(SCOPE_NAME, version), "getTracer");
    return typeof tracer === "object" &&
      tracer !== null &&
      "startSpan" in tracer &&
      typeof tracer.startSpan === "function"
      ? (tracer as Tracer)
      : undefined;
  });
}

interface IdGenerator {
  generateTraceId(): string;
  generateSpanId(): string;
}

/** A tracer of the OpenTelemetry SDK (1.x to 3.x), with its ID generator and its sampler. */
interface SdkTracer extends Tracer {
  readonly _sampler: Sampler;
  readonly _idGenerator: IdGenerator;
}

function isSdkTracer(tracer: Tracer): tracer is SdkTracer {
  const hasBoth = (): boolean => {
    const { _sampler: sampler, _idGenerator: generator } = tracer as Partial<SdkTracer>;
    return (
      typeof sampler?.shouldSample === "function" &&
      typeof generator?.generateSpanId === "function" &&
      typeof generator.generateTraceId === "function"
    );
  };
  return readIn(hasBoth) ?? false;
}

/** How the spans of a provider get their identity (telemetry.md I6), in order of preference. */
type Way =
  // The SDK's tracer gets the IDs and the decision from us.
  | "answered"
  // DurableIdGenerator, in a provider that wraps the SDK's.
  | "chosen"
  // Written to the span after its start, in a provider that wraps the SDK's and has another generator.
  | "written";

class ProviderTracer implements IdentityTracer {
  readonly #provider: string;
  readonly #decisions: Decisions;
  #tracer: Tracer | undefined;
  #way: Way = "answered";
  /** Why its spans can't be given an identity, if they can't. */
  unfit: string | undefined;
  // The SDK's tracer uses these while it starts a span.
  #identity: SpanContext = INVALID_SPAN_CONTEXT;
  readonly #answers: Pick<SdkTracer, "_sampler" | "_idGenerator"> = {
    _sampler: { shouldSample: (): Answer => this.#decisions.answerFor(this.#identity) },
    _idGenerator: { generateTraceId: () => this.#identity.traceId, generateSpanId: () => this.#identity.spanId },
  };
  isReported = false;

  constructor(provider: TracerProvider) {
    this.#provider = nameOf(provider);
    const tracer = tracerOf(provider);
    const sampler = tracer !== undefined && isSdkTracer(tracer) ? tracer._sampler : undefined;
    this.#decisions = new Decisions(sampler);
    this.unfit = tracer === undefined ? "it gives no tracer" : this.#findWay(tracer);
  }

  decide(span: SpanToDecide): Decision {
    return this.#decisions.decide(span);
  }

  traceStateOf(traceId: string): SpanContext["traceState"] {
    return this.#decisions.traceStateOf(traceId);
  }

  contextForCode(context: Context, identity: SpanContext): Context {
    return this.#decisions.letsThroughStrays(identity) ? suppressed(context) : context;
  }

  drops(identity: SpanContext): boolean {
    return this.#way === "answered" && this.#decisions.answerFor(identity).decision === SamplingDecision.NOT_RECORD;
  }

  start(name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span {
    if (this.drops(identity)) return trace.wrapSpanContext(identity);
    if (options.attributes !== undefined) options.attributes = cutAttributes(options.attributes);
    try {
      const span = this.#started(recordedString(name, spanValueLimit()), options, identity, parent);
      if (hasIdentity(span, identity)) return span;
      if (span.isRecording()) {
        this.unfit = obstacleIn(span, identity);
        // It has other IDs, so it must not be exported.
        unsample(span);
        endSpan(span);
      }
    } catch (error) {
      isolated.fault("a span was lost", error);
    }
    return trace.wrapSpanContext({ ...identity, traceFlags: TraceFlags.NONE });
  }

  #started(name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span {
    const tracer = this.#tracer;
    if (tracer === undefined) throw new TypeError("there is no tracer");
    if (this.#way === "answered") return this.#startAnswered(tracer as SdkTracer, name, options, identity, parent);
    const { traceId, spanId } = identity;
    const isRoot = parent === ROOT_CONTEXT;
    const isWritten = this.#way === "written";
    // Samplers read the trace ID, so it must be right from the start. If it is written later, it comes from a parent.
    const above = isWritten && isRoot ? contextOf({ ...identity, isRemote: true }) : parent;
    const { result } = withChosenIds(isRoot ? { traceId, spanId } : { spanId }, () =>
      tracer.startSpan(name, options, above),
    );
    const span = checkedSpan(result);
    if (isWritten && span.isRecording()) write(span, spanId, isRoot);
    return span;
  }

  // Finds out how spans get their identity, with spans that are not sampled. Without a way, returns the reason.
  #findWay(tracer: Tracer): string | undefined {
    this.#tracer = tracer;
    if (isSdkTracer(tracer) && this.#probe() === undefined) return undefined;
    this.#way = "chosen";
    if (this.#probe() === undefined) return undefined;
    this.#way = "written";
    const obstacle = this.#probe();
    if (obstacle === undefined) {
      diag.info(
        `durable-telemetry: the tracer provider (${this.#provider}) wraps another and has no DurableIdGenerator, so span IDs are written after the start. ` +
          "To have them right from the start, pass idGenerator: new DurableIdGenerator() (from durable-telemetry/otlp) to the provider that it wraps.",
      );
    }
    return obstacle;
  }

  #probe(): string | undefined {
    const parent = contextOf({
      traceId: "1".repeat(32),
      spanId: "2".repeat(16),
      traceFlags: TraceFlags.NONE,
      isRemote: true,
    });
    const identity: SpanContext = { traceId: "1".repeat(32), spanId: "1".repeat(16), traceFlags: TraceFlags.NONE };
    try {
      const span = this.#started("durable-telemetry", {}, identity, parent);
      if (this.#way === "written") write(span, identity.spanId, false);
      // It is not ended: a provider that records unsampled spans would export it then.
      return hasIdentity(span, identity) ? undefined : obstacleIn(span, identity);
    } catch (error) {
      return `it can't start spans (${messageOf(error)})`;
    }
  }

  /**
   * Starts a span while our sampler and ID generator replace those of the SDK's tracer. So a span has its durable identity
   * from the start, whatever generator the provider has (telemetry.md I6), and the user's sampler is not asked about traces
   * that are decided (I10). The tracer belongs to this package's scope, so nobody else uses it, and it is restored afterwards.
   */
  #startAnswered(
    tracer: Writable<SdkTracer>,
    name: string,
    options: SpanOptions,
    identity: SpanContext,
    parent: Context,
  ): Span {
    const { _sampler: sampler, _idGenerator: generator } = tracer;
    tracer._sampler = this.#answers._sampler;
    tracer._idGenerator = this.#answers._idGenerator;
    this.#identity = identity;
    try {
      return checkedSpan(tracer.startSpan(name, options, parent));
    } finally {
      tracer._sampler = sampler;
      tracer._idGenerator = generator;
      this.#identity = INVALID_SPAN_CONTEXT;
    }
  }
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

function checkedSpan(started: unknown): Span {
  if (isSpan(started)) return started;
  throw new TypeError(`startSpan returned ${typeof resultNow<unknown>(started, "startSpan")}, which is no span`);
}

// The SDK's spans return their own span context, others a copy or a read-only one.
function write(span: Span, spanId: string, isRoot: boolean): void {
  Reflect.set(span.spanContext(), "spanId", spanId);
  if (isRoot) Reflect.set(span, "parentSpanContext", undefined);
}

// Why a span can't have the identity.
function obstacleIn(span: Span, { traceId }: SpanContext): string {
  return span.spanContext().traceId === traceId ? "it takes no span IDs" : "it takes no trace IDs of 128 bits";
}

function hasIdentity(span: Span, { traceId, spanId }: SpanContext): boolean {
  const own = span.spanContext();
  return own.spanId === spanId && own.traceId === traceId;
}

function isSpan(value: unknown): value is Span {
  if (typeof value !== "object" || value === null) return false;
  const span = value as Partial<Span>;
  return (
    typeof span.spanContext === "function" &&
    typeof span.isRecording === "function" &&
    typeof span.end === "function" &&
    typeof span.setAttribute === "function" &&
    typeof span.setAttributes === "function" &&
    typeof span.addEvent === "function" &&
    typeof span.setStatus === "function"
  );
}

/** Ends a span at `time`, now by default. Another implementation's may return a promise, which nobody waits for. */
export function endSpan(span: Pick<Span, "end">, time?: TimeInput): void {
  const returned: unknown = span.end(time);
  if (returned !== undefined) isolated.start("a span was lost", () => returned);
}

/** Keeps a started span from being exported, if its provider allows it. */
export function unsample(span: Span): void {
  Reflect.set(span.spanContext(), "traceFlags", TraceFlags.NONE);
}
