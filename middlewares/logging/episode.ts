import type {
  Acknowledgement,
  EpisodeResponse,
  HistoryEvent,
  OrchestrationWorkItem,
  WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { orchestrationEnded, orchestrationStarted, suspensionChanged, type LogEvent } from "./events.ts";
import { isolated } from "./faults.ts";
import { LoggedTask } from "./logged-task.ts";
import { inputAttribute } from "./payloads.ts";

/**
 * Logs one episode: its new history events, and how it ended. It waits until the backend has accepted the response, so that
 * each event is logged once, by the worker whose response was accepted (telemetry.md L1).
 */
export class LoggedEpisode extends LoggedTask<OrchestrationWorkItem> implements WorkItemHooks {
  #end: LogEvent | undefined;

  onResponse({ outcome }: EpisodeResponse): void {
    if (outcome.status === "waiting") return;
    isolated.run("the end of an orchestration was not logged", () => {
      if (!this.isReceived) return;
      this.#end = orchestrationEnded(this.item, outcome, outcome.status === "completed" ? this.output : {}, new Date());
    });
  }

  onAcknowledged(acknowledgement: Acknowledgement): void {
    if (acknowledgement !== "accepted") return;
    try {
      for (const event of this.item.history.newEvents())
        if (isLogged(event) && this.isReceived) this.write(this.#describe(event));
      if (this.#end !== undefined && this.isReceived) this.write(this.#end);
    } catch (error) {
      isolated.fault("an episode was not logged", error);
    }
  }

  #describe(event: LoggedEvent): LogEvent {
    if (event.type === "started") return orchestrationStarted(this.item, inputAttribute(this.item, this.options));
    return suspensionChanged(this.item, event.type, event.at);
  }
}

type LoggedEvent = Extract<HistoryEvent, { type: "started" | "suspended" | "resumed" }>;

// Tasks log themselves.
function isLogged(event: HistoryEvent): event is LoggedEvent {
  return event.type === "started" || event.type === "suspended" || event.type === "resumed";
}
