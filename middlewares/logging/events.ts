import type { Attributes } from "@opentelemetry/api";
import type { ActivityOutcome, ActivityWorkItem, EpisodeOutcome, OrchestrationWorkItem, TaskFailure } from "../../src/pipeline/index.ts";
import { messageWithCauses, rootCause } from "../../src/telemetry/failure-causes.ts";
import type { Level } from "./write.ts";
import { exceptionAttributes } from "./exception.ts";
import { ATTR_CACHE_RESULT, ATTR_ERROR_TYPE, ATTR_RECORDED_ERROR_TYPE, ATTR_TASK_STATUS, logEvents } from "../../src/telemetry/semconv.ts";

/** What a record says of a history event (telemetry.md L1), beyond whose it is. */
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

/** It was suspended or resumed. */
export function orchestrationTurned(item: OrchestrationWorkItem, turn: "suspended" | "resumed", at: Date | undefined): LogEvent {
  return {
    eventName: turn === "suspended" ? logEvents.orchestrationSuspended : logEvents.orchestrationResumed,
    level: "info",
    line: `Orchestration ${item.name} was ${turn}${ofInstance(item)}`,
    attributes: {},
    at,
  };
}

const endings = {
  completed: { status: "Completed", level: "info", verb: "completed" },
  failed: { status: "Failed", level: "error", verb: "failed" },
  terminated: { status: "Terminated", level: "warn", verb: "was terminated" },
  continued_as_new: { status: "ContinuedAsNew", level: "info", verb: "continued as new" },
} as const;

/** What ended in an episode; `undefined` if the orchestration goes on. */
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
    level,
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

export function activityEnded(item: ActivityWorkItem, outcome: ActivityOutcome, output: Attributes, at: Date): LogEvent {
  const failure = outcome.status === "failed" ? outcome.failure : undefined;
  const { status, level, verb } = endings[outcome.status];
  return {
    eventName: failure === undefined ? logEvents.activityFinished : logEvents.activityFailed,
    level,
    line: `Activity ${item.name} ${verb}${ofTask(item)}${failureText(failure)}`,
    attributes: { [ATTR_TASK_STATUS]: status, ...failureAttributes(failure), ...output },
    at,
  };
}

const ofInstance = ({ instanceId }: OrchestrationWorkItem): string => ` (instance ${instanceId})`;
const ofTask = ({ taskId, instanceId }: ActivityWorkItem): string => ` (task ${taskId} of instance ${instanceId})`;

const failureText = (failure: TaskFailure | undefined): string =>
  failure === undefined ? "" : `: ${failure.type}: ${messageWithCauses(failure)}`;

// The exception's details stand here, once (telemetry.md S3).
function failureAttributes(failure: TaskFailure | undefined): Attributes {
  return failure === undefined ? {} : { [ATTR_ERROR_TYPE]: failure.type, ...exceptionAttributes(failure) };
}

// What an orchestration fails with is often the SDK's own error for a task that failed (telemetry.md S11).
function orchestrationFailureAttributes(failure: TaskFailure | undefined): Attributes {
  if (failure === undefined) return {};
  return { ...failureAttributes(failure), [ATTR_ERROR_TYPE]: rootCause(failure).type, [ATTR_RECORDED_ERROR_TYPE]: failure.type };
}
