import type { Acknowledgement, ActivityResponse, ActivityWorkItem, WorkItemHooks } from "../../src/pipeline/index.ts";
import { ActivityCacheOutcome } from "../../src/telemetry/handles.ts";
import { activityCacheHit, activityEnded, activityStarted, type LogEvent } from "./events.ts";
import { isolated } from "./faults.ts";
import { LoggedTask } from "./logged-task.ts";
import { inputAttribute } from "./payloads.ts";

/** Logs one activity: its start when it starts, its end when the backend has accepted the response (telemetry.md L1). */
export class LoggedActivity extends LoggedTask<ActivityWorkItem> implements WorkItemHooks {
  #cacheHit: LogEvent | undefined;
  #end: LogEvent | undefined;

  onStart(): void {
    try {
      if (this.isReceived) this.write(activityStarted(this.item, inputAttribute(this.item, this.options), new Date()));
    } catch (error) {
      isolated.fault("the start of an activity was not logged", error);
    }
  }

  onResponse({ outcome }: ActivityResponse): void {
    try {
      if (!this.isReceived) return;
      const at = new Date();
      if (this.item.features.get(ActivityCacheOutcome) === "hit") this.#cacheHit = activityCacheHit(this.item, at);
      this.#end = activityEnded(this.item, outcome, outcome.status === "completed" ? this.output : {}, at);
    } catch (error) {
      isolated.fault("the end of an activity was not logged", error);
    }
  }

  onAcknowledged(acknowledgement: Acknowledgement): void {
    if (acknowledgement !== "accepted") return;
    try {
      if (this.#cacheHit !== undefined) this.write(this.#cacheHit);
      if (this.#end !== undefined) this.write(this.#end);
    } catch (error) {
      isolated.fault("the end of an activity was not logged", error);
    }
  }
}
