/** The built-in middlewares, for pipelines of one's own making. */
import { isRuntimeSupported } from "../src/runtime.ts";

export {
  caching,
  type ActivityCache,
  type CachedActivity,
  type CacheRequest,
  type CacheStore,
  type CachingOptions,
  type DeleteRequest,
  type Duration,
} from "./caching/index.ts";
export { logging, type LoggedPayloads, type LoggingOptions, type PayloadContext } from "./logging/index.ts";
export { metrics, type MetricsOptions } from "./metrics/index.ts";
export { tracing, type TracingOptions } from "./tracing/index.ts";
export {
  ActivityCacheOutcome,
  ActivitySpan,
  OrchestrationSpan,
  type CacheOutcome,
  type OrchestrationSpanHandle,
} from "../src/telemetry/handles.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
