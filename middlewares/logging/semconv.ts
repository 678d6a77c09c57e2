/** The attributes of log records, beside those that they share with spans. */
export { ATTR_ERROR_TYPE, ATTR_TASK_EXECUTION_ID, ATTR_TASK_ID, ATTR_TASK_INSTANCE_ID, ATTR_TASK_NAME, ATTR_TASK_STATUS, ATTR_TASK_VERSION } from "../tracing/semconv.ts";
export { ATTR_CACHE_RESULT } from "../caching/outcome.ts";

/** The instrumentation scope of the records. */
export const LOGGER_NAME = "durable-telemetry";

export const ATTR_TASK_INPUT = "durabletask.task.input";
export const ATTR_TASK_OUTPUT = "durabletask.task.output";

export const ATTR_EXCEPTION_TYPE = "exception.type";
export const ATTR_EXCEPTION_MESSAGE = "exception.message";
export const ATTR_EXCEPTION_STACKTRACE = "exception.stacktrace";

/** A record has a field for it; in a line of the user's logger it is an attribute. */
export const ATTR_EVENT_NAME = "event.name";

export const EVENT_ORCHESTRATION_STARTED = "durabletask.orchestration.started";
export const EVENT_ORCHESTRATION_SUSPENDED = "durabletask.orchestration.suspended";
export const EVENT_ORCHESTRATION_RESUMED = "durabletask.orchestration.resumed";
export const EVENT_ORCHESTRATION_REWOUND = "durabletask.orchestration.rewound";
export const EVENT_ORCHESTRATION_FINISHED = "durabletask.orchestration.finished";
export const EVENT_ACTIVITY_STARTED = "durabletask.activity.started";
export const EVENT_ACTIVITY_CACHE_HIT = "durabletask.activity.cache_hit";
export const EVENT_ACTIVITY_FINISHED = "durabletask.activity.finished";
export const EVENT_ACTIVITY_FAILED = "durabletask.activity.failed";
