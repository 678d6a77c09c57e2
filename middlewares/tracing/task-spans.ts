import { SpanKind, trace, ROOT_CONTEXT, type Attributes, type Context, type SpanContext } from "@opentelemetry/api";
import type { DurableFact, OrchestrationWorkItemFacts, ScheduledTask, SentMessage, TaskFailure } from "../../src/pipeline/index.ts";
import { setFailure, setOrchestrationFailure } from "./failure.ts";
import { episodeSpanId, parseTraceContext, taskSpanId } from "./identity.ts";
import * as semconv from "./semconv.ts";
import { endSpan, type IdentityTracer } from "./tracer.ts";

interface NewSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly start: Date;
  readonly end: Date;
  readonly attributes: Attributes;
  readonly failure?: TaskFailure | undefined;
  /** How a failure is written to the span. */
  readonly mark?: typeof setFailure;
}

/** Emits the spans of what one execution does: each begins and ends here, as its times are known by then (telemetry.md I3). */
export class TaskSpans {
  readonly #facts: OrchestrationWorkItemFacts;
  readonly #tracer: IdentityTracer;
  readonly #orchestration: SpanContext;
  readonly #inside: Context;

  constructor(facts: OrchestrationWorkItemFacts, tracer: IdentityTracer, orchestration: SpanContext) {
    this.#facts = facts;
    this.#tracer = tracer;
    this.#orchestration = orchestration;
    this.#inside = trace.setSpanContext(ROOT_CONTEXT, orchestration);
  }

  /**
   * The identity of a task's span: what went out with it, where that is known (I2). What went out before a rewind named
   * a span of the failed run, which emitted it when it ended.
   */
  identityOf(task: Pick<ScheduledTask, "taskId"> & Partial<Pick<ScheduledTask, "traceContext">>): SpanContext {
    const carried = this.#facts.history.rewound ? undefined : parseTraceContext(task.traceContext);
    return { ...this.#orchestration, spanId: carried?.spanId ?? taskSpanId(this.#orchestration.spanId, task.taskId) };
  }

  emitTask(task: ScheduledTask, end: Date, failure: TaskFailure | undefined): void {
    const mark = task.type === "sub_orchestration" ? setOrchestrationFailure : setFailure;
    this.#emit(this.identityOf(task), { ...this.#describe(task), start: task.scheduledAt ?? end, end, failure, mark });
  }

  emitTimer({ taskId, createdAt, dueAt }: Extract<DurableFact, { type: "timer_fired" }>, end: Date): void {
    this.#emit(this.identityOf({ taskId }), {
      name: semconv.timerSpanName(this.#facts.name),
      kind: SpanKind.INTERNAL,
      start: createdAt ?? end,
      end,
      attributes: {
        [semconv.ATTR_TYPE]: semconv.TYPE_TIMER,
        [semconv.ATTR_TASK_NAME]: this.#facts.name,
        [semconv.ATTR_TASK_INSTANCE_ID]: this.#facts.instanceId,
        [semconv.ATTR_TASK_ID]: taskId,
        ...(dueAt ? { [semconv.ATTR_FIRE_AT]: dueAt.toISOString() } : {}),
      },
    });
  }

  emitSent(message: SentMessage, at: Date): void {
    const { name, target, taskId } = message;
    const { executionId, instanceId } = this.#facts;
    const isEvent = message.type === "event";
    this.#emit(this.identityOf(message), {
      name: semconv.spanName(isEvent ? semconv.TYPE_ORCHESTRATION_EVENT : semconv.TYPE_SIGNAL_ENTITY, name, undefined),
      kind: SpanKind.PRODUCER,
      start: at,
      end: at,
      attributes: {
        [semconv.ATTR_TASK_ID]: taskId,
        [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
        ...(executionId ? { [semconv.ATTR_TASK_EXECUTION_ID]: executionId } : {}),
        ...(isEvent
          ? {
              [semconv.ATTR_TYPE]: semconv.TYPE_EVENT,
              [semconv.ATTR_TASK_NAME]: name,
              [semconv.ATTR_EVENT_TARGET_INSTANCE_ID]: target,
            }
          : {
              [semconv.ATTR_TYPE]: semconv.TYPE_SIGNAL_ENTITY,
              [semconv.ATTR_ENTITY_OPERATION]: name,
              [semconv.ATTR_ENTITY_INSTANCE_ID]: target,
            }),
      },
    });
  }

  emitEpisode(start: Date, end: Date, actions: number): void {
    const { history, instanceId, name, version } = this.#facts;
    this.#emit({ ...this.#orchestration, spanId: episodeSpanId(this.#orchestration.spanId, history.replayedEvents) }, {
      name: semconv.spanName(semconv.TYPE_EPISODE, name, version),
      kind: SpanKind.INTERNAL,
      start,
      end,
      attributes: {
        [semconv.ATTR_TYPE]: semconv.TYPE_EPISODE,
        [semconv.ATTR_TASK_NAME]: name,
        [semconv.ATTR_TASK_INSTANCE_ID]: instanceId,
        [semconv.ATTR_HISTORY_SIZE]: history.events,
        [semconv.ATTR_REPLAYED_EVENTS]: history.replayedEvents,
        [semconv.ATTR_ACTIONS]: actions,
      },
    });
  }

  #describe(task: ScheduledTask): Pick<NewSpan, "name" | "kind" | "attributes"> {
    const common = { [semconv.ATTR_TASK_ID]: task.taskId, [semconv.ATTR_TASK_INSTANCE_ID]: this.#facts.instanceId };
    switch (task.type) {
      case "entity_lock":
        return { name: semconv.LOCK_REQUEST, kind: SpanKind.INTERNAL, attributes: { ...common, [semconv.ATTR_TYPE]: semconv.TYPE_ENTITY } };
      case "entity_call":
        return {
          name: semconv.spanName(semconv.TYPE_CALL_ENTITY, task.name, undefined),
          kind: SpanKind.CLIENT,
          attributes: {
            ...common,
            [semconv.ATTR_TYPE]: semconv.TYPE_CALL_ENTITY,
            [semconv.ATTR_ENTITY_OPERATION]: task.name,
            ...(task.instanceId ? { [semconv.ATTR_ENTITY_INSTANCE_ID]: task.instanceId } : {}),
          },
        };
      default: {
        const type = task.type === "activity" ? semconv.TYPE_ACTIVITY : semconv.TYPE_ORCHESTRATION;
        return {
          name: semconv.spanName(type, task.name, task.version),
          kind: SpanKind.CLIENT,
          attributes: {
            ...common,
            [semconv.ATTR_TYPE]: type,
            [semconv.ATTR_TASK_NAME]: task.name,
            ...(task.instanceId ? { [semconv.ATTR_TASK_INSTANCE_ID]: task.instanceId } : {}),
            ...(task.version ? { [semconv.ATTR_TASK_VERSION]: task.version } : {}),
          },
        };
      }
    }
  }

  #emit(identity: SpanContext, { name, kind, start, end, attributes, failure, mark = setFailure }: NewSpan): void {
    const span = this.#tracer.start(name, { kind, startTime: start, attributes }, identity, this.#inside);
    if (failure !== undefined) mark(span, failure);
    endSpan(span, notBefore(start, end));
  }
}

/** Clocks of different machines differ; a span still does not end before it starts. */
export function notBefore(start: Date, end: Date): Date {
  return start > end ? start : end;
}
