import type { DurableFact, MiddlewareContext, OrchestrationWorkItem } from "../../src/pipeline/index.ts";
import { orchestrationEnded, orchestrationStarted, orchestrationTurned, type LogEvent } from "./events.ts";
import { isolated } from "./faults.ts";
import type { LoggingOptions } from "./options.ts";
import { inputAttribute, outputAttribute } from "./payloads.ts";
import { isItemHeard, TaskLog, writeEvent } from "./task-log.ts";

/**
 * Logs one episode: what became a fact in it, and how it ended. Only once the backend has taken the response, so that
 * each fact is logged once, by the worker whose response made it one (telemetry.md L1).
 */
export function logEpisode(item: OrchestrationWorkItem, options: LoggingOptions): void {
  let code: MiddlewareContext | undefined;
  item.facts.features.set(TaskLog, { begin: (ctx) => (code = ctx) });
  let ended: LogEvent | undefined;
  item.onResponse(({ outcome }) =>
    isolated.run("the end of an orchestration was not logged", () => {
      if (!isItemHeard(item, options)) return;
      const output = outcome.status === "completed" ? outputAttribute(item, code?.result, options) : {};
      ended = orchestrationEnded(item.facts, outcome, output, new Date());
    }),
  );
  item.onDelivered((delivery) =>
    isolated.run("an episode was not logged", () => {
      if (delivery !== "accepted" || !isItemHeard(item, options)) return;
      for (const fact of item.facts.history.facts()) {
        const event = eventOf(fact, item, options);
        if (event !== undefined) writeEvent(item, event, options);
      }
      if (ended !== undefined) writeEvent(item, ended, options);
    }),
  );
}

function eventOf(fact: DurableFact, item: OrchestrationWorkItem, options: LoggingOptions): LogEvent | undefined {
  switch (fact.type) {
    case "started":
      return orchestrationStarted(item.facts, inputAttribute(item, options));
    case "suspended":
    case "resumed":
      return orchestrationTurned(item.facts, fact.type, fact.at);
    default:
      // Tasks log themselves.
      return undefined;
  }
}
