import { SpanKind, type Attributes, type Context, type SpanContext } from "@opentelemetry/api";
import type {
  CreatedTimer,
  EventWait,
  OrchestrationWorkItem,
  ScheduledTask,
  SentMessage,
  TaskFailure,
} from "../../src/pipeline/index.ts";
import {
  bitsOf,
  episodeSpanId,
  parseTraceContext,
  startedSpanId,
  taskSpanId,
  type SpanIdBits,
  waitSpanId,
} from "../../src/telemetry/identity.ts";
import { addOrigin } from "../../src/telemetry/origins.ts";
import * as semconv from "../../src/telemetry/semconv.ts";
import { setFailure, setOrchestrationFailure } from "./failure.ts";
import { isolated } from "./faults.ts";
import { endSpan, type IdentityTracer } from "./tracer.ts";

/**
 * Emits the spans of one execution's tasks: each starts and ends here, because its times are known by then (telemetry.md I3).
 * A span that can't be created affects no other span (K1).
 */
export class TaskSpans {
  readonly #item: OrchestrationWorkItem;
  readonly #tracer: IdentityTracer;
  readonly #orchestration: SpanContext;
  readonly #bits: SpanIdBits;
  readonly #inside: Context;

  /** @param inside the context whose span is the orchestration's. */
  constructor(item: OrchestrationWorkItem, tracer: IdentityTracer, orchestration: SpanContext, inside: Context) {
    this.#item = item;
    this.#tracer = tracer;
    this.#orchestration = orchestration;
    this.#bits = bitsOf(orchestration.spanId);
    this.#inside = inside;
  }

  /**
   * The identity of a task's span: that of the trace context sent with it, if that is known (I2). A trace context sent
   * before a rewind names a span of the failed run, which emitted it when it ended.
   */
  identityOf(task: Pick<ScheduledTask, "taskId"> & Partial<Pick<ScheduledTask, "traceContext">>): SpanContext {
    const derived = taskSpanId(this.#bits, task.taskId);
    const sent = task.traceContext === undefined ? undefined : parseTraceContext(task.traceContext)?.spanId;
    // A backend that makes spans itself may write that of the execution into all its tasks.
    const isOfTask = sent !== undefined && sent !== derived && sent !== this.#item.backendSpanId;
    return this.#identity(isOfTask && !this.#item.history.rewound ? sent : derived);
  }

  emitTask(task: ScheduledTask, end: Date, failure: TaskFailure | undefined): void {
    const attributes: Attributes = {
      [semconv.ATTR_TASK_ID]: task.taskId,
      [semconv.ATTR_TASK_INSTANCE_ID]: this.#item.instanceId,
    };
    const { name, kind } = describe(task, attributes);
    const attempt = this.#item.waits?.attempt(task.taskId);
    if (attempt !== undefined) attributes[semconv.ATTR_TASK_ATTEMPT] = attempt;
    this.#emit(
      this.identityOf(task),
      name,
      kind,
      task.scheduledAt ?? end,
      end,
      attributes,
      failure,
      task.type === "sub_orchestration",
    );
  }

  /** @param outcome how it ended, if it did not fire in time. */
  emitTimer({ taskId, createdAt, dueAt }: CreatedTimer, end: Date, outcome?: string): void {
    const { instanceId, name } = this.#item;
    const attributes: Attributes = {
      [semconv.ATTR_TYPE]: semconv.TYPE_TIMER,
      [semconv.ATTR_TASK_NAME]: name,
      [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
      [semconv.ATTR_TASK_ID]: taskId,
    };
    if (dueAt !== undefined) attributes[semconv.ATTR_FIRE_AT] = dueAt.toISOString();
    if (outcome !== undefined) attributes[semconv.ATTR_OUTCOME] = outcome;
    this.#emit(
      this.identityOf({ taskId }),
      semconv.timerSpanName(name),
      SpanKind.INTERNAL,
      createdAt ?? end,
      end,
      attributes,
    );
  }

