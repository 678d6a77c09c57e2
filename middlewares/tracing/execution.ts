import { SpanKind, TraceFlags, type Attributes, type Link, type SpanContext } from "@opentelemetry/api";
import type { OrchestrationWorkItem } from "../../src/pipeline/index.ts";
import { continuedIds, executionIds, isSpanId, parseTraceContext, type Execution, type ExecutionIds } from "../../src/telemetry/identity.ts";
import * as semconv from "../../src/telemetry/semconv.ts";
import { withState, type Decision, type SpanToDecide } from "./decisions.ts";
import { isSampled, kept, keyOf, recentWork, type ContinuedExecution } from "./recent-work.ts";
import type { IdentityTracer } from "./tracer.ts";

/** In which trace an execution is that continues another (telemetry.md S4). */
export type ContinueAsNew = "new-trace" | "same-trace";

/**
 * Who an execution's span is: the same in each of its episodes, on any worker, as it follows from its history
 * (telemetry.md I1), with the sampler's decision (I5).
 */
export class TracedExecution implements SpanToDecide {
  readonly #item: OrchestrationWorkItem;
  // The trace context that the execution started with, if that belongs to the execution before this one.
  readonly #continued: SpanContext | undefined;
  readonly kind: SpanKind = SpanKind.SERVER;
  readonly traceId: string;
  readonly parent: SpanContext | undefined;
  readonly span: SpanContext;

  constructor(item: OrchestrationWorkItem, tracer: IdentityTracer, continueAsNew: ContinueAsNew) {
    const { executionId, history, instanceId } = item;
    const persisted = persistedSpanId(item);
    // A clock is not deterministic, nor is what the first episode lacks: with neither of these, the instance ID has to do.
    const execution: Execution = { instanceId, execution: executionId ?? history.startedAt?.toISOString() ?? "" };
    const started = parseTraceContext(item.traceContext);
    const isOwnTrace = started !== undefined && continueAsNew === "new-trace" && continues(item, execution);
    this.#item = item;
    this.#continued = isOwnTrace ? started : undefined;
    this.parent = isOwnTrace ? undefined : started;
    const ids = isOwnTrace ? continuedIds(execution) : executionIds(execution);
    this.traceId = this.parent?.traceId ?? ids.traceId;
    const decision = persistedDecision(persisted, ids, this, tracer) ?? tracer.decide(this);
    const foreign = isOwnTrace ? undefined : foreignSpanId(persisted, ids, started);
    const spanId = (foreign !== undefined && !history.rewound ? foreign : undefined) ?? (isSampled(decision) ? ids.spanId : ids.unsampledSpanId);
    const { traceId } = this;
    const { traceFlags, traceState } = decision;
    this.span = traceState === undefined ? { traceId, spanId, traceFlags } : { traceId, spanId, traceFlags, traceState };
    // A span that is not sampled is never emitted, and is nobody's parent (S1).
    if (item.traceContext?.startsTrace === true || (this.parent !== undefined && isSampled(this.span) && !isSampled(this.parent))) this.parent = undefined;
  }

  get name(): string {
    return semconv.spanName(semconv.TYPE_ORCHESTRATION, this.#item.name, this.#item.version);
  }

  get attributes(): Attributes {
    const { executionId, instanceId, name, version } = this.#item;
    const attributes: Attributes = {
      [semconv.ATTR_TYPE]: semconv.TYPE_ORCHESTRATION,
      [semconv.ATTR_TASK_NAME]: name,
      [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
    };
    if (version) attributes[semconv.ATTR_TASK_VERSION] = version;
    if (executionId) attributes[semconv.ATTR_TASK_EXECUTION_ID] = executionId;
    return attributes;
  }

  /** @param otherwise the start of this episode, where the history has no times. */
  startedAt(otherwise: Date): Date {
    const { history, persistedSpan } = this.#item;
    return history.startedAt ?? (history.replayedEvents === 0 ? undefined : persistedSpan?.startTime) ?? otherwise;
  }

  /** What is remembered of it if it continues as new. */
  remembered(): ContinuedExecution {
    const { traceContext } = this.#item;
    return { span: kept(this.span), traceparent: traceContext && keyOf(traceContext.traceparent) };
  }

  /** Links to what came before it, where that is known. */
  linksBack(): Link[] {
    return [previousOf(this.#item, this.span), this.#continued].flatMap((context) => (context === undefined || !isSampled(context) ? [] : { context }));
  }
}

// What comes with the first episode is of the execution before, from a backend that carries that over.
function persistedSpanId({ history, persistedSpan }: OrchestrationWorkItem): string | undefined {
  return history.replayedEvents === 0 ? undefined : persistedSpan?.spanId;
}

// The span of the execution before, where this process ran that.
function previousOf({ instanceId, traceContext }: OrchestrationWorkItem, own: SpanContext): SpanContext | undefined {
  const previous = recentWork().continued.get(keyOf(instanceId));
  // What another caller started is no continuation; and what is done twice does not continue itself.
  const isOther = traceContext !== undefined && traceContext.startsTrace !== true && keyOf(traceContext.traceparent) !== previous?.traceparent;
  return isOther || previous?.span.spanId === own.spanId ? undefined : previous?.span;
}

// Whether a backend carried over the trace context, so that it started another execution than this one. The first
// episode tells by the span that is carried over with it, and leaves with the backend the span ID that follows from
// that, by which all later ones tell. What this process remembers must not matter here: another one would decide
// otherwise (I1).
function continues({ persistedSpan, history }: OrchestrationWorkItem, execution: Execution): boolean {
  return persistedSpan !== undefined && (history.replayedEvents === 0 || isOneOf(continuedIds(execution), persistedSpan.spanId));
}

function isOneOf(ids: ExecutionIds, spanId: string): boolean {
  return spanId === ids.spanId || spanId === ids.unsampledSpanId;
}

// The decision that an earlier episode made and left with the backend (I10): its span ID tells.
function persistedDecision(spanId: string | undefined, ids: ExecutionIds, { traceId, parent }: TracedExecution, tracer: IdentityTracer): Decision | undefined {
  if (spanId === undefined || !isOneOf(ids, spanId)) return undefined;
  const traceFlags = spanId === ids.spanId ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return { traceFlags, ...withState(tracer.traceStateOf(traceId) ?? parent?.traceState) };
}

// The span ID of another SDK's worker that ran the first episode. The SDK's own worker leaves zeros or the parent's ID
// with the backend where no provider is registered.
function foreignSpanId(spanId: string | undefined, ids: ExecutionIds, started: SpanContext | undefined): string | undefined {
  const isForeign = spanId !== undefined && !isOneOf(ids, spanId) && isSpanId(spanId) && spanId !== started?.spanId;
  return isForeign ? spanId : undefined;
}
