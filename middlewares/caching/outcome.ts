import { sharedFeature, type MiddlewareFeature, type MiddlewareFeatures } from "../../src/pipeline/index.ts";
import { Isolation } from "../../src/telemetry/isolate.ts";
import { ActivitySpan } from "../tracing/handles.ts";

/** On the activity's SERVER span, on the metric and in the log: what the cache came to. */
export const ATTR_CACHE_RESULT = "durabletask.activity.cache.result";

/**
 * The outcome of the activity cache for one execution of an activity (telemetry.md C7).
 *
 * - `hit`: the result comes from the store; the activity did not run.
 * - `miss`: the activity ran, and its result was stored, unless `shouldCache` rejected it or the cache was invalidated meanwhile.
 * - `coalesced`: an identical call was running, here or in another process; this call shares its result or failure.
 * - `bypass`: the activity ran, because its input has no canonical form, it has no namespace, or its result can't be stored.
 * - `error`: the activity ran, because the store or a function in the options failed.
 */
export type CacheOutcome = "hit" | "miss" | "coalesced" | "bypass" | "error";

/**
 * Feature key of the activity's cache outcome (contract.md F5). It is set when `next` has settled, for activities that the
 * cache is configured for. A running activity can't see it, because it is known only afterwards.
 *
 * @example
 * worker.useActivityMiddleware(async (ctx, next) => {
 *   await next(ctx);
 *   if (ctx.features.get(ActivityCacheOutcome) === "hit") ctx.logger.debug("from the cache");
 * }, { before: "caching" });
 */
export const ActivityCacheOutcome: MiddlewareFeature<CacheOutcome> = sharedFeature("activity-cache-outcome");

/** Isolates the faults of `caching` (telemetry.md K1, C6). */
export const isolated: Isolation = new Isolation("caching");

/** Leaves the outcome in the features and on the span. */
export function tell(features: MiddlewareFeatures, outcome: CacheOutcome): void {
  features.set(ActivityCacheOutcome, outcome);
  isolated.run("a cache outcome is missing on a span", () => features.get(ActivitySpan)?.setAttribute(ATTR_CACHE_RESULT, outcome));
}
