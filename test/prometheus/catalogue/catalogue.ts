/**
 * What an operator looks at: the series that Prometheus records, the alerts with their runbook, and the panels of the
 * dashboard. The files in `docs/prometheus`, `docs/grafana` and the runbook in `docs/dashboards.md` are generated from it.
 */
import {
  ATTR_CACHE_RESULT,
  ATTR_ERROR_TYPE,
  ATTR_HUB_NAME,
  ATTR_MIDDLEWARE,
  ATTR_OUTCOME,
  ATTR_TASK_NAME,
  ATTR_TASK_STATUS,
  ATTR_TYPE,
} from "../../../src/telemetry/semconv.ts";
import * as queries from "./queries.ts";
import type { Scope } from "./queries.ts";
import type { Spelling } from "./spelling.ts";

/** What the alerts ask for. Durations are PromQL durations, unless they end in `Seconds`. */
export interface Parameters {
  /** The window of rates in the rules. It fits scrape intervals of up to a fifth of it. */
  readonly window: string;
  /** How long an alert's condition lasts before it fires. */
  readonly holds: string;
  /** The fraction of finished orchestrations that may fail. */
  readonly failureRatio: number;
  /** How long the instance that was idle longest may be idle. */
  readonly idleSeconds: number;
  /** How long an instance may wait for its first episode. */
  readonly pendingSeconds: number;
  /** How late the 95th percentile of timers may be. */
  readonly timerLagSeconds: number;
  /** How long an activity may be in the queue, on average. */
  readonly queueSeconds: number;
  /** How many events an episode may replay on average, whether it grows or not. */
  readonly replayedEvents: number;
  /** The factor of growth that is reported, against `replayBefore` ago, from a tenth of `replayedEvents` on. */
  readonly replayGrowth: number;
  readonly replayBefore: string;
  /** How long a fault of telemetry is shown. */
  readonly faultsWindow: string;
  /** How old the last successful look at the task hub may be. */
  readonly observationSeconds: number;
  /** How long it is reported that nobody looks at a task hub any more. */
  readonly goneWindow: string;
}

export const defaults: Parameters = {
  window: "5m",
  holds: "10m",
  failureRatio: 0.05,
  idleSeconds: 86_400,
  pendingSeconds: 300,
  timerLagSeconds: 60,
  queueSeconds: 60,
  replayedEvents: 5000,
  replayGrowth: 1.5,
  replayBefore: "1d",
  faultsWindow: "15m",
  observationSeconds: 300,
  goneWindow: "1h",
};

/** A series that a rule records. */
export interface RecordedSeries {
  /** `LEVEL:METRIC:OPERATION`; the operation ends in the window. */
  readonly name: string;
  /** What it tells, without a full stop. */
  readonly description: string;
  readonly expression: string;
}

const levels = "durabletask_task_name";

function recordedName(metric: string, operation: string): string {
  return `${levels}:${metric}:${operation}`;
}

/** The names of the recorded series that alerts use, for a window. */
function names(window: string): Readonly<Record<"failures" | "timerLag" | "queueTime" | "replayedEvents", string>> {
  return {
    failures: recordedName("durabletask_orchestration_failures", `ratio_rate${window}`),
    timerLag: recordedName("durabletask_timer_lag_seconds", `p95_rate${window}`),
    queueTime: recordedName("durabletask_activity_queue_seconds", `mean_rate${window}`),
    replayedEvents: recordedName("durabletask_episode_replayed_events", `mean_rate${window}`),
  };
}

/** The series that the rules record. */
export function recorded(spelling: Spelling, { window }: Parameters): readonly RecordedSeries[] {
  const scope: Scope = { spelling, window };
  const used = names(window);
  return [
    {
      name: recordedName("durabletask_activity_duration_seconds", `p95_rate${window}`),
      description: "the 95th percentile of an activity's execution time, in seconds",
      expression: queries.activityDuration(0.95, scope),
    },
    {
      name: recordedName("durabletask_orchestration_duration_seconds", `p95_rate${window}`),
      description: "the 95th percentile of the time from an orchestration's start to its finish, in seconds",
      expression: queries.orchestrationDuration(0.95, scope),
    },
    {
      name: used.failures,
      description: "the fraction of finished orchestrations that failed, 0 to 1",
      expression: queries.failureRatio(scope),
    },
    {
      name: recordedName("durabletask_task_retries", `per_minute_rate${window}`),
      description: "the number of retries per minute",
      expression: queries.retries(scope),
    },
    {
      name: used.queueTime,
      description: "the mean time that an activity waited before a worker ran it, in seconds",
      expression: queries.queueTime(scope),
    },
    {
      name: recordedName("durabletask_activity_cache_hits", `ratio_rate${window}`),
      description: "the fraction of executions of a cached activity that did not have to run, 0 to 1",
      expression: queries.cacheHitRatio(scope),
    },
    {
      name: used.timerLag,
      description: "the 95th percentile of how late timers fired, in seconds",
      expression: queries.timerLag(0.95, scope),
    },
    {
      name: used.replayedEvents,
      description: "the mean number of events that an episode replayed",
      expression: queries.meanReplayedEvents(scope),
    },
  ];
}

