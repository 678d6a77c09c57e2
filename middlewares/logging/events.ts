import type { Attributes } from "@opentelemetry/api";
import type {
  ActivityOutcome,
  ActivityWorkItem,
  EpisodeOutcome,
  GivenUpTask,
  OrchestrationWorkItem,
  ScheduledTask,
  TaskFailure,
  WorkItem,
} from "../../src/pipeline/index.ts";
import { messageWithCauses, rootCause } from "../../src/telemetry/failure-causes.ts";
import { originOf } from "../../src/telemetry/origins.ts";
import type { Level } from "./write.ts";
import { exceptionAttributes } from "./exception.ts";
import {
  ATTR_CACHE_RESULT,
  ATTR_CUSTOM_STATUS,
  ATTR_ERROR_TYPE,
  ATTR_GAVE_UP_ATTEMPTS,
  ATTR_GAVE_UP_TASK,
  ATTR_RECORDED_ERROR_TYPE,
  ATTR_TASK_STATUS,
  logEvents,
} from "../../src/telemetry/semconv.ts";

/** The parts of a record that describe a history event (telemetry.md L1), without the work item's identity. */
export interface LogEvent {
  readonly eventName: string;
  readonly level: Level;
  readonly line: string;
  readonly attributes: Attributes;
  readonly at: Date | undefined;
}

export function orchestrationStarted(item: OrchestrationWorkItem, input: Attributes): LogEvent {
  return {
    eventName: logEvents.orchestrationStarted,
    level: "info",
    line: `Orchestration ${item.name} started${ofInstance(item)}`,
    attributes: input,
    at: item.history.startedAt,
  };
}

/** The orchestration was suspended or resumed. */
export function suspensionChanged(
  item: OrchestrationWorkItem,
  change: "suspended" | "resumed",
  at: Date | undefined,
): LogEvent {
  return {
    eventName: change === "suspended" ? logEvents.orchestrationSuspended : logEvents.orchestrationResumed,
    level: "info",
    line: `Orchestration ${item.name} was ${change}${ofInstance(item)}`,
    attributes: {},
    at,
  };
}

/** @param status what is recorded of it. */
export function customStatusChanged(
  item: OrchestrationWorkItem,
  status: string | undefined,
  at: Date | undefined,
): LogEvent {
  return {
    eventName: logEvents.orchestrationCustomStatus,
    level: "info",
    line: `Orchestration ${item.name} set its custom status${status === undefined ? "" : ` to ${status}`}${ofInstance(item)}`,
    attributes: status === undefined ? {} : { [ATTR_CUSTOM_STATUS]: status },
    at: at !== undefined && at.getTime() > 0 ? at : undefined,
  };
}

/**
 * The tasks that a retry policy or handler decided not to retry, though their attempts were logged as ones that can be
 * (telemetry.md L5). The history is read once for all of them: there may be many in one episode.
 */
export function tasksGivenUp(item: OrchestrationWorkItem, tasks: readonly GivenUpTask[]): readonly LogEvent[] {
  const taskIds = tasks.map(({ taskId }) => taskId);
  const scheduled = new Map(item.history.scheduledAs(taskIds).tasks.map((task) => [task.taskId, task]));
  const failures = item.history.failuresOf(taskIds);
  return tasks.map((task) => taskGivenUp(item, task, scheduled.get(task.taskId), failures.get(task.taskId)));
}

function taskGivenUp(
  item: OrchestrationWorkItem,
  { taskId, attempts, at }: GivenUpTask,
  scheduled: ScheduledTask | undefined,
  failure: TaskFailure | undefined,
): LogEvent {
  const task = scheduled === undefined ? `task #${taskId}` : taskInWords(scheduled);
  const after = `after ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`;
  return {
    eventName: logEvents.taskGaveUp,
    level: "error",
    line: `Orchestration ${item.name} gave up on ${task} ${after}${ofInstance(item)}${failureText(failure)}`,
    attributes: {
      [ATTR_GAVE_UP_TASK]: task,
      [ATTR_GAVE_UP_ATTEMPTS]: attempts,
      // The record of the attempt has the exception.
      ...(failure === undefined ? {} : { [ATTR_ERROR_TYPE]: failure.type }),
    },
    at,
  };
}

