/** The measurements that a task hub's history calls for, one for each durable fact; and how measurements are compared. */
import { HistoryEventType } from "@microsoft/durabletask-js";
import type { Attributes } from "@opentelemetry/api";
import { label } from "../logging/record-logs.ts";
import * as hubs from "../metrics/durable-facts.ts";

export interface Measurement {
  readonly instrument: string;
  readonly attributes: Attributes;
  /** Without one, the history does not tell it: how long a worker took, say. */
  readonly value?: number;
}

/** Whether it is of what rises and falls, of which only the last value counts. */
export const isLevel = ({ instrument }: Measurement): boolean => instrument === "durabletask.activity.active";

/** A log record of a durable fact. */
export interface LogOfFact {
  readonly eventName?: string | undefined;
  readonly attributes: Attributes;
}

/** A log record in short, as `factsOf` names it. */
export function labelOf({ eventName, attributes }: LogOfFact): string {
  const keys = ["durabletask.task.name", "durabletask.task.instance_id", "durabletask.task.task_id", "durabletask.task.status", "error.type"];
  const values = keys.map((key) => attributes[key]).map((value) => (typeof value === "string" || typeof value === "number" ? value : undefined));
  return label(eventName, ...values);
}

/** What the workers should have measured of finished executions. Levels are left out: they end at zero. */
export function measurementsOf(execution: hubs.Execution): Measurement[] {
  const { version, status, errorType } = execution;
  const name = { "durabletask.task.name": execution.name };
  const ofVersion = version === undefined ? name : { ...name, "durabletask.task.version": version };
  const error = (type: string | undefined): Attributes => (type === undefined ? {} : { "error.type": type });
  const episodes = hubs.episodes(execution);
  return [
    { instrument: "durabletask.orchestration.started", attributes: ofVersion, value: 1 },
    { instrument: "durabletask.orchestration.duration", attributes: { ...ofVersion, "durabletask.task.status": status, ...error(errorType) } },
    { instrument: "durabletask.orchestration.episodes", attributes: name, value: episodes.length },
    { instrument: "durabletask.orchestration.history.size", attributes: name, value: hubs.eventsAtTheFinish(execution) },
    ...episodes.flatMap((replayed, index): Measurement[] => {
      const outcome = index === episodes.length - 1 ? status.toLowerCase() : "waiting";
      return [
        { instrument: "durabletask.episode.duration", attributes: { ...name, "durabletask.outcome": outcome } },
        // What lies before the event that began the episode.
        { instrument: "durabletask.episode.replayed_events", attributes: name, value: replayed },
      ];
    }),
    ...hubs.attempts(execution).flatMap(({ turnaround, ...attempt }): Measurement[] => {
      const task = { "durabletask.task.name": attempt.name };
      const outcome = attempt.errorType === undefined ? "completed" : "failed";
      const itsVersion = attempt.version === undefined ? {} : { "durabletask.task.version": attempt.version };
      return [
        { instrument: "durabletask.activity.duration", attributes: { ...task, ...itsVersion, ...error(attempt.errorType) } },
        { instrument: "durabletask.activity.turnaround", attributes: { ...task, "durabletask.outcome": outcome }, value: turnaround },
      ];
    }),
    ...hubs.timerLags(execution).map((lag) => ({ instrument: "durabletask.timer.lag", attributes: name, value: lag })),
    ...retriesOf(execution),
  ];
}

// In the workflow each retried activity has a name of its own, and is called once.
function retriesOf({ events }: hubs.Execution): Measurement[] {
  const scheduled = events.flatMap((event) => (event.type === HistoryEventType.TaskScheduled && event.name.startsWith("flaky") ? [event.name] : []));
  const again = scheduled.filter((name, index) => scheduled.indexOf(name) < index);
  return again.map((name) => ({
    instrument: "durabletask.task.retries",
    attributes: { "durabletask.task.name": name, "durabletask.type": "activity" },
    value: 1,
  }));
}

/** Measurements with the same instrument and attributes, added up. */
export interface Total {
  readonly count: number;
  /** Rounded to a microsecond; `undefined` where the history does not tell it. */
  readonly sum: number | undefined;
}

/** What is added up: a measurement, or several as they were delivered. */
export interface Addend extends Measurement {
  readonly count?: number;
}

/** Adds up, by instrument and attributes. */
export function totalsOf(addends: readonly Addend[]): Record<string, Total> {
  const totals: Record<string, Total> = {};
  for (const { instrument, attributes, count = 1, value } of addends) {
    const sorted = Object.entries(attributes).toSorted(([one], [other]) => one.localeCompare(other));
    const key = [instrument, ...sorted.map(([name, text]) => `${name.replace("durabletask.", "")}=${JSON.stringify(text)}`)].join(" ");
    const before = totals[key] ?? { count: 0, sum: 0 };
    const sum = before.sum === undefined || value === undefined ? undefined : before.sum + value;
    totals[key] = { count: before.count + count, sum };
  }
  return Object.fromEntries(Object.entries(totals).map(([key, { count, sum }]) => [key, { count, sum: sum === undefined ? undefined : Number(sum.toFixed(6)) }]));
}

/** `totals` without the sums that `known` has none of. */
export function sumsKnownIn(known: Readonly<Record<string, Total>>, totals: Readonly<Record<string, Total>>): Record<string, Total> {
  const untold = new Set(Object.entries(known).flatMap(([key, { sum }]) => (sum === undefined ? [key] : [])));
  return Object.fromEntries(Object.entries(totals).map(([key, total]) => [key, untold.has(key) ? { ...total, sum: undefined } : total]));
}