/** An alert and what to do about it. */
export interface Alert {
  readonly name: string;
  readonly severity: "info" | "warning" | "critical";
  readonly expression: string;
  /** How long the expression has a result before the alert fires; at once without it. */
  readonly holds?: string;
  /** One line, with the template's values. */
  readonly summary: string;
  /** What it means that it fires. */
  readonly meaning: string;
  /** What to do, in order. */
  readonly steps: readonly string[];
}

/** The alerts, in the order of the runbook. */
export function alerts(spelling: Spelling, parameters: Parameters): readonly Alert[] {
  const { window, holds } = parameters;
  const scope: Scope = { spelling, window };
  const used = names(window);
  const task = spelling.labelValue(ATTR_TASK_NAME);
  const middleware = spelling.labels(ATTR_MIDDLEWARE, "instance");
  const faults = spelling.select("durabletask.middleware.errors");
  const grows = parameters.replayedEvents / 10;
  return [
    {
      name: "DurableTaskOrchestrationsFail",
      severity: "warning",
      expression: `${used.failures} > ${parameters.failureRatio}`,
      holds,
      summary: `{{ $value | humanizePercentage }} of the orchestrations ${task} fail.`,
      meaning: `For ${holds}, more than ${percent(parameters.failureRatio)} of the finishes of an orchestration are failures. Retries that succeed in the end are no failures. One that finishes less often than every ${window}, such as a nightly one, never fires: give it a copy of the rule with a longer window.`,
      steps: [
        "Open the panel “Failures by error type”: one type says one cause. The type is that of the root cause.",
        "Read the log records `durabletask.orchestration.finished` with the status `Failed` of that orchestration: each has the error's message, its causes and the instance ID.",
        "Open the trace of one of them, by the record's trace ID: the first span with an error, in the order of time, is what failed.",
        "If the cause is outside (a database, an API), mend that and start the failed instances again, or rewind them where the backend can.",
      ],
    },
    {
      name: "DurableTaskOrchestrationsStuck",
      severity: "critical",
      expression: `${queries.idleLongest(scope)} > ${parameters.idleSeconds}`,
      holds,
      summary: `An orchestration ${task} has not moved for {{ $value | humanizeDuration }}.`,
      meaning: `The running instance that has been idle longest had no event for more than ${seconds(parameters.idleSeconds)}. It waits for something that may never come. The value needs \`observeTaskHub\`.`,
      steps: [
        "Find the instance and what it waits for: the newest log record `durabletask.orchestration.waiting` of each instance has the events and timers that are out, and with `waiting: { tasks: true }` the tasks as well. It is a DEBUG record: the log store has to keep those.",
        "It waits for an event: ask whoever sends it, or raise the event by hand.",
        "It waits for an activity or a sub-orchestration: see whether a worker runs that at all (panel “Running activities”), and whether one was killed while it ran.",
        "It waits for a timer that is past due: see the alert `DurableTaskTimersLate`.",
        "If so long a wait is normal, raise the threshold of this alert for that orchestration.",
      ],
    },
    {
      name: "DurableTaskOrchestrationsPending",
      severity: "critical",
      expression: `${queries.oldestPending(scope)} > ${parameters.pendingSeconds}`,
      holds,
      summary: `An orchestration ${task} has waited {{ $value | humanizeDuration }} for its first episode.`,
      meaning: `An instance was scheduled more than ${seconds(parameters.pendingSeconds)} ago, and no worker took it. The value needs \`observeTaskHub\`.`,
      steps: [
        "See whether workers run and are connected to this task hub: the panel “Started and finished” shows whether they take other orchestrations.",
        "If they do, none of them registers this name, or the version that was asked for: compare the name with what the workers register.",
        "If the instance was scheduled with a start time in the future, nothing is wrong.",
      ],
    },
    {
      name: "DurableTaskTimersLate",
      severity: "warning",
      expression: `${used.timerLag} > ${parameters.timerLagSeconds}`,
      holds,
      summary: `Timers of the orchestrations ${task} fire {{ $value | humanizeDuration }} late.`,
      meaning: `For ${holds}, one in twenty timers fired more than ${seconds(parameters.timerLagSeconds)} after it was due. Time limits and retries are late as well.`,
      steps: [
        "Look at the task hub: timers are its work. See whether it is overloaded, was restarted, or its clock differs from that of the workers.",
        "See whether the workers were down: a backend fires a timer late if nobody takes the work item.",
        "After a restart of the hub, overdue timers all fire at once, and the alert ends by itself.",
      ],
    },
    {
      name: "DurableTaskActivitiesQueue",
      severity: "warning",
      expression: `${used.queueTime} > ${parameters.queueSeconds}`,
      holds,
      summary: `The activity ${task} waits {{ $value | humanizeDuration }} for a worker.`,
      meaning: `For ${holds}, the mean time between the scheduling of an activity and its execution is more than ${seconds(parameters.queueSeconds)}: turnaround minus duration.`,
      steps: [
        "Compare the panels “Queue time” and “Duration of activities”: if durations grew first, mend the slow activity.",
        "If durations are as ever, there are too few workers for the load: add some.",
        "An activity that computes without a pause keeps a worker from all others: move it to a worker thread or to workers of its own.",
      ],
    },
    {
      name: "DurableTaskReplayGrows",
      severity: "warning",
      expression: [
        `${used.replayedEvents} > ${parameters.replayedEvents}`,
        "or",
        "(",
        `    ${used.replayedEvents} > ${grows}`,
        "  and",
        `    ${used.replayedEvents} > ${parameters.replayGrowth} * ${used.replayedEvents} offset ${parameters.replayBefore}`,
        ")",
      ].join("\n"),
      holds,
      summary: `Each episode of ${task} replays {{ $value | humanize }} events.`,
      meaning: `For ${holds}, an episode replays more than ${parameters.replayedEvents} events on average, or more than ${grows} and ${parameters.replayGrowth} times as many as ${parameters.replayBefore} ago. Every episode replays the whole history, so the cost of an instance grows with the square of its steps.`,
      steps: [
        "See which orchestration it is, and whether it loops: the panel “Replayed events per episode” that rises steadily says so.",
        "End a loop's round with `continueAsNew`, or move steps into sub-orchestrations, each of which has a history of its own.",
        "A fan-out of thousands of tasks is split into sub-orchestrations in the same way.",
        "Running instances keep their histories: deploy the change so that old ones replay as before, and let them finish.",
      ],
    },
    {
      name: "DurableTaskActivityCacheFails",
      severity: "warning",
      expression: `${queries.cacheErrors(scope)} > 0`,
      holds,
      summary: `The cache of the activity ${task} has errors; the activity runs each time.`,
      meaning: `For ${holds}, the store of the activity cache fails or is too slow. Nothing fails: the activity runs.`,
      steps: [
        "Read the worker's warnings: each cause is logged once a minute, with the store's own error.",
        "See whether the store (Redis, PostgreSQL) is up and can be reached from the workers.",
        "Watch what the activity calls: it now gets the whole load.",
      ],
    },
    {
      name: "DurableTaskTelemetryFaults",
      severity: "info",
      // A counter that was not there before has no increase, so the first fault of all is looked for too.
      expression: [
        `sum by (${middleware}) (increase(${faults}[${parameters.faultsWindow}])) > 0`,
        "or",
        "(",
        `    sum by (${middleware}) (${faults})`,
        "  unless",
        `    sum by (${middleware}) (${faults} offset ${parameters.faultsWindow})`,
        ")",
      ].join("\n"),
      summary: `Faults of telemetry were isolated in ${spelling.labelValue(ATTR_MIDDLEWARE)} on {{ $labels.instance }}; some of it is missing.`,
      meaning: `In the last ${parameters.faultsWindow}, this package isolated a fault of telemetry: a callback, processor or instrument that threw. No orchestration was harmed; some telemetry is missing.`,
      steps: [
        "Read the worker's warnings, or `diag`: each cause is logged once a minute, with its count and its error.",
        "Most faults are in a callback of your own (`attributes`, `redact`, `key`): mend it.",
        "While it lasts, do not trust the absence of spans and records.",
      ],
    },
    {
      name: "DurableTaskHubUnobserved",
      severity: "warning",
      expression: [
        `${queries.observationAge(scope)} > ${parameters.observationSeconds}`,
        "or",
        `${queries.observationComplete(scope)} == 0`,
        "or",
        queries.observationGone({ spelling, window: parameters.goneWindow }),
      ].join("\n"),
      holds,
      summary: "observeTaskHub does not see the whole task hub; the numbers of waiting orchestrations are too low.",
      meaning: `For ${holds}, the last look at the task hub that succeeded is older than ${seconds(parameters.observationSeconds)}, or looks end at a limit before they have seen all instances, or what was reported within ${parameters.goneWindow} is reported no more.`,
      steps: [
        "See whether the process that calls `observeTaskHub` runs. If it is gone for good, the alert ends by itself.",
        "Read the warnings of that process, on its console if `diag` has no logger: they have the error, or the limit that cut a look.",
        "If a limit did (`maxInstances`, `timeout`), raise it, or see why so many instances do not finish.",
        `If the option \`interval\` is longer than ${seconds(parameters.observationSeconds)}, raise the threshold of this alert.`,
        "Until then, the alerts `DurableTaskOrchestrationsStuck` and `DurableTaskOrchestrationsPending` may miss instances.",
      ],
    },
  ];
}