/** A task of an orchestration, in the words of its records. */
export function taskInWords({ type, name, taskId }: ScheduledTask): string {
  return name === "" ? `${type} #${taskId}` : `${type} ${name} #${taskId}`;
}

const endings = {
  completed: { status: "Completed", level: "info", verb: "completed" },
  failed: { status: "Failed", level: "error", verb: "failed" },
  terminated: { status: "Terminated", level: "warn", verb: "was terminated" },
  continued_as_new: { status: "ContinuedAsNew", level: "info", verb: "continued as new" },
} as const;

/** How the orchestration ended in an episode; `undefined` if it continues. */
export function orchestrationEnded(
  item: OrchestrationWorkItem,
  outcome: EpisodeOutcome,
  output: Attributes,
  at: Date,
): LogEvent | undefined {
  if (outcome.status === "waiting") return undefined;
  const line = (verb: string): string => `Orchestration ${item.name} ${verb}${ofInstance(item)}`;
  if (outcome.status === "rewound") {
    return { eventName: logEvents.orchestrationRewound, level: "info", line: line("was rewound"), attributes: {}, at };
  }
  const { status, level, verb } = endings[outcome.status];
  const failure = outcome.status === "failed" ? outcome.failure : undefined;
  return {
    eventName: logEvents.orchestrationFinished,
    level: failure === undefined ? level : failureLevel(item),
    line: `${line(verb)}${failureText(failure)}`,
    attributes: { [ATTR_TASK_STATUS]: status, ...orchestrationFailureAttributes(failure), ...output },
    at,
  };
}

export function activityStarted(item: ActivityWorkItem, input: Attributes, at: Date): LogEvent {
  return {
    eventName: logEvents.activityStarted,
    level: "info",
    line: `Activity ${item.name} started${ofTask(item)}`,
    attributes: input,
    at,
  };
}

/** Its result came from the activity cache. */
export function activityCacheHit(item: ActivityWorkItem, at: Date): LogEvent {
  return {
    eventName: logEvents.activityCacheHit,
    level: "info",
    line: `Activity ${item.name} was in the cache${ofTask(item)}`,
    attributes: { [ATTR_CACHE_RESULT]: "hit" },
    at,
  };
}

export function activityEnded(
  item: ActivityWorkItem,
  outcome: ActivityOutcome,
  output: Attributes,
  at: Date,
): LogEvent {
  const failure = outcome.status === "failed" ? outcome.failure : undefined;
  const { status, level, verb } = endings[outcome.status];
  return {
    eventName: failure === undefined ? logEvents.activityFinished : logEvents.activityFailed,
    level: failure === undefined ? level : failureLevel(item),
    line: `Activity ${item.name} ${verb}${ofTask(item)}${failureText(failure)}`,
    attributes: { [ATTR_TASK_STATUS]: status, ...failureAttributes(failure), ...output },
    at,
  };
}

// A failed attempt that can be retried is a warning, if that is known (telemetry.md L5).
const failureLevel = (item: WorkItem): Level => (originOf(item)?.mayRetry === true ? "warn" : "error");

const ofInstance = ({ instanceId }: OrchestrationWorkItem): string => ` (instance ${instanceId})`;
const ofTask = ({ taskId, instanceId }: ActivityWorkItem): string => ` (task ${taskId} of instance ${instanceId})`;

const failureText = (failure: TaskFailure | undefined): string =>
  failure === undefined ? "" : `: ${failure.type}: ${messageWithCauses(failure)}`;

// The only place with the exception's details (telemetry.md S3).
function failureAttributes(failure: TaskFailure | undefined): Attributes {
  return failure === undefined ? {} : { [ATTR_ERROR_TYPE]: failure.type, ...exceptionAttributes(failure) };
}

// An orchestration often fails with the SDK's own error for a failed task (telemetry.md S11).
function orchestrationFailureAttributes(failure: TaskFailure | undefined): Attributes {
  if (failure === undefined) return {};
  return {
    ...failureAttributes(failure),
    [ATTR_ERROR_TYPE]: rootCause(failure).type,
    [ATTR_RECORDED_ERROR_TYPE]: failure.type,
  };
}
