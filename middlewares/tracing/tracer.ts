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

/** What this package's tracer can do that the API's cannot: say who a span is, and whether it is sampled. */
export interface IdentityTracer {
  /** The sampling decision for the trace that a span begins, or has come into, without starting the span (telemetry.md I10). */
  decide(span: SpanToDecide): Decision;
  /** The trace state that the sampler gave a trace, where it was asked in this process. */
  traceStateOf(traceId: string): SpanContext["traceState"];
  /**
   * The context in which user code runs under the span `identity`. Where the trace is left out, and the sampler may let
   * through single spans of it all the same, tracing is suppressed there: a trace is whole or absent (telemetry.md I10).
   */
  contextForCode(context: Context, identity: SpanContext): Context;
  /** Whether spans with this decision are made for nothing: nobody records them. */
  drops(identity: SpanContext): boolean;
  /**
   * Starts the span that `identity` names, under the span in `parent`, sampled as `identity` says. A span that the
   * provider can't start comes back as one that records nothing.
   */
  start(name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span;
}

/**
 * The tracer of the provider that is registered now; `undefined` where there is none, or none that is fit: then the spans
 * of the Durable Task SDK stay on.
 *
 * @param report called once for each provider that is unfit, with what is lost and the way out.
 */
export function currentTracer(report: Report): IdentityTracer | undefined {
  const provider = currentProvider();
  if (provider === undefined) return undefined;
  // A provider gives the same tracer each time; asking it anew at each work item would be most of this package's cost.
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

/** Has a provider that is unfit not reported by `report`. */
export function silenceUnfitProviders(report: Report): void {
  silent.add(report);
}

// The delegate of a provider that nobody has set.
const noop = new ProxyTracerProvider().getDelegate();
const tracers = new WeakMap<TracerProvider, ProviderTracer>();

function currentProvider(): TracerProvider | undefined {
  let provider: Partial<Proxied> = trace.getTracerProvider();
  // By shape: it may be another copy's proxy, and a proxy of a proxy.
  for (let depth = 0; depth < 10; depth += 1) {
    const delegate = delegateOf(provider);
    if (delegate === undefined) break;
    provider = delegate;
  }
  return isProvider(provider) && !isNoop(provider) ? provider : undefined;
}

/** A provider that hands on to another, as the API's own does. */
interface Proxied extends TracerProvider {
  getDelegate(): Partial<Proxied> | undefined;
}

function delegateOf(provider: Partial<Proxied>): Partial<Proxied> | undefined {
  return readIn(() => (typeof provider.getDelegate === "function" ? (provider.getDelegate() ?? {}) : undefined));
}

function isProvider(provider: unknown): provider is TracerProvider {
  // One that throws when it is looked at is one, and is reported.
  return typeof provider === "object" && provider !== null && readIn(() => "getTracer" in provider) !== false;
}

/** What `read` finds in a provider, a tracer or a span of another make; `undefined` where that throws. */
function readIn<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

// That of another copy of the API is another object, of a class with the same name where no minifier was at work.
function isNoop(provider: TracerProvider): boolean {
  return provider === noop || nameOf(provider) === "NoopTracerProvider";
}

function nameOf(provider: TracerProvider): string {
  const name = readIn((): unknown => (provider as { readonly constructor?: { readonly name?: unknown } }).constructor?.name);
  return typeof name === "string" && name !== "" ? name : "Object";
}

function tracerOf(provider: TracerProvider): Tracer | undefined {
  return readIn(() => {
    const tracer: unknown = resultNow(provider.getTracer(SCOPE_NAME, version), "getTracer");
    return typeof tracer === "object" && tracer !== null && "startSpan" in tracer && typeof tracer.startSpan === "function" ? (tracer as Tracer) : undefined;
  });
}

interface IdGenerator {
  generateTraceId(): string;
  generateSpanId(): string;
}

/** A tracer of the OpenTelemetry SDK (1.x to 3.x): it keeps there what it asks for IDs and decisions. */
interface SdkTracer extends Tracer {
  readonly _sampler: Sampler;
  readonly _idGenerator: IdGenerator;
}

function isSdkTracer(tracer: Tracer): tracer is SdkTracer {
  const hasBoth = (): boolean => {
    const { _sampler: sampler, _idGenerator: generator } = tracer as Partial<SdkTracer>;
    return typeof sampler?.shouldSample === "function" && typeof generator?.generateSpanId === "function" && typeof generator.generateTraceId === "function";
  };
  return readIn(hasBoth) ?? false;
}

/** How the spans of a provider get their identity (telemetry.md I6), the best way first. */
type Way =
  // As the answers that a tracer of the SDK gets.
  | "answered"
  // From DurableIdGenerator in a provider that wraps the SDK's.
  | "chosen"
  // Written to the span after its start, where a provider wraps the SDK's and has another generator.
  | "written";

class ProviderTracer implements IdentityTracer {
  readonly #provider: string;
  readonly #decisions: Decisions;
  #tracer: Tracer | undefined;
  #way: Way = "answered";
  /** Why its spans can't be given an identity, if they can't. */
  unfit: string | undefined;
  // What the SDK's tracer is answered while it starts a span.
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
        // It has IDs of its own, so it must not be exported.
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
    // The trace ID, which samplers look at, must be right from the start: one that is written later comes from a parent.
    const above = isWritten && isRoot ? contextOf({ ...identity, isRemote: true }) : parent;
    const { result } = withChosenIds(isRoot ? { traceId, spanId } : { spanId }, () => tracer.startSpan(name, options, above));
    const span = checkedSpan(result);
    if (isWritten && span.isRecording()) write(span, spanId, isRoot);
    return span;
  }

  // Finds the way in which spans get their identity, with spans that are not sampled; what is in the way if there is none.
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
    const parent = contextOf({ traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: TraceFlags.NONE, isRemote: true });
    const identity: SpanContext = { traceId: "1".repeat(32), spanId: "1".repeat(16), traceFlags: TraceFlags.NONE };
    try {
      const span = this.#started("durable-telemetry", {}, identity, parent);
      if (this.#way === "written") write(span, identity.spanId, false);
      // It is left open: a provider that records what is not sampled would export it once it ends.
      return hasIdentity(span, identity) ? undefined : obstacleIn(span, identity);
    } catch (error) {
      return `it can't start spans (${messageOf(error)})`;
    }
  }

  /**
   * Starts a span while the SDK's tracer has answers of ours in place of its sampler and its ID generator: so a span has its
   * durable identity from the start, whatever generator the provider has (telemetry.md I6), and the user's sampler is not
   * asked about spans whose trace is decided (I10). The tracer is of this package's scope; nobody else has it, and it is as
   * it was afterwards.
   */
  #startAnswered(tracer: Writable<SdkTracer>, name: string, options: SpanOptions, identity: SpanContext, parent: Context): Span {
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

// The SDK's spans hand out their own span context; others, a copy or one that can't be written.
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

/** Ends a span at `time`, now by default. One of another make may return a promise: nobody waits for that. */
export function endSpan(span: Pick<Span, "end">, time?: TimeInput): void {
  const returned: unknown = span.end(time);
  if (returned !== undefined) isolated.start("a span was lost", () => returned);
}

/** Has exporters leave out a span that has started, where its provider allows it. */
export function unsample(span: Span): void {
  Reflect.set(span.spanContext(), "traceFlags", TraceFlags.NONE);
}
