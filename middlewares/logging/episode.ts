import type {
  Acknowledgement,
  EpisodeResponse,
  HistoryEvent,
  OrchestrationWorkItem,
  WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { rememberOrigins } from "../../src/telemetry/origins.ts";
import { statusToRecord } from "../../src/telemetry/custom-status.ts";
import { recordedString } from "../../src/telemetry/recorded-string.ts";
import { logValueLimit } from "../../src/telemetry/value-limits.ts";
import {
  customStatusChanged,
  orchestrationEnded,
  orchestrationStarted,
  suspensionChanged,
  tasksGivenUp,
  type LogEvent,
} from "./events.ts";
import { isolated } from "./faults.ts";
import { LoggedTask } from "./logged-task.ts";
import type { LoggedWaiting, LoggingOptions } from "./options.ts";
import { inputAttribute } from "./payloads.ts";
import { mayWait, orchestrationWaiting } from "./waiting.ts";

/**
 * Logs one episode: its new history events, and how it ended. It waits until the backend has accepted the response, so that
 * each event is logged once, by the worker whose response was accepted (telemetry.md L1).
 */
export class LoggedEpisode extends LoggedTask<OrchestrationWorkItem> implements WorkItemHooks {
  #end: LogEvent | undefined;
  #statuses: LogEvent[] | undefined;
  /** Only where it is asked for: the engine observes the custom status for whoever has this hook. */
  readonly onCustomStatus: WorkItemHooks["onCustomStatus"];

  constructor(item: OrchestrationWorkItem, options: LoggingOptions) {
    super(item, options);
    item.observeWaits();
    this.onCustomStatus =
      options.customStatus === undefined || options.customStatus === false
        ? undefined
        : (json) => isolated.run("a custom status was not logged", () => this.#statusChanged(json));
  }

  onResponse(response: EpisodeResponse): void {
    const { outcome } = response;
    try {
      rememberOrigins(this.item, response);
    } catch (error) {
      isolated.fault("the origins of tasks are not known", error);
    }
    if (outcome.status === "waiting") {
      this.#waiting(response);
      return;
    }
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
      const givenUp = this.item.waits?.givenUpTasks ?? [];
      if (givenUp.length > 0 && this.isReceived)
        for (const event of tasksGivenUp(this.item, givenUp)) this.write(event);
      for (const status of this.#statuses ?? []) if (this.isReceived) this.write(status);
      if (this.#end !== undefined && this.isReceived) this.write(this.#end);
    } catch (error) {
      isolated.fault("an episode was not logged", error);
    }
  }

  #waiting(response: EpisodeResponse): void {
    const { waiting } = this.options;
    if (waiting === false) return;
    const { level = "debug", tasks = false } = waiting ?? defaults;
    if (!tasks && !mayWait(this.item)) return;
    isolated.run("what an orchestration waits for was not logged", () => {
      if (this.receives(level)) this.#end = orchestrationWaiting(this.item, response, level, tasks, new Date());
    });
  }

  #statusChanged(json: string | undefined): void {
    const { orchestrationContext } = this.item;
    // Retry handlers set it, too: the SDK calls them, while no code of the orchestrator runs.
    if (orchestrationContext?.isReplaying !== false) return;
    const status = statusToRecord(json, this.options.customStatus, isolated);
    // Cut here: one episode may set many, which are kept until the response is acknowledged.
    const recorded = status === undefined ? undefined : recordedString(status, logValueLimit());
    (this.#statuses ??= []).push(customStatusChanged(this.item, recorded, orchestrationContext.currentUtcDateTime));
  }

  #describe(event: LoggedEvent): LogEvent {
    if (event.type === "started") return orchestrationStarted(this.item, inputAttribute(this.item, this.options));
    return suspensionChanged(this.item, event.type, event.at);
  }
}

const defaults: LoggedWaiting = {};

type LoggedEvent = Extract<HistoryEvent, { type: "started" | "suspended" | "resumed" }>;

// Tasks log themselves.
function isLogged(event: HistoryEvent): event is LoggedEvent {
  return event.type === "started" || event.type === "suspended" || event.type === "resumed";
}
