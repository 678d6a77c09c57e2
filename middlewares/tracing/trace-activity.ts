import { ROOT_CONTEXT, SpanKind, trace, TraceFlags, type Attributes, type Context, type Span, type SpanContext, type TimeInput } from "@opentelemetry/api";
import { createMiddlewareFeature, type ActivityWorkItem, type ActivityWorkItemFacts, type Delivery } from "../../src/pipeline/index.ts";
import { runIn } from "../../src/telemetry/active-context.ts";
import { withState } from "./decisions.ts";
import { addExceptionEvent, setFailure } from "./failure.ts";
import { isolated } from "./faults.ts";
import { ActivitySpan } from "./handles.ts";
import { activitySpanId, contextOf, executionIds, parseTraceContext, taskSpanId } from "./identity.ts";
import { suppressed, type Scope } from "./live-context.ts";
import * as semconv from "./semconv.ts";
import { endSpan, unsample, type IdentityTracer } from "./tracer.ts";

/**
 * Traces one activity: its SERVER span lasts from here to the response, whether or not there is such an activity. Its
 * parent is the CLIENT span that the orchestration emits when the activity's completion reaches it.
 *
 * @returns the scope to run the work item in.
 */
export function traceActivity(item: ActivityWorkItem, tracer: IdentityTracer): Scope {
  const { facts } = item;
  const attributes: Attributes = {
    [semconv.ATTR_TYPE]: semconv.TYPE_ACTIVITY,
    [semconv.ATTR_TASK_NAME]: facts.name,
    [semconv.ATTR_TASK_INSTANCE_ID]: facts.instanceId,
    [semconv.ATTR_TASK_ID]: facts.taskId,
    ...(facts.version ? { [semconv.ATTR_TASK_VERSION]: facts.version } : {}),
    ...(facts.executionId ? { [semconv.ATTR_TASK_EXECUTION_ID]: facts.executionId } : {}),
  };
  const name = semconv.spanName(semconv.TYPE_ACTIVITY, facts.name, facts.version);
  const { own, parent } = identify(facts, name, attributes, tracer);
  const span = tracer.start(name, { kind: SpanKind.SERVER, attributes }, own, contextOf(parent));
  const endKept = keptOpen(span);

  facts.takeTraceContexts();
  facts.features.set(ActivitySpan, span);
  facts.features.set(CodeContext, tracer.contextForCode(trace.setSpan(ROOT_CONTEXT, span), own));
  // A reading of the clock that the SDK measures a live span with.
  let end: number | undefined;
  item.onResponse(({ outcome }) =>
    isolated.run("a span was lost", () => {
      end = performance.now();
      if (outcome.status !== "failed") return;
      setFailure(span, outcome.failure);
      addExceptionEvent(span, outcome.failure, end);
    }),
  );
  const finish = (delivery: Delivery): void => {
    isolated.run("a span was lost", () => {
      // The work item is another worker's by now, whose span it will be: this one ends, but is not exported.
      if (delivery === "rejected") unsample(span);
      endKept(end);
    });
  };
  item.onDelivered(finish);
  // A response that could not be sent at all, as the worker's connection is closed say, is never acknowledged.
  const leaveNoneOpen = (): void => {
    isolated.run("a span was lost", () => {
      if (span.isRecording()) finish("rejected");
    });
  };
  return (run) => {
    // Silences the SDK's own span; the activity itself runs in its span's context.
    const result = runIn(suppressed(ROOT_CONTEXT), run);
    void Promise.resolve(result).then(leaveNoneOpen, leaveNoneOpen);
    return result;
  };
}

/**
 * Has `span` end with its activity alone: the span is in the hands of others while it is open. A processor may end the
 * open spans of a trace with the first that ends (that of @vercel/otel 2.1.3 does), and an activity has that one in
 * common with all others of its orchestration.
 *
 * @returns what ends the span.
 */
function keptOpen(span: Span): (time: TimeInput | undefined) => void {
  const end = span.end.bind(span);
  Reflect.set(span, "end", () => undefined);
  return (time) => endSpan({ end }, time);
}

// The context in which the code of an activity runs: its span is the active one (telemetry.md S5).
const CodeContext = createMiddlewareFeature<Context>("the context of an activity's code");

/** Runs the code of an activity in its span's context (telemetry.md S5). */
export function runInActivitySpan<T>(features: ActivityWorkItemFacts["features"], run: () => T): T {
  const context = features.get(CodeContext);
  return context === undefined ? run() : runIn(context, run);
}

// The span that scheduled the activity: what the request carried, else what follows from the execution (I8).
// With neither, the parent can't be known and is left out rather than guessed.
function identify(
  facts: ActivityWorkItemFacts,
  name: string,
  attributes: Attributes,
  tracer: IdentityTracer,
): { readonly own: SpanContext; readonly parent: SpanContext | undefined } {
  const carried = parseTraceContext(facts.traceContext);
  const client = carried ?? derivedClient(facts);
  // What scheduled the activity has decided (I10).
  const decision = carried ?? tracer.decide({ traceId: client.traceId, name, kind: SpanKind.SERVER, attributes, parent: undefined });
  const traceFlags = decision.traceFlags & TraceFlags.SAMPLED;
  const own: SpanContext = { traceId: client.traceId, spanId: activitySpanId(client), traceFlags, ...withState(decision.traceState) };
  const parent = carried ?? (facts.executionId === undefined ? undefined : { ...client, traceFlags: own.traceFlags });
  return { own, parent };
}

function derivedClient({ instanceId, executionId = "", taskId }: ActivityWorkItemFacts): SpanContext {
  const { traceId, spanId } = executionIds({ instanceId, execution: executionId });
  return { traceId, spanId: taskSpanId(spanId, taskId), traceFlags: TraceFlags.NONE, isRemote: true };
}
