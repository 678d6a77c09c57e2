import { PipelineCache, type ActivityCache } from "./activity-cache.ts";
import type { CachingOptions } from "./options.ts";
import { realRuntime } from "./runtime.ts";

export type { ActivityCache, DeleteRequest } from "./activity-cache.ts";
export type { Duration } from "./duration.ts";
export type { CachedActivity, CacheRequest, CachingOptions } from "./options.ts";
export type { CacheStore } from "./store.ts";

/**
 * A cache of activities' results: what was paid for once is not paid for again, and never a wrong one (telemetry.md C1
 * to C7). Only the activities that are named are cached, and orchestrators never are. In the default pipeline it is the
 * innermost middleware, so that guards and telemetry see hits too (contract.md R6).
 *
 * Whatever goes wrong in the cache, the store or a function of the options, the activity runs and returns its own
 * result; {@link ActivityCacheOutcome} and the metric say `error` or `bypass` then.
 *
 * @param options which activities, and where to keep their results.
 * @returns the middleware, with `delete` and `deleteNamespace` to invalidate what it keeps.
 * @throws TypeError for unknown options, wrong types and malformed durations; it names the key and what is allowed.
 * @example
 * const cache = caching({ activities: { getQuote: { ttl: "5m" } } });
 * withDurableTelemetry(worker, { caching: cache });
 * await cache.delete("getQuote", { symbol: "ACME" });
 */
export function caching(options: CachingOptions): ActivityCache {
  return new PipelineCache(options, realRuntime);
}