  emitWait({ name, beganAt, ordinal }: EventWait, end: Date, outcome: string): void {
    const { instanceId } = this.#item;
    const identity = this.#identity(waitSpanId(this.#bits, ordinal));
    this.#emit(identity, semconv.spanName(semconv.TYPE_WAIT, name, undefined), SpanKind.INTERNAL, beganAt ?? end, end, {
      [semconv.ATTR_TYPE]: semconv.TYPE_WAIT,
      [semconv.ATTR_TASK_NAME]: this.#item.name,
      [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
      [semconv.ATTR_EXTERNAL_EVENT_NAME]: name,
      [semconv.ATTR_OUTCOME]: outcome,
    });
  }

  emitSent({ name, target, taskId, type }: SentMessage, at: Date): void {
    const { executionId, instanceId } = this.#item;
    const attributes: Attributes = { [semconv.ATTR_TASK_ID]: taskId, [semconv.ATTR_TASK_INSTANCE_ID]: instanceId };
    if (executionId) attributes[semconv.ATTR_TASK_EXECUTION_ID] = executionId;
    if (type === "event") {
      attributes[semconv.ATTR_TYPE] = semconv.TYPE_EVENT;
      attributes[semconv.ATTR_TASK_NAME] = name;
      attributes[semconv.ATTR_EVENT_TARGET_INSTANCE_ID] = target;
    } else {
      attributes[semconv.ATTR_TYPE] = semconv.TYPE_SIGNAL_ENTITY;
      attributes[semconv.ATTR_ENTITY_OPERATION] = name;
      attributes[semconv.ATTR_ENTITY_INSTANCE_ID] = target;
    }
    const spanType = type === "event" ? semconv.TYPE_ORCHESTRATION_EVENT : semconv.TYPE_SIGNAL_ENTITY;
    this.#emit(
      this.identityOf({ taskId }),
      semconv.spanName(spanType, name, undefined),
      SpanKind.PRODUCER,
      at,
      at,
      attributes,
    );
  }

  /** @param added attributes that the orchestration's code has set so far. */
  emitStarted(start: Date, end: Date, added: Attributes | undefined): void {
    const { executionId, instanceId, name, version } = this.#item;
    const attributes: Attributes = {
      ...added,
      [semconv.ATTR_TYPE]: semconv.TYPE_STARTED,
      [semconv.ATTR_TASK_NAME]: name,
      [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
    };
    if (version) attributes[semconv.ATTR_TASK_VERSION] = version;
    if (executionId) attributes[semconv.ATTR_TASK_EXECUTION_ID] = executionId;
    addOrigin(this.#item, attributes);
    const identity = this.#identity(startedSpanId(this.#bits));
    const spanName = semconv.spanName(semconv.TYPE_STARTED, name, version);
    this.#emit(identity, spanName, SpanKind.INTERNAL, start, end, attributes);
  }

  emitEpisode(start: Date, end: Date, actions: number): void {
    const { history, instanceId, name, version } = this.#item;
    const identity = this.#identity(episodeSpanId(this.#bits, history.replayedEvents));
    this.#emit(identity, semconv.spanName(semconv.TYPE_EPISODE, name, version), SpanKind.INTERNAL, start, end, {
      [semconv.ATTR_TYPE]: semconv.TYPE_EPISODE,
      [semconv.ATTR_TASK_NAME]: name,
      [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
      [semconv.ATTR_HISTORY_SIZE]: history.events,
      [semconv.ATTR_REPLAYED_EVENTS]: history.replayedEvents,
      [semconv.ATTR_ACTIONS]: actions,
    });
  }

  #identity(spanId: string): SpanContext {
    const { traceFlags, traceId, traceState } = this.#orchestration;
    return traceState === undefined ? { traceId, spanId, traceFlags } : { traceId, spanId, traceFlags, traceState };
  }

  #emit(
    identity: SpanContext,
    name: string,
    kind: SpanKind,
    start: Date,
    end: Date,
    attributes: Attributes,
    failure?: TaskFailure,
    isOrchestration: boolean = false,
  ): void {
    try {
      const span = this.#tracer.start(name, { kind, startTime: start, attributes }, identity, this.#inside);
      if (failure !== undefined) (isOrchestration ? setOrchestrationFailure : setFailure)(span, failure);
      endSpan(span, notBefore(start, end));
    } catch (error) {
      isolated.fault("a span was lost", error);
    }
  }
}

// The name and kind of a task's CLIENT span; its attributes are added to `attributes`.
function describe(task: ScheduledTask, attributes: Attributes): { readonly name: string; readonly kind: SpanKind } {
  if (task.type === "entity_lock") {
    attributes[semconv.ATTR_TYPE] = semconv.TYPE_ENTITY;
    return { name: semconv.LOCK_REQUEST, kind: SpanKind.INTERNAL };
  }
  if (task.type === "entity_call") {
    attributes[semconv.ATTR_TYPE] = semconv.TYPE_CALL_ENTITY;
    attributes[semconv.ATTR_ENTITY_OPERATION] = task.name;
    if (task.instanceId) attributes[semconv.ATTR_ENTITY_INSTANCE_ID] = task.instanceId;
    return { name: semconv.spanName(semconv.TYPE_CALL_ENTITY, task.name, undefined), kind: SpanKind.CLIENT };
  }
  const type = task.type === "activity" ? semconv.TYPE_ACTIVITY : semconv.TYPE_ORCHESTRATION;
  attributes[semconv.ATTR_TYPE] = type;
  attributes[semconv.ATTR_TASK_NAME] = task.name;
  if (task.instanceId) attributes[semconv.ATTR_TASK_INSTANCE_ID] = task.instanceId;
  if (task.version) attributes[semconv.ATTR_TASK_VERSION] = task.version;
  return { name: semconv.spanName(type, task.name, task.version), kind: SpanKind.CLIENT };
}

/** The clocks of machines differ, but a span must not end before it starts. */
export function notBefore(start: Date, end: Date): Date {
  return start > end ? start : end;
}
