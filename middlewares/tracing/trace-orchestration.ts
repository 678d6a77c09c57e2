import { SpanKind, type Link } from "@opentelemetry/api";
import type { Delivery, DurableFact, EpisodeResponse, OrchestrationWorkItem, OrchestrationWorkItemFacts, ReceivedFact } from "../../src/pipeline/index.ts";
import { runIn } from "../../src/telemetry/active-context.ts";
import { identify, type TracedExecution } from "./execution.ts";
import { cutAttributes } from "./attributes.ts";
import { addExceptionEvent, setOrchestrationFailure } from "./failure.ts";
import { isolated } from "./faults.ts";
import { OrchestrationSpan, RecordedSpan, type RecordedEvent } from "./handles.ts";
import { contextOf, formatTraceContext } from "./identity.ts";
import { LiveContext, type Scope } from "./live-context.ts";
import type { TracingOptions } from "./options.ts";
import { keyOf, recentWork } from "./recent-work.ts";
import * as semconv from "./semconv.ts";
import { notBefore, TaskSpans } from "./task-spans.ts";
import { endSpan, type IdentityTracer } from "./tracer.ts";

/**
 * Traces one episode: what runs in the scope that this returns runs under the identity of the orchestration's span,
 * and what became a fact in it is emitted. Nothing is opened meanwhile: spans of tasks and of the orchestration are
 * made once their ends are known, and only when the backend has the response that says so (telemetry.md I3).
 */
export function traceEpisode(item: OrchestrationWorkItem, tracer: IdentityTracer, options: TracingOptions): Scope {
  const episode = new TracedEpisode(item, tracer, options);
  return (run) => runIn(episode.context, run);
}

class TracedEpisode {
  readonly #facts: OrchestrationWorkItemFacts;
  readonly #tracer: IdentityTracer;
  readonly #execution: TracedExecution;
  readonly #tasks: TaskSpans;
  readonly #recorded: RecordedSpan;
  readonly #startedAt: Date;
  #durableNow: Date | undefined;
  readonly #ofEpisodes: boolean;
  /** The context that the episode runs in. */
  readonly context: LiveContext;

