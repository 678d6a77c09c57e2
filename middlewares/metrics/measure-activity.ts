import type { ActivityMiddleware, ActivityOutcome, ActivityWorkItem } from "../../src/pipeline/index.ts";
import { ActivityCacheOutcome } from "../caching/outcome.ts";
import { isolated } from "./faults.ts";
import { currentRecorder } from "./recorder.ts";
import { ATTR_CACHE_RESULT, ATTR_ERROR_TYPE, ATTR_TASK_NAME, ATTR_TASK_VERSION } from "./semconv.ts";

/** Measures one execution of an activity: from here to its response, recorded when the backend has taken that. */
export function measureActivity(item: ActivityWorkItem, nameLimit: number): void {
  const startedAt = performance.now();
  const { name, version } = item.facts;
  let answered: { readonly outcome: ActivityOutcome; readonly took: number } | undefined;
  item.onResponse(({ outcome }) => {
    answered = { outcome, took: (performance.now() - startedAt) / 1000 };
    isolated.run("a request of the activity cache was not counted", () => countCacheRequest(item, nameLimit));
  });
  item.onDelivered((delivery) =>
    isolated.run("the measurement of an activity was lost", () => {
      if (delivery !== "accepted" || answered === undefined) return;
      const { outcome, took } = answered;
      currentRecorder(nameLimit)?.("durabletask.activity.duration", took, {
        [ATTR_TASK_NAME]: name,
        [ATTR_TASK_VERSION]: version,
        [ATTR_ERROR_TYPE]: outcome.status === "failed" ? outcome.failure.type : undefined,
      });
    }),
  );
}

// Counted as it was, whatever becomes of the response: what the cache was asked, it was asked.
function countCacheRequest({ facts: { name, features } }: ActivityWorkItem, nameLimit: number): void {
  const outcome = features.get(ActivityCacheOutcome);
  if (outcome === undefined) return;
  currentRecorder(nameLimit)?.("durabletask.activity.cache.requests", 1, { [ATTR_TASK_NAME]: name, [ATTR_CACHE_RESULT]: outcome });
}

/** Counts the activities that run: a middleware, so that each is counted off again however it ends. */
export function countActive(nameLimit: number): ActivityMiddleware {
  return async (ctx, next) => {
    // Counted off where and as it was counted, also if another provider has come meanwhile, or the name limit is reached.
    const count = isolated.run("an activity was not counted", () =>
      currentRecorder(nameLimit)?.("durabletask.activity.active", 1, { [ATTR_TASK_NAME]: ctx.name }),
    );
    try {
      await next(ctx);
    } finally {
      count?.(-1);
    }
  };
}
