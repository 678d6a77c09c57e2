import type { EpisodeOutcome } from "../pipeline/index.ts";

/**
 * The names of attributes, spans, events and statuses. Those of the Durable Task tracing conventions, which the SDKs of all
 * languages share, are copied in: to import them from the SDK would load its gRPC stack. A test compares them with the SDK's.
 */

/** The instrumentation scope of all that this package records. */
export const SCOPE_NAME = "durable-telemetry";

export const ATTR_TYPE = "durabletask.type";
export const ATTR_TASK_NAME = "durabletask.task.name";
export const ATTR_TASK_VERSION = "durabletask.task.version";
export const ATTR_TASK_INSTANCE_ID = "durabletask.task.instance_id";
export const ATTR_TASK_EXECUTION_ID = "durabletask.task.execution_id";
export const ATTR_TASK_STATUS = "durabletask.task.status";
export const ATTR_TASK_ID = "durabletask.task.task_id";
/** The number of an attempt after the first. */
export const ATTR_TASK_ATTEMPT = "durabletask.task.attempt";
/** The orchestration that started a sub-orchestration. */
export const ATTR_PARENT_INSTANCE_ID = "durabletask.parent.instance_id";
/** The orchestration at the top of the callers of a sub-orchestration, and of its tasks. */
export const ATTR_ROOT_INSTANCE_ID = "durabletask.root.instance_id";
/** On the record of an episode that ends waiting: for what. */
export const ATTR_WAITING_COUNT = "durabletask.waiting.count";
export const ATTR_WAITING_EVENTS = "durabletask.waiting.events";
/** When the first of these waits for events began. */
export const ATTR_WAITING_SINCE = "durabletask.waiting.since";
export const ATTR_WAITING_TIMERS = "durabletask.waiting.timers";
export const ATTR_WAITING_TASKS = "durabletask.waiting.tasks";
/** On the record of a task that is not retried though it could be: which, and how many attempts there were. */
export const ATTR_GAVE_UP_TASK = "durabletask.gave_up.task";
export const ATTR_GAVE_UP_ATTEMPTS = "durabletask.gave_up.attempts";
/** The custom status, or what the user allows to be recorded of it. */
export const ATTR_CUSTOM_STATUS = "durabletask.custom_status";
export const ATTR_FIRE_AT = "durabletask.fire_at";
export const ATTR_EVENT_TARGET_INSTANCE_ID = "durabletask.event.target_instance_id";
export const ATTR_ENTITY_OPERATION = "durabletask.entity.operation";
export const ATTR_ENTITY_INSTANCE_ID = "durabletask.entity.instance_id";
/** A tag that was allow-listed stands under this prefix. */
export const ATTR_TAG_PREFIX = "durabletask.tag.";
export const ATTR_ERROR_TYPE = "error.type";
/** On an orchestration: the type of the error that failed it, as the SDK records it, where `error.type` is that of its root cause (telemetry.md S11). */
export const ATTR_RECORDED_ERROR_TYPE = "durabletask.error.type";
/** On the activity's SERVER span, on the metric and in the log: what the cache did. */
export const ATTR_CACHE_RESULT = "durabletask.activity.cache.result";
/** On metrics: how an episode or a task ended. On spans: how a wait for an event ended, or a timer that did not fire. */
export const ATTR_OUTCOME = "durabletask.outcome";
/** On metrics: the middleware in which a fault of telemetry was isolated. */
export const ATTR_MIDDLEWARE = "durabletask.middleware";
/** On the metrics of `observeTaskHub`: the name that the user gives the task hub. */
export const ATTR_HUB_NAME = "durabletask.hub.name";
export const ATTR_TASK_INPUT = "durabletask.task.input";
export const ATTR_TASK_OUTPUT = "durabletask.task.output";
export const ATTR_EXCEPTION_TYPE = "exception.type";
export const ATTR_EXCEPTION_MESSAGE = "exception.message";
export const ATTR_EXCEPTION_STACKTRACE = "exception.stacktrace";
/** The name of an external event, on the span event that records it. */
export const ATTR_EXTERNAL_EVENT_NAME = "durabletask.event.name";
export const ATTR_HISTORY_SIZE = "durabletask.episode.history_size";
export const ATTR_REPLAYED_EVENTS = "durabletask.episode.replayed_events";
export const ATTR_ACTIONS = "durabletask.episode.actions";

export const TYPE_ORCHESTRATION = "orchestration";
export const TYPE_CREATE_ORCHESTRATION = "create_orchestration";
export const TYPE_ACTIVITY = "activity";
export const TYPE_TIMER = "timer";
export const TYPE_EVENT = "event";
export const TYPE_ORCHESTRATION_EVENT = "orchestration_event";
export const TYPE_ENTITY = "entity";
export const TYPE_CALL_ENTITY = "call_entity";
export const TYPE_SIGNAL_ENTITY = "signal_entity";
/** Ours alone: the SDKs have no span of an episode, and none of a wait for an event. */
export const TYPE_EPISODE = "episode";
export const TYPE_WAIT = "wait";
export const TYPE_STARTED = "orchestration_started";

/** How a wait for an external event ended: with the event, with another task that won a race, or with the orchestration. */
export const waitOutcomes = { received: "received", lost: "lost", unanswered: "unanswered" } as const;
/** How a timer ended that did not fire in time; one that fired has no outcome. */
export const timerOutcomes = { canceled: "canceled", lost: "lost", unfired: "unfired" } as const;

/** The name of the span of a request for the locks of entities. */
export const LOCK_REQUEST = "entity:lock_request";

/** The events on an orchestration's span (S2), by history event. */
export const spanEvents = {
  event_raised: "durabletask.orchestration.event_raised",
  suspended: "durabletask.orchestration.suspended",
  resumed: "durabletask.orchestration.resumed",
  custom_status: "durabletask.orchestration.custom_status_changed",
} as const;

/** The events of log records (telemetry.md L1). */
export const logEvents = {
  orchestrationStarted: "durabletask.orchestration.started",
  orchestrationWaiting: "durabletask.orchestration.waiting",
  taskGaveUp: "durabletask.task.gave_up",
  orchestrationCustomStatus: "durabletask.orchestration.custom_status_changed",
  orchestrationSuspended: "durabletask.orchestration.suspended",
  orchestrationResumed: "durabletask.orchestration.resumed",
  orchestrationRewound: "durabletask.orchestration.rewound",
  orchestrationFinished: "durabletask.orchestration.finished",
  activityStarted: "durabletask.activity.started",
  activityCacheHit: "durabletask.activity.cache_hit",
  activityFinished: "durabletask.activity.finished",
  activityFailed: "durabletask.activity.failed",
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
