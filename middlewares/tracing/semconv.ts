import type { EpisodeOutcome } from "../../src/pipeline/index.ts";

/**
 * The Durable Task tracing conventions that the SDKs of all languages share, copied in: to import them from the SDK
 * would load its gRPC stack. A test compares them with the SDK's own.
 */
export const TRACER_NAME = "durable-telemetry";

export const ATTR_TYPE = "durabletask.type";
export const ATTR_TASK_NAME = "durabletask.task.name";
export const ATTR_TASK_VERSION = "durabletask.task.version";
export const ATTR_TASK_INSTANCE_ID = "durabletask.task.instance_id";
export const ATTR_TASK_EXECUTION_ID = "durabletask.task.execution_id";
export const ATTR_TASK_STATUS = "durabletask.task.status";
export const ATTR_TASK_ID = "durabletask.task.task_id";
export const ATTR_FIRE_AT = "durabletask.fire_at";
/** A tag that was allow-listed stands under this prefix. */
export const ATTR_TAG_PREFIX = "durabletask.tag.";
export const ATTR_ERROR_TYPE = "error.type";

export const TYPE_ORCHESTRATION = "orchestration";
export const TYPE_ACTIVITY = "activity";
export const TYPE_TIMER = "timer";

/** `TYPE:NAME`, or `TYPE:NAME@(VERSION)`. */
export function spanName(type: string, name: string, version: string | undefined): string {
  return version ? `${type}:${name}@(${version})` : `${type}:${name}`;
}

/** The name of a timer's span. */
export function timerSpanName(orchestration: string): string {
  return `${TYPE_ORCHESTRATION}:${orchestration}:${TYPE_TIMER}`;
}

/** What the status of an orchestration that ended is called. */
export const statusNames = {
  completed: "Completed",
  failed: "Failed",
  terminated: "Terminated",
  continued_as_new: "ContinuedAsNew",
} as const;

/** How an episode ended that was an execution's last. */
export type FinalOutcome = Extract<EpisodeOutcome, { status: keyof typeof statusNames }>;
