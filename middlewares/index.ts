/** The built-in middlewares, for pipelines of one's own making. */
import { isRuntimeSupported } from "../src/runtime.ts";

export {
  ActivityCacheOutcome,
  caching,
  type ActivityCache,
  type CachedActivity,
  type CacheOutcome,
  type CacheRequest,
  type CacheStore,
  type CachingOptions,
  type DeleteRequest,
  type Duration,
} from "./caching/index.ts";
export { logging, type LoggedPayloads, type LoggingOptions, type PayloadContext } from "./logging/index.ts";
export { metrics, type MetricsOptions } from "./metrics/index.ts";
export { ActivitySpan, OrchestrationSpan, tracing, type OrchestrationSpanHandle, type TracingOptions } from "./tracing/index.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
