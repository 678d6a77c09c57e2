import type { MiddlewareFeatures } from "../../src/pipeline/index.ts";
import { ActivityCacheOutcome, ActivitySpan, type CacheOutcome } from "../../src/telemetry/handles.ts";
import { Isolation } from "../../src/telemetry/isolate.ts";
import { ATTR_CACHE_RESULT } from "../../src/telemetry/semconv.ts";

/** Isolates the faults of `caching` (telemetry.md K1, C6). */
export const isolated: Isolation = new Isolation("caching");

/** Sets the outcome in the features and on the span. */
export function reportOutcome(features: MiddlewareFeatures, outcome: CacheOutcome): void {
  features.set(ActivityCacheOutcome, outcome);
  isolated.run("a cache outcome is missing on a span", () =>
    features.get(ActivitySpan)?.setAttribute(ATTR_CACHE_RESULT, outcome),
  );
}
