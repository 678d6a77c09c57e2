/** The attributes of the metrics: the tracing conventions' where they have one, and what they lack. */
export { ATTR_ERROR_TYPE, ATTR_TASK_NAME, ATTR_TASK_STATUS, ATTR_TASK_VERSION, ATTR_TYPE } from "../tracing/semconv.ts";

export { ATTR_CACHE_RESULT } from "../caching/outcome.ts";

/** How an episode or a task ended. */
export const ATTR_OUTCOME = "durabletask.outcome";
/** The middleware that a fault of telemetry was isolated in. */
export const ATTR_MIDDLEWARE = "durabletask.middleware";

/** Stands for all values of an attribute that came after the limit. */
export const OTHER = "_other";
/** The same for `error.type`, as the semantic conventions of OpenTelemetry have it. */
export const OTHER_ERROR_TYPE = "_OTHER";
