import { SpanKind, TraceFlags, type Attributes, type Link, type SpanContext } from "@opentelemetry/api";
import type { OrchestrationWorkItem } from "../../src/pipeline/index.ts";
import {
  continuedIds,
  executionIds,
  instanceTraceId,
  isSpanId,
  parseTraceContext,
  type Execution,
  type ExecutionIds,
} from "../../src/telemetry/identity.ts";
import { addOrigin } from "../../src/telemetry/origins.ts";
import * as semconv from "../../src/telemetry/semconv.ts";
import { withState, type Decision, type SpanToDecide } from "./decisions.ts";
import { isSampled, kept, keyOf, keyOfTask, recentWork, type ContinuedExecution } from "./recent-work.ts";
import type { IdentityTracer } from "./tracer.ts";

/** The trace of an execution that continues another one (telemetry.md S4). */
export type ContinueAsNew = "new-trace" | "same-trace";

/**
 * The identity of an execution's span, with the sampler's decision (I5). It is derived from the history, so it is the same
 * in each episode, on any worker (telemetry.md I1).
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
    // Without an execution ID and a start time, fall back to the instance ID. The clock is not deterministic, and later
    // episodes have values that the first one lacks.
    const execution: Execution = { instanceId, execution: executionId ?? history.startedAt?.toISOString() ?? "" };
    const started = startedBy(item);
    const isOwnTrace = started !== undefined && continueAsNew === "new-trace" && continues(item, execution);
    this.#item = item;
    this.#continued = isOwnTrace ? started : undefined;
    this.parent = isOwnTrace ? undefined : started;
    const ids = isOwnTrace ? continuedIds(execution) : executionIds(execution);
    this.traceId = this.parent?.traceId ?? (sharesInstanceTrace(item) ? instanceTraceId(instanceId) : ids.traceId);
    const decision = persistedDecision(persisted, ids, this, tracer) ?? tracer.decide(this);
    const foreign = isOwnTrace ? undefined : foreignSpanId(persisted, ids, started);
    const spanId =
      (foreign !== undefined && !history.rewound ? foreign : undefined) ??
      (isSampled(decision) ? ids.spanId : ids.unsampledSpanId);
    const { traceId } = this;
    const { traceFlags, traceState } = decision;
    this.span =
      traceState === undefined ? { traceId, spanId, traceFlags } : { traceId, spanId, traceFlags, traceState };
    // A span that is not sampled is never emitted, so it has no child spans (S1).
    if (
      item.traceContext?.startsTrace === true ||
      (this.parent !== undefined && isSampled(this.span) && !isSampled(this.parent))
    )
      this.parent = undefined;
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
    addOrigin(this.#item, attributes);
    return attributes;
  }

  /** @param otherwise the start of this episode, for a history without timestamps. */
  startedAt(otherwise: Date): Date {
    const { history, persistedSpan } = this.#item;
    return history.startedAt ?? (history.replayedEvents === 0 ? undefined : persistedSpan?.startTime) ?? otherwise;
  }

  /** What the process remembers if the orchestration continues as new. */
  remembered(): ContinuedExecution {
    const { traceContext } = this.#item;
    return { span: kept(this.span), traceparent: traceContext && keyOf(traceContext.traceparent) };
  }

  /** Has no later execution of the instance link to the caller of this one. */
  forgetCaller(): void {
    const { parent } = this.#item;
    if (parent !== undefined) recentWork().scheduled.delete(keyOfTask(parent.instanceId, parent.taskId));
  }

  /** Links to what came before it, where that is known: what it continues, and what called it in a trace of its own. */
  linksBack(): Link[] {
    return [previousOf(this.#item, this.span), this.#continued, callerOf(this.#item)].flatMap((context) =>
      context === undefined || !isSampled(context) ? [] : { context },
    );
  }
}

// What started the execution. A backend that makes spans itself makes one of the execution, for which it runs this one.
function startedBy({ backendSpanId, traceContext }: OrchestrationWorkItem): SpanContext | undefined {
  const started = parseTraceContext(traceContext);
  return started !== undefined && backendSpanId !== undefined && isSpanId(backendSpanId)
    ? { ...started, spanId: backendSpanId }
    : started;
}

// Whether the activities know no more than the instance ID, so that the trace follows from that alone. What continues as
// new has a trace of its own all the same (S4): its history tells, on any worker.
function sharesInstanceTrace({ activityExecutionId, history }: OrchestrationWorkItem): boolean {
  return activityExecutionId === undefined && history.startPrecedesFirstEpisode;
}

// The first episode's persisted span is that of the previous execution, from a backend that keeps it at continue-as-new.
function persistedSpanId({ history, persistedSpan }: OrchestrationWorkItem): string | undefined {
  return history.replayedEvents === 0 ? undefined : persistedSpan?.spanId;
}

// The span of the sub-orchestration in its parent, where the backend dropped its context and this process ran the parent.
// It can't be the parent's span here: another process does not know it, and a later episode may run there (I1).
function callerOf({ parent, traceContext }: OrchestrationWorkItem): SpanContext | undefined {
  if (parent === undefined || traceContext !== undefined) return undefined;
  return recentWork().scheduled.get(keyOfTask(parent.instanceId, parent.taskId));
}

// The span of the previous execution, if this process ran that.
function previousOf({ instanceId, traceContext }: OrchestrationWorkItem, own: SpanContext): SpanContext | undefined {
  const previous = recentWork().continued.get(keyOf(instanceId));
  // An execution that another caller started is no continuation, and a repeated execution does not continue itself.
  const isOther =
    traceContext !== undefined &&
    traceContext.startsTrace !== true &&
    keyOf(traceContext.traceparent) !== previous?.traceparent;
  return isOther || previous?.span.spanId === own.spanId ? undefined : previous?.span;
}

// Whether the backend kept the trace context at continue-as-new, so that it is that of an earlier execution. The first
// episode then has the persisted span of the previous execution. It persists a span ID that is derived in another way, by
// which all later episodes recognize this. The memory of this process must not matter: another process has none (I1).
function continues({ persistedSpan, history }: OrchestrationWorkItem, execution: Execution): boolean {
  if (persistedSpan === undefined) return false;
  if (history.replayedEvents === 0) return true;
  // Usually it is the span ID of an execution that continues none.
  return (
    !isOneOf(executionIds(execution), persistedSpan.spanId) && isOneOf(continuedIds(execution), persistedSpan.spanId)
  );
}

function isOneOf(ids: ExecutionIds, spanId: string): boolean {
  return spanId === ids.spanId || spanId === ids.unsampledSpanId;
}

// The decision of an earlier episode (I10), which the persisted span ID contains.
function persistedDecision(
  spanId: string | undefined,
  ids: ExecutionIds,
  { traceId, parent }: TracedExecution,
  tracer: IdentityTracer,
): Decision | undefined {
  if (spanId === undefined || !isOneOf(ids, spanId)) return undefined;
  const traceFlags = spanId === ids.spanId ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return { traceFlags, ...withState(tracer.traceStateOf(traceId) ?? parent?.traceState) };
}

// The span ID of another SDK's worker that ran the first episode. Without a provider, the SDK's own worker persists zeros or
// the parent's ID.
function foreignSpanId(
  spanId: string | undefined,
  ids: ExecutionIds,
  started: SpanContext | undefined,
): string | undefined {
  const isForeign = spanId !== undefined && !isOneOf(ids, spanId) && isSpanId(spanId) && spanId !== started?.spanId;
  return isForeign ? spanId : undefined;
}
