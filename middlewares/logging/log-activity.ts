import type { ActivityWorkItem, MiddlewareContext } from "../../src/pipeline/index.ts";
import { ActivityCacheOutcome } from "../caching/outcome.ts";
import { activityCacheHit, activityEnded, activityStarted, type LogEvent } from "./events.ts";
import { isolated } from "./faults.ts";
import type { LoggingOptions } from "./options.ts";
import { inputAttribute, outputAttribute } from "./payloads.ts";
import { isItemHeard, TaskLog, writeEvent } from "./task-log.ts";

/** Logs one activity: its start when it starts, its end when the backend has taken the response (telemetry.md L1). */
export function logActivity(item: ActivityWorkItem, options: LoggingOptions): void {
  const startedAt = new Date();
  let code: MiddlewareContext | undefined;
  let saidStarted = false;
  const sayStarted = (): void => {
    if (saidStarted || !isItemHeard(item, options)) return;
    saidStarted = true;
    writeEvent(item, activityStarted(item.facts, inputAttribute(item, options), startedAt), options);
  };
  item.facts.features.set(TaskLog, {
    begin(ctx) {
      code = ctx;
      sayStarted();
    },
  });
  let ended: readonly LogEvent[] = [];
  item.onResponse(({ outcome }) =>
    isolated.run("the end of an activity was not logged", () => {
      // There may be no such activity: then its code never began.
      sayStarted();
      if (!isItemHeard(item, options)) return;
      const output = outcome.status === "completed" ? outputAttribute(item, code?.result, options) : {};
      const at = new Date();
      const isHit = item.facts.features.get(ActivityCacheOutcome) === "hit";
      ended = [...(isHit ? [activityCacheHit(item.facts, at)] : []), activityEnded(item.facts, outcome, output, at)];
    }),
  );
  item.onDelivered((delivery) =>
    isolated.run("the end of an activity was not logged", () => {
      if (delivery === "accepted") for (const event of ended) writeEvent(item, event, options);
    }),
  );
}