/** One line or set of lines of a panel. */
interface PanelQuery {
  readonly expression: (scope: Scope) => string;
  /** The legend: text, with the values of these attributes. */
  readonly legend: readonly string[];
}

export interface Panel {
  readonly title: string;
  /** What it shows, and what to do about it. */
  readonly description: string;
  readonly kind: "stat" | "timeseries";
  readonly unit: "seconds" | "ratio" | "perMinute" | "count";
  readonly queries: readonly PanelQuery[];
  /** From here on the value is marked as bad. */
  readonly threshold?: number;
  /** What a stat says where there is no series. */
  readonly without?: string;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const attribute = (key: string): string => `{${key}}`;
/** The attribute that is in braces in a part of a legend. */
export const legendAttribute: RegExp = /^\{(.+)\}$/;
const byName = [attribute(ATTR_TASK_NAME)];
const byHub = attribute(ATTR_HUB_NAME);

function quantiles(query: (quantile: number, scope: Scope) => string): readonly PanelQuery[] {
  return [0.5, 0.95, 0.99].map((quantile) => ({
    expression: (scope) => query(quantile, scope),
    legend: [...byName, `p${quantile * 100}`],
  }));
}

const one = (expression: PanelQuery["expression"], ...legend: readonly string[]): readonly PanelQuery[] => [
  { expression, legend },
];

/** The rows of the dashboard. */
export const rows: readonly Row[] = [
  {
    title: "Now",
    panels: [
      {
        title: "In flight",
        description:
          "Orchestrations of the task hub that have not finished, by status. If Pending grows, no worker takes them: see whether workers run. Needs observeTaskHub.",
        kind: "stat",
        unit: "count",
        queries: one(queries.hubByStatus, attribute(ATTR_TASK_STATUS)),
        without: "observeTaskHub sees nothing",
      },
      {
        title: "Oldest",
        description:
          "Age of the oldest orchestration in each status. If it is older than its business allows, find it by the log records durabletask.orchestration.waiting. Needs observeTaskHub.",
        kind: "stat",
        unit: "seconds",
        queries: one(queries.oldestByStatus, attribute(ATTR_TASK_STATUS)),
        without: "observeTaskHub sees nothing",
      },
      {
        title: "Idle longest",
        description:
          "How long the running orchestration that has been waiting longest had no event. If nothing should take so long, it is stuck: see the runbook of DurableTaskOrchestrationsStuck. Needs observeTaskHub.",
        kind: "stat",
        unit: "seconds",
        queries: one(queries.idleLongest, ...byName, byHub),
        threshold: defaults.idleSeconds,
        without: "observeTaskHub sees nothing",
      },
      {
        title: "Failure ratio",
        description:
          "The fraction of the orchestrations that finished and failed. If it is red, go to “Failures by error type” below.",
        kind: "stat",
        unit: "ratio",
        queries: one(queries.failureRatioOfAll, "failed"),
        threshold: defaults.failureRatio,
        without: "nothing finished",
      },
      {
        title: "Faults of telemetry in an hour",
        description:
          "Faults of telemetry that were isolated. If there are any, read the worker's warnings: some spans or records are missing.",
        kind: "stat",
        unit: "count",
        queries: one(queries.faultsInHour, "faults"),
        threshold: 1,
        without: "0",
      },
      {
        title: "Last look at the task hub",
        description:
          "How long ago observeTaskHub last saw the hub. If it is red, the numbers beside it are old: read the warnings of the process that observes.",
        kind: "stat",
        unit: "seconds",
        queries: one(queries.observationAge, "ago", byHub),
        threshold: defaults.observationSeconds,
        without: "observeTaskHub sees nothing",
      },
    ],
  },
  {
    title: "Orchestrations",
    panels: [
      {
        title: "Duration of orchestrations",
        description:
          "From the start to the finish, waiting included. If it grows, see below what grew: the activities, their queue, or the waits.",
        kind: "timeseries",
        unit: "seconds",
        queries: quantiles(queries.orchestrationDuration),
      },
      {
        title: "Started and finished",
        description:
          "Per minute. If more start than finish for long, work piles up: see “In flight by name” and “Queue time”.",
        kind: "timeseries",
        unit: "perMinute",
        queries: [
          { expression: queries.started, legend: [...byName, "started"] },
          { expression: queries.finishedByStatus, legend: [attribute(ATTR_TASK_STATUS)] },
        ],
      },
      {
        title: "Failure ratio by name",
        description:
          "The fraction of the orchestrations that finished and failed. If one name stands out, read its failed log records; if all do, look at what they share.",
        kind: "timeseries",
        unit: "ratio",
        queries: one(queries.failureRatio, ...byName),
        threshold: defaults.failureRatio,
      },
      {
        title: "Failures by error type",
        description:
          "Failed orchestrations per minute, by the type of the root cause. If one type dominates, search the log for it: the record has the message, the causes and the trace ID.",
        kind: "timeseries",
        unit: "perMinute",
        queries: one(queries.failuresByType, ...byName, attribute(ATTR_ERROR_TYPE)),
      },
      {
        title: "In flight by name",
        description:
          "Executions that have not finished: as the task hub reports it, as the workers count it, and started minus finished; the last two lack what was counted by workers that are gone. If one name grows without end, its instances do not finish: look at what they wait for.",
        kind: "timeseries",
        unit: "count",
        queries: [
          { expression: queries.hubByName, legend: [...byName, "in the hub"] },
          { expression: queries.active, legend: [...byName, "active"] },
          { expression: queries.startedMinusFinished, legend: [...byName, "started minus finished"] },
        ],
      },
      {
        title: "Idle longest by name",
        description:
          "How long the running orchestration that has been waiting longest had no event. If the line rises with the clock, the same instance waits on: find it by the log records durabletask.orchestration.waiting.",
        kind: "timeseries",
        unit: "seconds",
        queries: one(queries.idleLongest, ...byName, byHub),
        threshold: defaults.idleSeconds,
      },
    ],
  },
  {
    title: "Activities",
    panels: [
      {
        title: "Duration of activities",
        description:
          "How long one execution took on a worker. If p99 grows and p50 does not, some calls hang: open slow traces of that activity.",
        kind: "timeseries",
        unit: "seconds",
        queries: quantiles(queries.activityDuration),
      },
      {
        title: "Queue time",
        description:
          "Mean turnaround minus mean duration: how long an activity waited for a worker. If it grows, add workers, or look for activities that block one.",
        kind: "timeseries",
        unit: "seconds",
        queries: one(queries.queueTime, ...byName),
        threshold: defaults.queueSeconds,
      },
      {
        title: "Turnaround of activities",
        description:
          "From scheduled to completed, as the orchestration sees it. If it grows and the duration does not, the queue is the cause.",
        kind: "timeseries",
        unit: "seconds",
        queries: quantiles(queries.activityTurnaround),
      },
      {
        title: "Failure ratio of activities",
        description:
          "The fraction of executions that failed, those that were retried included. If it grows while orchestrations do not fail, retries hide it: mend it before they run out.",
        kind: "timeseries",
        unit: "ratio",
        queries: one(queries.activityFailureRatio, ...byName),
      },
      {
        title: "Retries",
        description:
          "Attempts after the first, per minute. If they rise, what the activity calls is failing: read its failed log records.",
        kind: "timeseries",
        unit: "perMinute",
        queries: one(queries.retries, ...byName, attribute(ATTR_TYPE)),
      },
      {
        title: "Running activities",
        description:
          "Activities that run on workers now. If it is flat at a limit, workers are full; if it is zero while orchestrations wait for activities, no worker takes them.",
        kind: "timeseries",
        unit: "count",
        queries: one(queries.activitiesRunning, ...byName),
      },
      {
        title: "Cache hit ratio",
        description:
          "The fraction of executions of a cached activity that did not have to run. If it drops, the store was emptied, the time to live is too short, or the inputs changed.",
        kind: "timeseries",
        unit: "ratio",
        queries: one(queries.cacheHitRatio, ...byName),
      },
      {
        title: "Cache requests",
        description:
          "Requests to the activity cache per minute, by result. If there are errors, look at the store; if there are bypasses, the inputs have no canonical form.",
        kind: "timeseries",
        unit: "perMinute",
        queries: one(queries.cacheRequestsByResult, attribute(ATTR_CACHE_RESULT)),
      },
    ],
  },
  {
    title: "Timers and replay",
    panels: [
      {
        title: "Timer lag",
        description:
          "How late timers fired. If it grows, look at the task hub: load, restarts, clocks. See the runbook of DurableTaskTimersLate.",
        kind: "timeseries",
        unit: "seconds",
        queries: quantiles(queries.timerLag),
        threshold: defaults.timerLagSeconds,
      },
      {
        title: "Duration of episodes",
        description:
          "How long a worker processed an episode, replay included. If it grows with the replayed events, histories are too long; if not, the orchestrator computes.",
        kind: "timeseries",
        unit: "seconds",
        queries: quantiles(queries.episodeDuration),
      },
      {
        title: "Replayed events per episode",
        description:
          "Mean and 95th percentile. If it rises steadily, an orchestration loops without continueAsNew: see the runbook of DurableTaskReplayGrows.",
        kind: "timeseries",
        unit: "count",
        queries: [
          { expression: queries.meanReplayedEvents, legend: [...byName, "mean"] },
          { expression: (scope) => queries.replayedEvents(0.95, scope), legend: [...byName, "p95"] },
        ],
        threshold: defaults.replayedEvents,
      },
      {
        title: "Replay cost",
        description:
          "Seconds of worker time per second that episodes take, by how they end. If one name takes most of it, shorten its history; 1 is a whole core.",
        kind: "timeseries",
        unit: "seconds",
        queries: one(queries.episodeSeconds, ...byName, attribute(ATTR_OUTCOME)),
      },
      {
        title: "History and episodes at the finish",
        description:
          "The 95th percentile of the events in the history, and of the episodes that an orchestration took. If they grow, split the orchestration before replay gets dear.",
        kind: "timeseries",
        unit: "count",
        queries: [
          { expression: (scope) => queries.historySize(0.95, scope), legend: [...byName, "events"] },
          { expression: (scope) => queries.episodes(0.95, scope), legend: [...byName, "episodes"] },
        ],
      },
      {
        title: "Replay after a deploy",
        description:
          "An estimate of the events that new code replays: orchestrations in flight times the mean number of replayed events. If it is not zero, the new code must take the same steps as the old, or have a version of its own.",
        kind: "timeseries",
        unit: "count",
        queries: one(queries.replayAfterDeploy, ...byName),
      },
    ],
  },
  {
    title: "Telemetry",
    panels: [
      {
        title: "Faults of telemetry",
        description:
          "Isolated faults per minute, by middleware. If there are any, read the worker's warnings; most are in a callback of your own.",
        kind: "timeseries",
        unit: "perMinute",
        queries: one(queries.faults, attribute(ATTR_MIDDLEWARE)),
      },
      {
        title: "Looks at the task hub",
        description:
          "1 if observeTaskHub saw all instances, 0 if a limit or an error cut the look. If it is 0, read the warnings of the process that observes: they name the limit or the error.",
        kind: "timeseries",
        unit: "count",
        queries: one(queries.observationComplete, "complete", byHub),
      },
    ],
  },
];

function percent(value: number): string {
  return `${value * 100}%`;
}

function seconds(value: number): string {
  if (value % 86_400 === 0) return value === 86_400 ? "a day" : `${value / 86_400} days`;
  if (value % 60 === 0) return value === 60 ? "a minute" : `${value / 60} minutes`;
  return `${value} seconds`;
}
