import crypto from "node:crypto";
import { SpanKind, TraceFlags, type Attributes, type Span, type SpanContext } from "@opentelemetry/api";
import type { Acknowledgement, ActivityResponse, ActivityWorkItem, WorkItemHooks } from "../../src/pipeline/index.ts";
import { runIn } from "../../src/telemetry/active-context.ts";
import { ActivitySpan } from "../../src/telemetry/handles.ts";
import {
  activitySpanId,
  bitsOf,
  contextOf,
  executionIds,
  instanceTraceId,
  parseTraceContext,
  taskSpanId,
  unboundActivitySpanId,
} from "../../src/telemetry/identity.ts";
import { addOrigin } from "../../src/telemetry/origins.ts";
import * as semconv from "../../src/telemetry/semconv.ts";
import { SpanOnlyContext } from "../../src/telemetry/span-only-context.ts";
import type { SpanToDecide } from "./decisions.ts";
import { addExceptionEvent, setFailure } from "./failure.ts";
import { isolated } from "./faults.ts";
import { LiveContext } from "./live-context.ts";
import { keyOfTask, recentWork } from "./recent-work.ts";
import { unsample, type IdentityTracer } from "./tracer.ts";

/**
 * Traces one activity: its SERVER span lasts from here to the response, whether or not there is such an activity. Its
 * parent is the CLIENT span that the orchestration emits when the activity's completion reaches it.
 */
export class TracedActivity implements WorkItemHooks, SpanToDecide {
  readonly #item: ActivityWorkItem;
  readonly #span: Span;
  // The span's own `end`.
  readonly #end: Span["end"];
  readonly #live: LiveContext;
  // A reading of the clock that the SDK measures a live span with.
  #endedAt: number | undefined;
  #hasEnded = false;
  // Whether the request tells neither the execution nor the span that the activity belongs to.
  readonly #isUnbound: boolean;
  readonly kind: SpanKind = SpanKind.SERVER;
  readonly traceId: string;
  readonly parent: undefined;

  constructor(item: ActivityWorkItem, tracer: IdentityTracer) {
    this.#item = item;
    // The span that scheduled the activity: from the request, or derived from the execution (I8). Without either, this process
    // may remember it; otherwise the parent is unknown, and the span has none.
    const carried = parseTraceContext(item.traceContext);
    this.#isUnbound = carried === undefined && item.executionId === undefined;
    const sent =
      carried ?? (this.#isUnbound ? recentWork().scheduled.get(keyOfTask(item.instanceId, item.taskId)) : undefined);
    const client = sent ?? derivedClient(item);
    this.traceId = client.traceId;
    // The sampling decision of the span that scheduled the activity (I10).
    const { traceFlags: flags, traceState } = sent ?? tracer.decide(this);
    const traceFlags = flags & TraceFlags.SAMPLED;
    const spanId = this.#isUnbound ? unboundSpanId(item, client) : activitySpanId(client.spanId);
    const own: SpanContext =
      traceState === undefined
        ? { traceId: client.traceId, spanId, traceFlags }
        : { traceId: client.traceId, spanId, traceFlags, traceState };
    const parent = sent ?? (item.executionId === undefined ? undefined : { ...client, traceFlags });
    this.#span = tracer.start(
      this.name,
      { kind: SpanKind.SERVER, attributes: this.attributes },
      own,
      contextOf(parent),
    );
    this.#end = keptOpen(this.#span);
    this.#live = new LiveContext(tracer.contextForCode(new SpanOnlyContext(this.#span), own), item);
    item.takeTraceContexts();
    item.features.set(ActivitySpan, this.#span);
  }

  get name(): string {
    return semconv.spanName(semconv.TYPE_ACTIVITY, this.#item.name, this.#item.version);
  }

  get attributes(): Attributes {
    const { executionId, instanceId, name, taskId, version } = this.#item;
    const attributes: Attributes = {
      [semconv.ATTR_TYPE]: semconv.TYPE_ACTIVITY,
      [semconv.ATTR_TASK_NAME]: name,
      [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
      [semconv.ATTR_TASK_ID]: taskId,
    };
    if (version) attributes[semconv.ATTR_TASK_VERSION] = version;
    if (executionId) attributes[semconv.ATTR_TASK_EXECUTION_ID] = executionId;
    addOrigin(this.#item, attributes);
    return attributes;
  }

  scope<T>(execute: () => T): T {
    return runIn(this.#live, execute);
  }

  onResponse({ outcome }: ActivityResponse): void {
    const endedAt = performance.now();
    this.#endedAt = endedAt;
    if (outcome.status !== "failed") return;
    isolated.run("a span was lost", () => {
      setFailure(this.#span, outcome.failure);
      addExceptionEvent(this.#span, outcome.failure, endedAt);
    });
  }

  onAcknowledged(acknowledgement: Acknowledgement): void {
    // If rejected, another worker has the work item and emits its span: this span ends, but is not exported.
    const isRejected = acknowledgement === "rejected";
    if (this.#isUnbound && !isRejected) this.#forget();
    this.#endSpan(isRejected);
  }

  // A response that could not be sent at all, for example because the connection is closed, is never acknowledged.
  onEnd(): void {
    if (!this.#hasEnded) this.#endSpan(true);
  }

  // A later execution of the instance may have an activity with the same task ID.
  #forget(): void {
    const { instanceId, taskId } = this.#item;
    recentWork().scheduled.delete(keyOfTask(instanceId, taskId));
    recentWork().ended.set(this.#span.spanContext().spanId, true);
  }

  #endSpan(isUnsampled: boolean): void {
    this.#hasEnded = true;
    try {
      if (isUnsampled) unsample(this.#span);
      const returned: unknown = this.#end.call(this.#span, this.#endedAt);
      // Another implementation's may return a promise.
      if (returned !== undefined) isolated.start("a span was lost", () => returned);
    } catch (error) {
      isolated.fault("a span was lost", error);
    }
  }
}

/**
 * Makes `span` end with its activity only: processors can reach a span while it is open. A processor may end all open spans
 * of a trace when the first one ends (@vercel/otel 2.1.3 does), and the activities of an orchestration share a trace.
 *
 * @returns the span's own `end`.
 */
function keptOpen(span: Span): Span["end"] {
  const end: unknown = Reflect.get(span, "end");
  Reflect.set(span, "end", ignore);
  return end as Span["end"];
}

function ignore(): void {}

// While the trace is the instance's, a run that follows the crash of another one has the same ID on any worker (S1). But an
// execution that continues another one may have an activity that looks the same.
function unboundSpanId({ instanceId, name, rawInput, taskId }: ActivityWorkItem, client: SpanContext): string {
  if (client.traceId !== instanceTraceId(instanceId)) return activitySpanId(client.spanId);
  const derived = unboundActivitySpanId(instanceId, taskId, name, rawInput);
  return recentWork().ended.get(derived) === undefined ? derived : crypto.randomBytes(8).toString("hex");
}

function derivedClient({ instanceId, executionId = "", taskId }: ActivityWorkItem): SpanContext {
  const { traceId, spanId } = executionIds({ instanceId, execution: executionId });
  return { traceId, spanId: taskSpanId(bitsOf(spanId), taskId), traceFlags: TraceFlags.NONE, isRemote: true };
}
