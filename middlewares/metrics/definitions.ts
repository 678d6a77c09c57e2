/** The definition of an instrument. */
export interface InstrumentDefinition {
  readonly kind: "counter" | "up-down counter" | "histogram";
  readonly unit: string;
  readonly description: string;
  /** The upper bounds of a histogram's buckets, as advice: a view of the user's wins. */
  readonly buckets?: readonly number[];
}

/** All instruments. */
export type InstrumentName =
  | "durabletask.orchestration.started"
  | "durabletask.orchestration.active"
  | "durabletask.orchestration.duration"
  | "durabletask.orchestration.episodes"
  | "durabletask.orchestration.history.size"
  | "durabletask.episode.duration"
  | "durabletask.episode.replayed_events"
  | "durabletask.activity.duration"
  | "durabletask.activity.turnaround"
  | "durabletask.activity.active"
  | "durabletask.activity.cache.requests"
  | "durabletask.task.retries"
  | "durabletask.timer.lag"
  | "durabletask.middleware.errors";

// From activities of a millisecond to orchestrations of a month, in one list, so that all durations can be compared:
// up to half a minute; then 1, 5 and 15 minutes; 1, 4 and 12 hours; 1, 3, 7 and 30 days.
const seconds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200,
  86_400, 259_200, 604_800, 2_592_000,
];
// Zero has a bucket of its own: a first episode replays nothing.
const counts: readonly number[] = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000];

export const definitions: Readonly<Record<InstrumentName, InstrumentDefinition>> = {
  "durabletask.orchestration.started": {
    kind: "counter",
    unit: "{orchestration}",
    description: "Executions of orchestrations that started.",
  },
  "durabletask.orchestration.active": {
    kind: "up-down counter",
    unit: "{orchestration}",
    description: "Executions that started and have not finished, as the responses of this worker changed it.",
  },
  "durabletask.orchestration.duration": {
    kind: "histogram",
    unit: "s",
    description: "Time from the start of an orchestration's first episode to its finish.",
    buckets: seconds,
  },
  "durabletask.orchestration.episodes": {
    kind: "histogram",
    unit: "{episode}",
    description: "Episodes that an orchestration took, at its finish.",
    buckets: counts,
  },
  "durabletask.orchestration.history.size": {
    kind: "histogram",
    unit: "{event}",
    description: "Events in an orchestration's history that its last episode was given, at its finish.",
    buckets: counts,
  },
  "durabletask.episode.duration": {
    kind: "histogram",
    unit: "s",
    description: "Time that a worker took for an episode, replay included.",
    buckets: seconds,
  },
  "durabletask.episode.replayed_events": {
    kind: "histogram",
    unit: "{event}",
    description: "Events of earlier episodes that an episode replayed.",
    buckets: counts,
  },
  "durabletask.activity.duration": {
    kind: "histogram",
    unit: "s",
    description: "Time that a worker took for an execution of an activity.",
    buckets: seconds,
  },
  "durabletask.activity.turnaround": {
    kind: "histogram",
    unit: "s",
    description: "Time from the scheduling of an activity to its completion in the orchestration's history.",
    buckets: seconds,
  },
  "durabletask.activity.active": {
    kind: "up-down counter",
    unit: "{activity}",
    description: "Activities that run on this worker now.",
  },
  "durabletask.activity.cache.requests": {
    kind: "counter",
    unit: "{request}",
    description: "Executions of activities that the activity cache is configured for.",
  },
  "durabletask.task.retries": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts of activities and sub-orchestrations that were scheduled after a failed one.",
  },
  "durabletask.timer.lag": {
    kind: "histogram",
    unit: "s",
    description: "Time from when a timer was due to when it fired.",
    buckets: seconds,
  },
  "durabletask.middleware.errors": {
    kind: "counter",
    unit: "{error}",
    description: "Faults of telemetry that were isolated.",
  },
};
