/** What a task hub's history calls for: measurements and log records, exactly once per history event; and how they are compared. */
import { HistoryEventType, type HistoryEvent } from "@microsoft/durabletask-js";
import type { Attributes } from "@opentelemetry/api";
import { expectedRecord } from "../logging/expected-events.ts";
import { label } from "../logging/record-logs.ts";
import * as hubs from "../metrics/expected-measurements.ts";

export interface Measurement {
  readonly instrument: string;
  readonly attributes: Attributes;
  /** Undefined for a value that history does not contain, such as how long a worker took. */
  readonly value?: number;
}

/** Whether it is of what rises and falls, of which only the last value counts. */
export const isLevel = ({ instrument }: Measurement): boolean => instrument === "durabletask.activity.active";

/** A log record of a history event. */
export interface EventRecord {
  readonly eventName?: string | undefined;
  readonly attributes: Attributes;
}

/** A log record in short, as `expectedRecords` names it. */
export function labelOf({ eventName, attributes }: EventRecord): string {
  const keys = [
    "durabletask.task.name",
    "durabletask.task.instance_id",
    "durabletask.task.task_id",
    "durabletask.task.status",
    "error.type",
  ];
  const values = keys
    .map((key) => attributes[key])
    .map((value) => (typeof value === "string" || typeof value === "number" ? value : undefined));
  return label(eventName, ...values);
}

/** A work item of a finished execution, and what its worker has to tell of it. */
export interface WorkItem {
  /** The same as in a process's own account. */
  readonly key: string;
  /** The log records that are due when it starts, in short. */
  readonly atStart: readonly string[];
  /** Those that are due when the hub has taken its response. */
  readonly logs: readonly string[];
  /** The measurements that are due then; levels are left out, as they end at zero. */
  readonly measurements: readonly Measurement[];
}

/** The work items of a finished execution: between them they have all that there is to tell of it. */
export const workItemsOf = (execution: hubs.Execution): WorkItem[] => [
  ...episodesOf(execution),
  ...activitiesOf(execution),
];

function episodesOf(execution: hubs.Execution): WorkItem[] {
  const { name, version, status, errorType, events } = execution;
  const [instanceId] = hubs.ids(execution);
  const task = { "durabletask.task.name": name };
  const ofVersion = version === undefined ? task : { ...task, "durabletask.task.version": version };
  const begins = hubs.episodes(execution);
  return begins.map((replayed, index): WorkItem => {
    const isLast = index === begins.length - 1;
    const end = begins[index + 1] ?? events.length;
    // What a list that grows with the history has more of after the episode than before it.
    const fresh = <T>(list: (of: hubs.Execution) => readonly T[]): readonly T[] =>
      list({ ...execution, events: events.slice(0, end) }).slice(
        list({ ...execution, events: events.slice(0, replayed) }).length,
      );
    const records = events.slice(replayed, end).map((event) => expectedRecord(event, events, name, instanceId));
    const started: Measurement = { instrument: "durabletask.orchestration.started", attributes: ofVersion, value: 1 };
    const ending = { ...ofVersion, "durabletask.task.status": status, ...errorOf(errorType) };
    const finish: Measurement[] = [
      { instrument: "durabletask.orchestration.duration", attributes: ending },
      { instrument: "durabletask.orchestration.episodes", attributes: task, value: begins.length },
      {
        instrument: "durabletask.orchestration.history.size",
        attributes: task,
        value: hubs.eventsAtTheFinish(execution),
      },
    ];
    return {
      key: `${instanceId} episode ${index + 1}`,
      atStart: [],
      logs: records.flatMap((record) => (record?.startsWith("orchestration.") ? [record] : [])),
      measurements: [
        {
          instrument: "durabletask.episode.duration",
          attributes: { ...task, "durabletask.outcome": isLast ? status.toLowerCase() : "waiting" },
        },
        // What lies before the event that began the episode.
        { instrument: "durabletask.episode.replayed_events", attributes: task, value: replayed },
        ...(index === 0 ? [started] : []),
        ...fresh(hubs.attempts).map(turnaroundOf),
        ...fresh(hubs.timerLags).map((value): Measurement => ({
          instrument: "durabletask.timer.lag",
          attributes: task,
          value,
        })),
        ...fresh(retriesOf),
        ...(isLast ? finish : []),
      ],
    };
  });
}

