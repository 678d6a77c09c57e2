import type { EventWait, HistoryEvent, ObservedWaits, OrchestrationWorkItem } from "../../src/pipeline/index.ts";
import { timerOutcomes, waitOutcomes } from "../../src/telemetry/semconv.ts";
import { isolated } from "./faults.ts";
import type { TaskSpans } from "./task-spans.ts";

/** Whether a wait for an event, or a timer that the code canceled, ended in this episode. */
export function endsWaits({ waits }: OrchestrationWorkItem): boolean {
  return waits !== undefined && (waits.answeredEvents.length > 0 || waits.canceledTimers.length > 0);
}

/** A span to emit, later. */
type Emit = () => void;

/**
 * The spans of an episode's waits (telemetry.md S9): for external events, and for timers that did not fire in time. Each is
 * emitted once: in the episode in which it ended, or, if the code may still come back to it, when it is over for good.
 */
export class WaitSpans {
  readonly #item: OrchestrationWorkItem;
  readonly #spans: TaskSpans;
  readonly #hasTimers: boolean;

  /** @param hasTimers `false` if the backend makes the spans of timers. */
  constructor(item: OrchestrationWorkItem, spans: TaskSpans, hasTimers: boolean) {
    this.#item = item;
    this.#spans = spans;
    this.#hasTimers = hasTimers;
  }

  /** Those that ended in this episode. */
  ended(clock: { readonly durableNow: Date }): readonly Emit[] {
    const { waits } = this.#item;
    if (waits === undefined) return [];
    return isolated.run("the spans of waits were lost", () => this.#ended(waits, clock.durableNow)) ?? [];
  }

  #ended(waits: ObservedWaits, now: Date): readonly Emit[] {
    const emits: Emit[] = [];
    for (const wait of waits.answeredEvents) {
      if (wait.isNew) continue;
      // Each event answers one wait, in order.
      const at = this.#item.history.raisedAt(wait.name, wait.eventIndex) ?? now;
      // The event was there before the code waited for it.
      if (wait.beganAt !== undefined && at < wait.beganAt) continue;
      emits.push(() => this.#emitAnswered(wait, at));
    }
    if (waits.canceledTimers.length === 0 || !this.#hasTimers) return emits;
    const canceled = new Set(waits.canceledTimers);
    // A timer that was canceled in the episode that created it never existed, and is not in the history.
    for (const timer of [...this.#item.history.unfiredTimers(), ...this.#item.history.newEvents().filter(isFired)]) {
      const wait = waits.timer(timer.taskId);
      if (wait === undefined || !canceled.has(wait)) continue;
      emits.push(() => this.#spans.emitTimer(timer, wait.canceledAt ?? now, timerOutcomes.canceled));
    }
    return emits;
  }

  /** Those that the orchestration leaves when it finishes at `end`. @param hasFailed whether it failed. */
  left(end: Date, hasFailed: boolean): readonly Emit[] {
    return isolated.run("the spans of waits were lost", () => this.#left(end, hasFailed)) ?? [];
  }

  #left(end: Date, hasFailed: boolean): readonly Emit[] {
    const { waits, history } = this.#item;
    const emits: Emit[] = [];
    for (const wait of waits?.openEvents ?? []) {
      // What began in the last episode was no wait: no episode ended with it.
      if (wait.isNew) continue;
      const { lostAt } = wait;
      const outcome = lostAt === undefined ? waitOutcomes.unanswered : waitOutcomes.lost;
      emits.push(() => this.#spans.emitWait(wait, lostAt ?? end, outcome));
    }
    if (!this.#hasTimers) return emits;
    const outstanding = waits?.outstanding;
    // A timer that did not fire is outstanding, if the code created it again: code that fails may not have come so far.
    if (outstanding?.length === 0 && !hasFailed) return emits;
    const known = new Set(outstanding);
    for (const timer of history.unfiredTimers()) {
      const { taskId } = timer;
      const wait = waits?.timer(taskId);
      if (wait?.canceledAt !== undefined) continue;
      // Nobody knows whether code that failed before canceled it in an earlier episode: then it has its span.
      if (hasFailed && wait === undefined && !known.has(taskId) && !history.isOfLastEpisode(taskId)) continue;
      const outcome = wait?.lostAt === undefined ? timerOutcomes.unfired : timerOutcomes.lost;
      emits.push(() => this.#spans.emitTimer(timer, wait?.lostAt ?? end, outcome));
    }
    return emits;
  }

  /** The span of a timer that fired. */
  emitFired(event: TimerFired, at: Date): void {
    if (!this.#hasTimers) return;
    const wait = this.#item.waits?.timer(event.taskId);
    // It has its span already, or gets it with those that ended: the code canceled it before it knew that it fired.
    if (wait?.canceledAt !== undefined) return;
    const { lostAt } = wait ?? {};
    // It may have fired before the durable time of the race, that of its episode: the code got to know of that later.
    if (lostAt === undefined) this.#spans.emitTimer(event, at);
    else this.#spans.emitTimer(event, lostAt, timerOutcomes.lost);
  }

  #emitAnswered(wait: EventWait, at: Date): void {
    const { lostAt } = wait;
    // The event came too late: the code did not wait any more, and the SDK gave it to this wait all the same.
    if (lostAt === undefined) this.#spans.emitWait(wait, at, waitOutcomes.received);
    else this.#spans.emitWait(wait, lostAt, waitOutcomes.lost);
  }
}

type TimerFired = Extract<HistoryEvent, { type: "timer_fired" }>;
const isFired = (event: HistoryEvent): event is TimerFired => event.type === "timer_fired";
