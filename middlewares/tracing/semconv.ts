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
export const ATTR_EVENT_TARGET_INSTANCE_ID = "durabletask.event.target_instance_id";
export const ATTR_ENTITY_OPERATION = "durabletask.entity.operation";
export const ATTR_ENTITY_INSTANCE_ID = "durabletask.entity.instance_id";
/** A tag that was allow-listed stands under this prefix. */
export const ATTR_TAG_PREFIX = "durabletask.tag.";
export const ATTR_ERROR_TYPE = "error.type";
/** The name of an external event, on the span event that tells of it. */
export const ATTR_EVENT_NAME = "durabletask.event.name";
export const ATTR_HISTORY_SIZE = "durabletask.episode.history_size";
export const ATTR_REPLAYED_EVENTS = "durabletask.episode.replayed_events";
export const ATTR_ACTIONS = "durabletask.episode.actions";

export const TYPE_ORCHESTRATION = "orchestration";
export const TYPE_ACTIVITY = "activity";
export const TYPE_TIMER = "timer";
export const TYPE_EVENT = "event";
export const TYPE_ORCHESTRATION_EVENT = "orchestration_event";
export const TYPE_ENTITY = "entity";
export const TYPE_CALL_ENTITY = "call_entity";
export const TYPE_SIGNAL_ENTITY = "signal_entity";
/** Ours alone: the SDKs have no span of an episode. */
export const TYPE_EPISODE = "episode";

/** The name of the span of a request for the locks of entities. */
export const LOCK_REQUEST = "entity:lock_request";

/** The events on an orchestration's span (S2), by what became a fact. */
export const spanEvents = {
  event_raised: "durabletask.orchestration.event_raised",
  suspended: "durabletask.orchestration.suspended",
  resumed: "durabletask.orchestration.resumed",
  custom_status: "durabletask.orchestration.custom_status_changed",
} as const;

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