// Those that have ended.
function activitiesOf(execution: hubs.Execution): WorkItem[] {
  const { name, events } = execution;
  const [instanceId] = hubs.ids(execution);
  return hubs.attempts(execution).map(({ taskId, name: activity, version, errorType }) => {
    const isOfTask = (event: HistoryEvent): boolean =>
      ("taskScheduledId" in event && event.taskScheduledId === taskId) ||
      (event.type === HistoryEventType.TaskScheduled && event.eventId === taskId);
    const [start = "", ...ends] = events
      .filter(isOfTask)
      .map((event) => expectedRecord(event, events, name, instanceId) ?? "");
    const itsVersion = version === undefined ? {} : { "durabletask.task.version": version };
    const attributes = { "durabletask.task.name": activity, ...itsVersion, ...errorOf(errorType) };
    return {
      key: `${instanceId} task ${taskId}`,
      atStart: [start],
      logs: ends,
      measurements: [{ instrument: "durabletask.activity.duration", attributes }],
    };
  });
}

const errorOf = (type: string | undefined): Attributes => (type === undefined ? {} : { "error.type": type });

const turnaroundOf = ({ name, errorType, turnaround }: hubs.Attempt): Measurement => ({
  instrument: "durabletask.activity.turnaround",
  attributes: {
    "durabletask.task.name": name,
    "durabletask.outcome": errorType === undefined ? "completed" : "failed",
  },
  value: turnaround,
});

// In the workflow each retried activity has a name of its own, and is called once.
function retriesOf({ events }: hubs.Execution): Measurement[] {
  const scheduled = events.flatMap((event) =>
    event.type === HistoryEventType.TaskScheduled && event.name.startsWith("flaky") ? [event.name] : [],
  );
  const again = scheduled.filter((name, index) => scheduled.indexOf(name) < index);
  const attempts = new Map<string, number>();
  return again.map((name) => {
    const attempt = (attempts.get(name) ?? 1) + 1;
    attempts.set(name, attempt);
    return {
      instrument: "durabletask.task.retries",
      attributes: {
        "durabletask.task.name": name,
        "durabletask.type": "activity",
        "durabletask.task.attempt": String(attempt),
      },
      value: 1,
    };
  });
}

// A measurement's instrument and attributes, in short.
function keyOf({ instrument, attributes }: Measurement): string {
  const sorted = Object.entries(attributes).toSorted(([one], [other]) => one.localeCompare(other));
  return [
    instrument,
    ...sorted.map(([name, text]) => `${name.replace("durabletask.", "")}=${JSON.stringify(text)}`),
  ].join(" ");
}

/** A measurement in short, with the value if it is one that the history tells. */
export function measured({ value, ...measurement }: Measurement): string {
  const isTold = value !== undefined && !measurement.instrument.endsWith(".duration");
  return isTold ? `${keyOf(measurement)} ${Number(value.toFixed(6))}` : keyOf(measurement);
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
    const key = keyOf({ instrument, attributes });
    const before = totals[key] ?? { count: 0, sum: 0 };
    const sum = before.sum === undefined || value === undefined ? undefined : before.sum + value;
    totals[key] = { count: before.count + count, sum };
  }
  return Object.fromEntries(
    Object.entries(totals).map(([key, { count, sum }]) => [
      key,
      { count, sum: sum === undefined ? undefined : Number(sum.toFixed(6)) },
    ]),
  );
}

/** `totals` without the sums that `known` has none of. */
export function sumsKnownIn(
  known: Readonly<Record<string, Total>>,
  totals: Readonly<Record<string, Total>>,
): Record<string, Total> {
  const untold = new Set(Object.entries(known).flatMap(([key, { sum }]) => (sum === undefined ? [key] : [])));
  return Object.fromEntries(
    Object.entries(totals).map(([key, total]) => [key, untold.has(key) ? { ...total, sum: undefined } : total]),
  );
}
