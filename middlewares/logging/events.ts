import type { Attributes } from "@opentelemetry/api";
import type { ActivityOutcome, ActivityWorkItemFacts, EpisodeOutcome, OrchestrationWorkItemFacts, TaskFailure } from "../../src/pipeline/index.ts";
import { ATTR_RECORDED_ERROR_TYPE, messageWithCauses, rootCause } from "../../src/telemetry/failure-causes.ts";
import type { Level } from "./entry.ts";
import { exceptionAttributes } from "./exception.ts";
import * as semconv from "./semconv.ts";

/** What a record says of a history event (telemetry.md L1), beyond whose it is. */
export interface LogEvent {
  readonly eventName: string;
  readonly level: Level;
  readonly line: string;
  readonly attributes: Attributes;
  readonly at: Date | undefined;
}

export function orchestrationStarted(facts: OrchestrationWorkItemFacts, input: Attributes): LogEvent {
  return {
    eventName: semconv.EVENT_ORCHESTRATION_STARTED,
    level: "info",
    line: `Orchestration ${facts.name} started${ofInstance(facts)}`,
    attributes: input,
    at: facts.history.startedAt,
  };
}

/** It was suspended or resumed. */
export function orchestrationTurned(facts: OrchestrationWorkItemFacts, turn: "suspended" | "resumed", at: Date | undefined): LogEvent {
  return {
    eventName: turn === "suspended" ? semconv.EVENT_ORCHESTRATION_SUSPENDED : semconv.EVENT_ORCHESTRATION_RESUMED,
    level: "info",
    line: `Orchestration ${facts.name} was ${turn}${ofInstance(facts)}`,
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
  facts: OrchestrationWorkItemFacts,
  outcome: EpisodeOutcome,
  output: Attributes,
  at: Date,
): LogEvent | undefined {
  if (outcome.status === "waiting") return undefined;
  const line = (verb: string): string => `Orchestration ${facts.name} ${verb}${ofInstance(facts)}`;
  if (outcome.status === "rewound") {
    return { eventName: semconv.EVENT_ORCHESTRATION_REWOUND, level: "info", line: line("was rewound"), attributes: {}, at };
  }
  const { status, level, verb } = endings[outcome.status];
  const failure = outcome.status === "failed" ? outcome.failure : undefined;
  return {
    eventName: semconv.EVENT_ORCHESTRATION_FINISHED,
    level,
    line: `${line(verb)}${failureText(failure)}`,
    attributes: { [semconv.ATTR_TASK_STATUS]: status, ...orchestrationFailureAttributes(failure), ...output },
    at,
  };
}

export function activityStarted(facts: ActivityWorkItemFacts, input: Attributes, at: Date): LogEvent {
  return {
    eventName: semconv.EVENT_ACTIVITY_STARTED,
    level: "info",
    line: `Activity ${facts.name} started${ofTask(facts)}`,
    attributes: input,
    at,
  };
}

/** Its result came from the activity cache. */
export function activityCacheHit(facts: ActivityWorkItemFacts, at: Date): LogEvent {
  return {
    eventName: semconv.EVENT_ACTIVITY_CACHE_HIT,
    level: "info",
    line: `Activity ${facts.name} was in the cache${ofTask(facts)}`,
    attributes: { [semconv.ATTR_CACHE_RESULT]: "hit" },
    at,
  };
}

export function activityEnded(facts: ActivityWorkItemFacts, outcome: ActivityOutcome, output: Attributes, at: Date): LogEvent {
  const failure = outcome.status === "failed" ? outcome.failure : undefined;
  const { status, level, verb } = endings[outcome.status];
  return {
    eventName: failure === undefined ? semconv.EVENT_ACTIVITY_FINISHED : semconv.EVENT_ACTIVITY_FAILED,
    level,
    line: `Activity ${facts.name} ${verb}${ofTask(facts)}${failureText(failure)}`,
    attributes: { [semconv.ATTR_TASK_STATUS]: status, ...failureAttributes(failure), ...output },
    at,
  };
}

const ofInstance = ({ instanceId }: OrchestrationWorkItemFacts): string => ` (instance ${instanceId})`;
const ofTask = ({ taskId, instanceId }: ActivityWorkItemFacts): string => ` (task ${taskId} of instance ${instanceId})`;

const failureText = (failure: TaskFailure | undefined): string =>
  failure === undefined ? "" : `: ${failure.type}: ${messageWithCauses(failure)}`;

// The exception's details stand here, once (telemetry.md S3).
function failureAttributes(failure: TaskFailure | undefined): Attributes {
  return failure === undefined ? {} : { [semconv.ATTR_ERROR_TYPE]: failure.type, ...exceptionAttributes(failure) };
}

// What an orchestration fails with is often the SDK's own error for a task that failed (telemetry.md S11).
function orchestrationFailureAttributes(failure: TaskFailure | undefined): Attributes {
  if (failure === undefined) return {};
  return { ...failureAttributes(failure), [semconv.ATTR_ERROR_TYPE]: rootCause(failure).type, [ATTR_RECORDED_ERROR_TYPE]: failure.type };
}