  constructor(item: OrchestrationWorkItem, tracer: IdentityTracer, { continueAsNew = "new-trace", episodes = false }: TracingOptions) {
    const { facts } = item;
    this.#facts = facts;
    this.#tracer = tracer;
    this.#startedAt = new Date();
    this.#ofEpisodes = episodes;
    this.#execution = identify(facts, tracer, continueAsNew);
    const { span, startedAt } = this.#execution;
    this.#tasks = new TaskSpans(facts, tracer, span);
    this.#recorded = new RecordedSpan(span, () => plausible(item.run?.orchestrationContext.currentUtcDateTime) ?? this.#now);
    this.context = new LiveContext(tracer.contextForCode(contextOf(span), span), () => item.isLive);

    facts.takeTraceContexts();
    facts.features.set(OrchestrationSpan, this.#recorded);
    item.onCustomStatus = () =>
      isolated.run("a custom status was not recorded", () => this.#recorded.addEvent(semconv.spanEvents.custom_status));
    let emit: (delivery: Delivery) => void = () => undefined;
    item.onResponse((response) => {
      // The orchestration ends here, not when the backend has taken note of it.
      const end = new Date();
      emit = (delivery) => this.#emit(response, end, delivery);
      for (const task of response.scheduled) task.carry?.(formatTraceContext(this.#tasks.identityOf(task)));
      response.carrySpan(span.spanId, startedAt);
    });
    item.onDelivered((delivery) => {
      // Where it is not known whether the backend has the response, a span too many is the same span again (I4).
      if (delivery !== "rejected") emit(delivery);
    });
  }

  // The durable time of this episode. To find it takes a walk through the new events, so it is kept.
  get #now(): Date {
    return (this.#durableNow ??= this.#facts.history.episodeStartedAt ?? this.#startedAt);
  }

  #emit({ actions, outcome, scheduled, sent }: EpisodeResponse, end: Date, delivery: Delivery): void {
    const { history } = this.#facts;
    if (this.#ofEpisodes) orLost(() => this.#tasks.emitEpisode(this.#startedAt, end, actions));
    for (const fact of history.facts()) orLost(() => this.#emitFact(fact));
    // A worker may return an action again that has left already: it is sent once, and a task is one span.
    const leaving = <T extends { readonly taskId: number }>(all: readonly T[]): T[] => all.filter(({ taskId }) => !history.hasLeft(taskId));
    for (const message of leaving(sent)) {
      // At the durable time: should it be sent again, it is the same span (I4).
      orLost(() => this.#tasks.emitSent(message, this.#now));
      if (message.type === "event") recentWork().sent.add(message.target, message.name, this.#tasks.identityOf(message));
    }
    if (outcome.status === "waiting" || outcome.status === "rewound") return;
    // What is still out there when the orchestration ends may have run, or may yet: its spans need their parent (S1).
    for (const task of [...leaving(scheduled), ...history.unfinishedTasks()]) orLost(() => this.#tasks.emitTask(task, end, undefined));
    const received = history.received();
    const events = countByName(received);
    orLost(() => this.#emitOrchestration(outcome, end, received, events));
    this.#remember(outcome);
    // A work item that comes again needs the links again.
    if (delivery === "accepted") for (const [name, count] of events) recentWork().sent.forget(this.#facts.instanceId, name, count);
  }

  #emitFact(fact: DurableFact): void {
    if (fact.type === "task_finished") this.#tasks.emitTask(fact.task, fact.at ?? this.#now, fact.failure);
    else if (fact.type === "timer_fired") this.#tasks.emitTimer(fact, fact.at ?? this.#now);
  }

  #emitOrchestration(outcome: semconv.FinalOutcome, end: Date, received: readonly ReceivedFact[], events: ReceivedEvents): void {
    const { attributes, name, parent, span: identity, startedAt } = this.#execution;
    const span = this.#tracer.start(
      name,
      {
        kind: SpanKind.SERVER,
        startTime: startedAt,
        links: [...this.#recorded.links, ...this.#execution.linksBack(), ...this.#linksToSenders(events)],
        attributes: {
          ...this.#recorded.attributes,
          ...attributes,
          [semconv.ATTR_TASK_STATUS]: semconv.statusNames[outcome.status],
        },
      },
      identity,
      contextOf(parent),
    );
    for (const event of this.#events(received)) span.addEvent(event.name, event.attributes, event.time);
    if (outcome.status === "failed") {
      setOrchestrationFailure(span, outcome.failure);
      addExceptionEvent(span, outcome.failure, end);
    }
    endSpan(span, notBefore(startedAt, end));
  }

  // What the orchestration's code recorded, and what came from outside (S2), in the order of time.
  #events(received: readonly ReceivedFact[]): readonly RecordedEvent[] {
    const external = received.map((fact): RecordedEvent => ({
      name: semconv.spanEvents[fact.type],
      attributes: fact.type === "event_raised" ? cutAttributes({ [semconv.ATTR_EVENT_NAME]: fact.name }) : {},
      time: fact.at ?? this.#now,
    }));
    return [...external, ...this.#recorded.events].toSorted((one, other) => one.time.getTime() - other.time.getTime());
  }

  // The protocol does not say who raised an event; of those that were sent from here it is known (S8).
  #linksToSenders(events: ReceivedEvents): Link[] {
    const { instanceId } = this.#facts;
    return [...events].flatMap(([name, count]) => recentWork().sent.first(instanceId, name, count).map((sender) => ({ context: sender })));
  }

  #remember(outcome: semconv.FinalOutcome): void {
    const { continued } = recentWork();
    const instance = keyOf(this.#facts.instanceId);
    if (outcome.status === "continued_as_new") continued.set(instance, this.#execution.remembered());
    else continued.delete(instance);
  }
}

/** How many events of each name came, in lower case: names of events have no case. */
type ReceivedEvents = ReadonlyMap<string, number>;

function countByName(received: readonly ReceivedFact[]): ReceivedEvents {
  const counts = new Map<string, number>();
  for (const fact of received) {
    if (fact.type !== "event_raised") continue;
    const name = fact.name.toLowerCase();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

// The SDK's durable time is not one where the backend keeps no timestamps.
function plausible(time: Date | undefined): Date | undefined {
  return time !== undefined && time.getTime() > 0 ? time : undefined;
}

// A span that can't be made takes no other with it (K1).
function orLost(emit: () => void): void {
  isolated.run("a span was lost", emit);
}
