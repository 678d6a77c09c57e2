import { SpanKind, TraceFlags, type Attributes, type Link, type SpanContext } from "@opentelemetry/api";
import type { OrchestrationWorkItemFacts } from "../../src/pipeline/index.ts";
import { withState, type Decision } from "./decisions.ts";
import { continuedIds, executionIds, isSpanId, parseTraceContext, type Execution, type ExecutionIds } from "./identity.ts";
import { isSampled, kept, keyOf, recentWork, type ContinuedExecution } from "./recent-work.ts";
import * as semconv from "./semconv.ts";
import type { IdentityTracer } from "./tracer.ts";

/** In which trace an execution is that continues another (telemetry.md S4). */
export type ContinueAsNew = "new-trace" | "same-trace";

/**
 * Who an execution's span is: the same in each of its episodes, on any worker, as it follows from durable facts
 * (telemetry.md I1), with the sampler's decision (I5).
 */
export interface TracedExecution {
  readonly name: string;
  readonly startedAt: Date;
  readonly attributes: Attributes;
  readonly parent: SpanContext | undefined;
  readonly span: SpanContext;
  /** What is remembered of it if it continues as new. */
  remembered(): ContinuedExecution;
  /** Links to what came before it, where that is known. */
  linksBack(): Link[];
}

export function identify(facts: OrchestrationWorkItemFacts, tracer: IdentityTracer, continueAsNew: ContinueAsNew): TracedExecution {
  const { carriedSpan, executionId, history, instanceId, name, version } = facts;
  // What comes with the first episode is of the execution before, from a backend that carries that over.
  const handedBack = history.replayedEvents === 0 ? undefined : carriedSpan;
  // A clock is no durable fact, nor is what the first episode has not: with neither of these, the instance ID has to do.
  const execution: Execution = { instanceId, execution: executionId ?? history.startedAt?.toISOString() ?? "" };
  const started = parseTraceContext(facts.traceContext);
  const isOwnTrace = started !== undefined && continueAsNew === "new-trace" && continues(facts, execution);
  const parent = isOwnTrace ? undefined : started;
  const attributes: Attributes = {
    [semconv.ATTR_TYPE]: semconv.TYPE_ORCHESTRATION,
    [semconv.ATTR_TASK_NAME]: name,
    [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
    ...(version ? { [semconv.ATTR_TASK_VERSION]: version } : {}),
    ...(executionId ? { [semconv.ATTR_TASK_EXECUTION_ID]: executionId } : {}),
  };
  const spanName = semconv.spanName(semconv.TYPE_ORCHESTRATION, name, version);
  const ids = isOwnTrace ? continuedIds(execution) : executionIds(execution);
  const traceId = parent?.traceId ?? ids.traceId;
  const decision =
    persistedDecision(handedBack?.spanId, ids, () => tracer.traceStateOf(traceId) ?? parent?.traceState) ??
    tracer.decide({ traceId, name: spanName, kind: SpanKind.SERVER, attributes, parent });
  const derived = isSampled(decision) ? ids.spanId : ids.unsampledSpanId;
  const persisted = isOwnTrace || history.rewound ? undefined : foreignSpanId(handedBack?.spanId, ids, started);
  const span: SpanContext = { ...decision, traceId, spanId: persisted ?? derived };
  return {
    name: spanName,
    startedAt: history.startedAt ?? handedBack?.startTime ?? new Date(),
    attributes,
    // A span that is not sampled is never emitted, and is nobody's parent (S1).
    parent: parent !== undefined && isSampled(span) && !isSampled(parent) ? undefined : parent,
    span,
    remembered: () => ({ span: kept(span), traceparent: facts.traceContext && keyOf(facts.traceContext.traceparent) }),
    linksBack: () => [previousOf(facts, span), isOwnTrace ? started : undefined].flatMap((context) => (context === undefined || !isSampled(context) ? [] : { context })),
  };
}

// The span of the execution before, where this process ran that.
function previousOf({ instanceId, traceContext }: OrchestrationWorkItemFacts, own: SpanContext): SpanContext | undefined {
  const previous = recentWork().continued.get(keyOf(instanceId));
  // What another caller started is no continuation; and what is done twice does not continue itself.
  const isOther = traceContext !== undefined && keyOf(traceContext.traceparent) !== previous?.traceparent;
  return isOther || previous?.span.spanId === own.spanId ? undefined : previous?.span;
}

// Whether a backend carried over the trace context, so that it started another execution than this one. The first
// episode tells by the span that is carried over with it, and leaves with the backend the span ID that follows from
// that, by which all later ones tell. What this process remembers must not matter here: another one would decide
// otherwise (I1).
function continues({ carriedSpan, history }: OrchestrationWorkItemFacts, execution: Execution): boolean {
  return carriedSpan !== undefined && (history.replayedEvents === 0 || isOneOf(continuedIds(execution), carriedSpan.spanId));
}

function isOneOf(ids: ExecutionIds, spanId: string): boolean {
  return spanId === ids.spanId || spanId === ids.unsampledSpanId;
}

// The decision that an earlier episode made and left with the backend (I10): its span ID tells.
function persistedDecision(spanId: string | undefined, ids: ExecutionIds, traceState: () => SpanContext["traceState"]): Decision | undefined {
  if (spanId === undefined || !isOneOf(ids, spanId)) return undefined;
  return { traceFlags: spanId === ids.spanId ? TraceFlags.SAMPLED : TraceFlags.NONE, ...withState(traceState()) };
}

// The span ID of another SDK's worker that ran the first episode. The SDK's own worker leaves zeros or the parent's ID
// with the backend where no provider is registered.
function foreignSpanId(spanId: string | undefined, ids: ExecutionIds, started: SpanContext | undefined): string | undefined {
  const isForeign = spanId !== undefined && !isOneOf(ids, spanId) && isSpanId(spanId) && spanId !== started?.spanId;
  return isForeign ? spanId : undefined;
}
