import { context, ROOT_CONTEXT, SpanKind, trace, type Attributes, type Context, type Link, type SpanContext } from "@opentelemetry/api";
import type { DurableFact, EpisodeOutcome, OrchestrationWorkItem, OrchestrationWorkItemFacts, ScheduledTask } from "../../src/pipeline/index.ts";
import { contained } from "../contained.ts";
import { addExceptionEvent, setFailure } from "./failure.ts";
import { OrchestrationSpan, RecordedSpan } from "./handles.ts";
import { executionIds, formatTraceContext, isSpanId, parseTraceContext, taskSpanId } from "./identity.ts";
import { LiveContext, type Scope } from "./live-context.ts";
import * as semconv from "./semconv.ts";
import { contextOf, type IdentityTracer } from "./tracer.ts";

/**
 * Traces one episode: what runs in the scope that this returns runs under the identity of the orchestration's span,
 * and what became a fact in it is emitted. Nothing is opened meanwhile: spans of tasks and of the orchestration are
 * made once their ends are known, and only when the backend has the response that says so (telemetry.md I3).
 */
export function traceEpisode(item: OrchestrationWorkItem, tracer: IdentityTracer): Scope {
  const episode = new TracedEpisode(item, tracer);
  return (run) => context.with(episode.context, run);
}

class TracedEpisode {
  readonly #facts: OrchestrationWorkItemFacts;
  readonly #tracer: IdentityTracer;
  readonly #startedAt: Date;
  readonly #parent: SpanContext | undefined;
  readonly #attributes: Attributes;
  readonly #span: SpanContext;
  readonly #recorded: RecordedSpan;
  // The parent of the spans of tasks.
  readonly #inside: Context;
  /** The context that the episode runs in. */
  readonly context: LiveContext;

  constructor(item: OrchestrationWorkItem, tracer: IdentityTracer) {
    const { facts } = item;
    this.#facts = facts;
    this.#tracer = tracer;
    this.#startedAt = facts.history.startedAt ?? facts.carriedSpan?.startTime ?? new Date();
    this.#attributes = {
      [semconv.ATTR_TYPE]: semconv.TYPE_ORCHESTRATION,
      [semconv.ATTR_TASK_NAME]: facts.name,
      [semconv.ATTR_TASK_INSTANCE_ID]: facts.instanceId,
      ...(facts.version ? { [semconv.ATTR_TASK_VERSION]: facts.version } : {}),
      ...(facts.executionId ? { [semconv.ATTR_TASK_EXECUTION_ID]: facts.executionId } : {}),
    };
    this.#parent = parseTraceContext(facts.traceContext);
    this.#span = this.#identify();
    this.#recorded = new RecordedSpan(this.#span, () => item.run?.orchestrationContext.currentUtcDateTime ?? this.#now);
    this.#inside = trace.setSpanContext(ROOT_CONTEXT, this.#span);
    this.context = new LiveContext(this.#inside, () => item.isLive);

    facts.takeTraceContexts();
    facts.features.set(OrchestrationSpan, this.#recorded);
    let emit = (): void => undefined;
    item.onResponse(({ outcome, scheduled, ...response }) => {
      // The orchestration ends here, not when the backend has taken note of it.
      const end = new Date();
      emit = () => this.#emit(outcome, scheduled, end);
      for (const task of scheduled) task.carry?.(formatTraceContext(this.#taskSpan(task)));
      response.carrySpan(this.#span.spanId, this.#startedAt);
    });
    item.onDelivered((delivery) => {
      // Where it is not known whether the backend has the response, a span too many is the same span again (I4).
      if (delivery !== "rejected") emit();
    });
  }

  get #now(): Date {
    return this.#facts.history.episodeStartedAt ?? new Date();
  }

  // The identity of the orchestration's span, with the sampler's decision (I1, I5).
  #identify(): SpanContext {
    const { name, version } = this.#facts;
    let traceId = this.#parent?.traceId;
    let spanId = this.#carriedSpanId();
    if (traceId === undefined || spanId === undefined) {
      const derived = this.#derivedIds();
      traceId ??= derived.traceId;
      spanId ??= derived.spanId;
    }
    const identity: SpanContext = { traceId, spanId, traceFlags: 0 };
    return this.#tracer.decide(
      semconv.spanName(semconv.TYPE_ORCHESTRATION, name, version),
      SpanKind.SERVER,
      this.#attributes,
      identity,
      contextOf(this.#parent),
    );
  }

  #derivedIds(): { readonly traceId: string; readonly spanId: string } {
    const { carriedSpan, executionId, history, instanceId } = this.#facts;
    // A clock is no durable fact: with neither, the instance ID has to do.
    const startedAt = history.startedAt ?? carriedSpan?.startTime;
    return executionIds({ instanceId, execution: executionId ?? startedAt?.toISOString() ?? "" });
  }

  #carriedSpanId(): string | undefined {
    const { carriedSpan, history } = this.#facts;
    if (carriedSpan === undefined) return undefined;
    // What an earlier run left with the backend names that run, not the one after a rewind. And the SDK's worker leaves
    // zeros or the parent's ID where no provider is registered.
    const names = isSpanId(carriedSpan.spanId) && carriedSpan.spanId !== this.#parent?.spanId && !history.rewound;
    return names ? carriedSpan.spanId : undefined;
  }

