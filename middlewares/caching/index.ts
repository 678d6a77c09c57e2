import { PipelineCache, type ActivityCache } from "./activity-cache.ts";
import type { CachingOptions } from "./options.ts";
import { realRuntime } from "./runtime.ts";

export type { ActivityCache, DeleteRequest } from "./activity-cache.ts";
export type { Duration } from "./duration.ts";
export type { CachedActivity, CacheRequest, CachingOptions } from "./options.ts";
export type { CacheStore } from "./store.ts";

/**
 * Caches the results of activities (telemetry.md C1 to C7). Only activities that the options name are cached,
 * orchestrators never. In the default pipeline it is the innermost middleware: guards and telemetry see hits too
 * (contract.md R6).
 *
 * If anything in the cache fails, the store or a function in the options, the activity runs and returns its own result;
 * {@link ActivityCacheOutcome} and the metric are then `error` or `bypass`.
 *
 * @param options which activities to cache, and where to store their results.
 * @returns the middleware, with `delete` and `deleteNamespace` to invalidate entries.
 * @throws TypeError for unknown options, wrong types and malformed durations; it names the key and what is allowed.
 * @example
 * const cache = caching({ activities: { getQuote: { ttl: "5m" } } });
 * withDurableTelemetry(worker, { caching: cache });
 * await cache.delete("getQuote", { symbol: "ACME" });
 */
export function caching(options: CachingOptions): ActivityCache {
  return new PipelineCache(options, realRuntime);
}
