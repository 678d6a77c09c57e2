import { SpanKind, type Context, type Link } from "@opentelemetry/api";
import type {
  Acknowledgement,
  EpisodeOutcome,
  EpisodeResponse,
  HistoryEvent,
  OrchestrationWorkItem,
  ReceivedEvent,
  ScheduledTask,
  TaskFailure,
  WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { runIn } from "../../src/telemetry/active-context.ts";
import { statusToRecord } from "../../src/telemetry/custom-status.ts";
import { OrchestrationSpan } from "../../src/telemetry/handles.ts";
import { contextOf, formatTraceContext } from "../../src/telemetry/identity.ts";
import { rememberOrigins } from "../../src/telemetry/origins.ts";
import * as semconv from "../../src/telemetry/semconv.ts";
import { inSlices } from "../../src/telemetry/slices.ts";
import { cutAttributes } from "./attributes.ts";
import { withState } from "./decisions.ts";
import { TracedExecution } from "./execution.ts";
import { addExceptionEvent, setOrchestrationFailure } from "./failure.ts";
import { isolated } from "./faults.ts";
import { LiveContext } from "./live-context.ts";
import type { TracingOptions } from "./options.ts";
import { kept, keyOf, keyOfTask, recentWork } from "./recent-work.ts";
import { RecordedSpan, type RecordedEvent } from "./recorded-span.ts";
import { endAfter, TaskSpans } from "./task-spans.ts";
import { endsWaits, WaitSpans } from "./waits.ts";
import { endSpan, type IdentityTracer } from "./tracer.ts";

/**
 * Traces one episode: its code runs under the identity of the orchestration's span, and its new history events are emitted.
 * No span is open meanwhile: spans of tasks and of the orchestration are created when their ends are known and the backend
 * has acknowledged the response with those (telemetry.md I3).
 */
export class TracedEpisode implements WorkItemHooks {
  readonly #item: OrchestrationWorkItem;
  readonly #tracer: IdentityTracer;
  readonly #options: TracingOptions;
  readonly #execution: TracedExecution;
  readonly #recorded: RecordedSpan;
  readonly #startedAt: Date = new Date();
  // The context of the orchestration's span, for its child spans.
  readonly #inside: Context;
  readonly #live: LiveContext;
  #tasks: TaskSpans | undefined;
  #waits: WaitSpans | undefined;
  #durableStart: Date | undefined;
  #response: EpisodeResponse | undefined;
  #end: Date | undefined;

  constructor(item: OrchestrationWorkItem, tracer: IdentityTracer, options: TracingOptions) {
    this.#item = item;
    this.#tracer = tracer;
    this.#options = options;
    this.#execution = new TracedExecution(item, tracer, options);
    const { span } = this.#execution;
    this.#recorded = new RecordedSpan(span, this);
    this.#inside = contextOf(span);
    this.#live = new LiveContext(tracer.contextForCode(this.#inside, span), item);
    item.takeTraceContexts();
    item.observeWaits();
    item.features.set(OrchestrationSpan, this.#recorded);
  }

  scope<T>(execute: () => T): T {
    return runIn(this.#live, execute);
  }

  onResponse(response: EpisodeResponse): void {
    // The orchestration ends here, not when the backend acknowledges it.
    this.#end = new Date();
    this.#response = response;
    const isUnbound = this.#item.activityExecutionId === undefined;
    const { isBackends } = this.#execution;
    for (const task of response.scheduled) {
      // The backend hands its own to them.
      if (task.setTraceContext !== undefined && !isBackends)
        task.setTraceContext(formatTraceContext(this.#spans.identityOf(task)));
      if (isUnbound) this.#rememberScheduled(task);
    }
    rememberOrigins(this.#item, response);
    response.persistSpan(this.#execution.span.spanId, this.#execution.startedAt(this.#startedAt));
  }

  onAcknowledged(acknowledgement: Acknowledgement): void {
    const response = this.#response;
    // If the acknowledgement is unconfirmed, spans are emitted: a duplicate is the same span again (I4).
    if (response === undefined || acknowledgement === "rejected") return;
    this.#emit(response, this.#end ?? new Date(), acknowledgement);
  }

  onCustomStatus(json: string | undefined): void {
    isolated.run("a custom status was not recorded", () => {
      const status = statusToRecord(json, this.#options.customStatus, isolated);
      const attributes = status === undefined ? {} : { [semconv.ATTR_CUSTOM_STATUS]: status };
      this.#recorded.addEvent(semconv.spanEvents.custom_status, attributes);
    });
  }

  /** The durable time that the orchestration's code sees; the SDK's is invalid if the backend keeps no timestamps. */
  get durableNow(): Date {
    const now = this.#item.orchestrationContext?.currentUtcDateTime;
    return now !== undefined && now.getTime() > 0 ? now : this.#now;
  }

  // When this episode started, in durable time.
  get #now(): Date {
    return (this.#durableStart ??= this.#item.history.episodeStartedAt ?? this.#startedAt);
  }

  get #spans(): TaskSpans {
    return (this.#tasks ??= new TaskSpans(this.#item, this.#tracer, this.#execution.span, this.#inside));
  }

  get #waitSpans(): WaitSpans {
    return (this.#waits ??= new WaitSpans(this.#item, this.#spans, !this.#execution.isBackends));
  }

  // A span that is not sampled is not emitted, but remembered: a recorded trace may link to it. It is remembered before
  // the spans are emitted, because the next episode may need it before they are.
  #emit(response: EpisodeResponse, end: Date, acknowledgement: Acknowledgement): void {
    const { outcome, scheduled } = response;
    const isDropped = this.#tracer.drops(this.#execution.span);
    const final = isFinal(outcome) ? this.#finalOf(outcome, isDropped) : undefined;
    this.#rememberSent(response);
    if (final !== undefined) this.#remember(final.outcome, final.events, acknowledgement);
    if (isDropped) return;
    if (this.#options.running === true && final === undefined && this.#item.history.replayedEvents === 0)
      this.#spans.emitStarted(this.#execution.startedAt(this.#startedAt), end, this.#recorded.attributes);
    if (this.#options.episodes === true) this.#spans.emitEpisode(this.#startedAt, end, response.actions);
    const finish = (): void => {
      this.#emitSent(response);
      const finishIfOver = (): void => {
        if (final !== undefined) this.#finish(final, scheduled, end);
      };
      // Most episodes end no wait.
      if (endsWaits(this.#item)) inSlices(this.#waitSpans.ended(this), run, finishIfOver, onFault);
      else finishIfOver();
    };
    inSlices(this.#item.history.newEvents(), (event) => this.#emitEvent(event), finish, onFault);
  }

  #finalOf(outcome: semconv.FinalOutcome, isDropped: boolean): Final {
    const received = this.#item.history.received();
    const events = countByName(received);
    return {
      outcome,
      received,
      events,
      links: isDropped ? [] : [...this.#execution.linksBack(), ...this.#linksToSenders(events)],
    };
  }

  #emitSent({ sent }: EpisodeResponse): void {
    const { history } = this.#item;
    for (const message of sent) {
      // A worker may return an action that was already sent: it is sent once, and a task has one span. Its time is durable
      // time, so that a duplicate is the same span (I4).
      if (!history.hasLeft(message.taskId)) this.#spans.emitSent(message, this.#now);
    }
  }

  // A backend that sends no execution ID with activities may drop the trace contexts of all tasks, too.
  #rememberScheduled(task: ScheduledTask): void {
    const span = this.#spans.identityOf(task);
    recentWork().scheduled.set(keyOfTask(this.#item.instanceId, task.taskId), {
      ...kept(span),
      ...withState(span.traceState),
      isRemote: true,
      ...(this.#execution.isBackends ? { parentSpanId: kept(this.#execution.span).spanId } : {}),
    });
  }

  #rememberSent({ sent }: EpisodeResponse): void {
    for (const message of sent) {
      if (message.type !== "event" || this.#item.history.hasLeft(message.taskId)) continue;
      recentWork().sent.add(message.target, message.name, this.#spans.identityOf(message));
    }
  }

  #finish(final: Final, scheduled: readonly ScheduledTask[], end: Date): void {
    const { history } = this.#item;
    // Tasks that are outstanding when the orchestration ends may have run, or may still run: their spans need their parent (S1).
    const unfinished = history.unfinishedTasks();
    const left =
      scheduled.length === 0
        ? unfinished
        : [...scheduled.filter(({ taskId }) => !history.hasLeft(taskId)), ...unfinished];
    const emitOrchestration = (): void => {
      if (this.#execution.isBackends) return;
      isolated.run("a span was lost", () => this.#emitOrchestration(final, end));
    };
    const finish = (): void =>
      inSlices(this.#waitSpans.left(end, final.outcome.status === "failed"), run, emitOrchestration, onFault);
    inSlices(left, (task) => this.#emitTask(task, end, undefined), finish, onFault);
  }

  #emitEvent(event: HistoryEvent): void {
    if (event.type === "task_finished") this.#emitTask(event.task, event.at ?? this.#now, event.failure);
    else if (event.type === "timer_fired") this.#waitSpans.emitFired(event, event.at ?? this.#now);
  }

  #emitTask(task: ScheduledTask, end: Date, failure: TaskFailure | undefined): void {
    // No backend makes spans of entities.
    const isBackends = this.#execution.isBackends && (task.type === "activity" || task.type === "sub_orchestration");
    if (!isBackends) this.#spans.emitTask(task, end, failure);
  }

  #emitOrchestration({ outcome, received, links }: Final, end: Date): void {
    const { attributes, name, parent, span: identity } = this.#execution;
    const startedAt = this.#execution.startedAt(this.#startedAt);
    attributes[semconv.ATTR_TASK_STATUS] = semconv.statusNames[outcome.status];
    const span = this.#tracer.start(
      name,
      {
        kind: SpanKind.SERVER,
        startTime: startedAt,
        links: this.#recorded.links === undefined ? links : [...this.#recorded.links, ...links],
        attributes:
          this.#recorded.attributes === undefined ? attributes : { ...this.#recorded.attributes, ...attributes },
      },
      identity,
      contextOf(parent),
    );
    for (const event of this.#events(received)) span.addEvent(event.name, event.attributes, event.time);
    if (outcome.status === "failed") {
      setOrchestrationFailure(span, outcome.failure);
      addExceptionEvent(span, outcome.failure, end);
    }
    endSpan(span, endAfter(startedAt, end));
  }

  // The events that the orchestration's code recorded, and those from outside (S2), ordered by time.
  #events(received: readonly ReceivedEvent[]): readonly RecordedEvent[] {
    const recorded = this.#recorded.events ?? [];
    if (received.length === 0) return recorded.length < 2 ? recorded : recorded.toSorted(byTime);
    const external = received.map((event): RecordedEvent => ({
      name: semconv.spanEvents[event.type],
      attributes:
        event.type === "event_raised" ? cutAttributes({ [semconv.ATTR_EXTERNAL_EVENT_NAME]: event.name }) : {},
      time: event.at ?? this.#now,
    }));
    return [...external, ...recorded].toSorted(byTime);
  }

  // The protocol does not record who raised an event. It is known for events that this process sent (S8).
  #linksToSenders(events: ReceivedEvents): Link[] {
    const { instanceId } = this.#item;
    return [...events].flatMap(([name, count]) =>
      recentWork()
        .sent.first(instanceId, name, count)
        .map((sender) => ({ context: sender })),
    );
  }

  #remember(outcome: semconv.FinalOutcome, events: ReceivedEvents, acknowledgement: Acknowledgement): void {
    const { continued, sent } = recentWork();
    const { instanceId } = this.#item;
    if (outcome.status === "continued_as_new") continued.set(keyOf(instanceId), this.#execution.remembered());
    else continued.delete(keyOf(instanceId));
    if (acknowledgement === "accepted") this.#execution.forgetCaller();
    // The work item may arrive again, and needs the links then.
    if (acknowledgement === "accepted") for (const [name, count] of events) sent.forget(instanceId, name, count);
  }
}

function isFinal(outcome: EpisodeOutcome): outcome is semconv.FinalOutcome {
  return outcome.status !== "waiting" && outcome.status !== "rewound";
}

const onFault = (error: unknown): void => isolated.fault("spans were lost", error);
const run = (emit: () => void): void => emit();
const byTime = (one: RecordedEvent, other: RecordedEvent): number => one.time.getTime() - other.time.getTime();

/** How an execution ended, and what its span tells of what came before. */
interface Final {
  readonly outcome: semconv.FinalOutcome;
  readonly received: readonly ReceivedEvent[];
  readonly events: ReceivedEvents;
  readonly links: Link[];
}

/** The number of events by name, in lower case: names of events are case-insensitive. */
type ReceivedEvents = ReadonlyMap<string, number>;

function countByName(received: readonly ReceivedEvent[]): ReceivedEvents {
  const counts = new Map<string, number>();
  for (const event of received) {
    if (event.type !== "event_raised") continue;
    const name = event.name.toLowerCase();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