  // The identity of a scheduled task's span: what went out with it, where that is known (I2). What went out before a
  // rewind named a span of the failed run, which emitted it when it ended.
  #taskSpan(task: Pick<ScheduledTask, "taskId" | "traceContext">): SpanContext {
    const carried = this.#facts.history.rewound ? undefined : parseTraceContext(task.traceContext);
    return { ...this.#span, spanId: carried?.spanId ?? taskSpanId(this.#span.spanId, task.taskId) };
  }

  #emit(outcome: EpisodeOutcome, scheduled: readonly ScheduledTask[], end: Date): void {
    for (const fact of this.#facts.history.facts()) orLost(() => this.#emitFact(fact));
    if (outcome.status === "waiting" || outcome.status === "rewound") return;
    // What is still out there when the orchestration ends may have run, or may yet: its spans need their parent (S1).
    // A worker may return an action again that has left already, and whose task may be done: a task is one span.
    const { history } = this.#facts;
    const leaving = scheduled.filter((task) => !history.isScheduled(task.taskId));
    for (const task of [...leaving, ...history.unfinishedTasks()]) orLost(() => this.#emitTask(task, end, undefined));
    orLost(() => this.#emitOrchestration(outcome, end));
  }

  #emitFact(fact: DurableFact): void {
    if (fact.type === "task_finished") this.#emitTask(fact.task, fact.at ?? this.#now, fact.failure);
    else if (fact.type === "timer_fired") this.#emitTimer(fact);
  }

  #emitTask(task: ScheduledTask, end: Date, failure: Extract<DurableFact, { type: "task_finished" }>["failure"]): void {
    const type = task.type === "activity" ? semconv.TYPE_ACTIVITY : semconv.TYPE_ORCHESTRATION;
    const span = this.#tracer.start(
      semconv.spanName(type, task.name, task.version),
      {
        kind: SpanKind.CLIENT,
        startTime: task.scheduledAt ?? end,
        attributes: {
          [semconv.ATTR_TYPE]: type,
          [semconv.ATTR_TASK_NAME]: task.name,
          [semconv.ATTR_TASK_INSTANCE_ID]: task.instanceId ?? this.#facts.instanceId,
          [semconv.ATTR_TASK_ID]: task.taskId,
          ...(task.version ? { [semconv.ATTR_TASK_VERSION]: task.version } : {}),
        },
      },
      this.#taskSpan(task),
      this.#inside,
    );
    if (failure !== undefined) setFailure(span, failure);
    span.end(notBefore(task.scheduledAt, end));
  }

  #emitTimer(fact: Extract<DurableFact, { type: "timer_fired" }>): void {
    const end = fact.at ?? this.#now;
    const start = fact.createdAt ?? end;
    const span = this.#tracer.start(
      semconv.timerSpanName(this.#facts.name),
      {
        kind: SpanKind.INTERNAL,
        startTime: start,
        attributes: {
          [semconv.ATTR_TYPE]: semconv.TYPE_TIMER,
          [semconv.ATTR_TASK_NAME]: this.#facts.name,
          [semconv.ATTR_TASK_INSTANCE_ID]: this.#facts.instanceId,
          [semconv.ATTR_TASK_ID]: fact.taskId,
          ...(fact.dueAt ? { [semconv.ATTR_FIRE_AT]: fact.dueAt.toISOString() } : {}),
        },
      },
      { ...this.#span, spanId: taskSpanId(this.#span.spanId, fact.taskId) },
      this.#inside,
    );
    span.end(notBefore(start, end));
  }

  #emitOrchestration(outcome: semconv.FinalOutcome, end: Date): void {
    const { name, version } = this.#facts;
    const links: Link[] = this.#recorded.links;
    const span = this.#tracer.start(
      semconv.spanName(semconv.TYPE_ORCHESTRATION, name, version),
      {
        kind: SpanKind.SERVER,
        startTime: this.#startedAt,
        links,
        attributes: {
          ...this.#recorded.attributes,
          ...this.#attributes,
          [semconv.ATTR_TASK_STATUS]: semconv.statusNames[outcome.status],
        },
      },
      this.#span,
      contextOf(this.#parent),
    );
    for (const event of this.#recorded.events) span.addEvent(event.name, event.attributes, event.time);
    if (outcome.status === "failed") {
      setFailure(span, outcome.failure);
      addExceptionEvent(span, outcome.failure, end);
    }
    span.end(notBefore(this.#startedAt, end));
  }
}

// A span that can't be made takes no other with it (K1).
function orLost(emit: () => void): void {
  contained("a span was lost", emit);
}

// Clocks of different machines differ; a span still does not end before it starts.
function notBefore(start: Date | undefined, end: Date): Date {
  return start !== undefined && start > end ? start : end;
}
