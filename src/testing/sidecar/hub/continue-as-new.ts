import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { executionStarted, executionSuspended, tagsOf, timestamp } from "./history-events.ts";
import { newGeneration, type Generation, type Instance } from "./instance.ts";
import { resultOf } from "./open-tasks.ts";

/**
 * The generation that follows when an orchestration continues as new.
 *
 * @param seen - The events of the episode that ended the old generation, which is committed already.
 */
export function nextGeneration(
  at: Date,
  instance: Instance,
  action: pb.CompleteOrchestrationAction,
  seen: readonly pb.HistoryEvent[],
): Generation {
  const old = instance.generation;
  const start = {
    version: action.getNewversion() ?? old.version,
    input: action.getResult(),
    tags: new Map([...old.tags, ...tagsOf(action.getTagsMap())]),
  };
  const next = newGeneration(start, instance.customStatus);
  next.inbox.push(
    executionStarted(at, {
      ...start,
      instanceId: instance.id,
      executionId: next.executionId,
      name: instance.seed.name,
      parent: instance.parent,
      // A new execution: what started the old one did not start this one.
      parentTraceContext: undefined,
      scheduledStart: undefined,
    }),
    ...action.getCarryovereventsList().map((event) => stamped(at, event)),
  );
  // A suspension or termination that came too late for the old generation still holds.
  if (endsSuspended([...old.history, ...seen])) next.inbox.push(executionSuspended(at, undefined));
  next.inbox.push(...seen.filter((event) => event.hasExecutionterminated()));
  // What arrived while the last episode ran, but for the results of the old generation's tasks.
  next.inbox.push(...old.inbox.filter((event) => resultOf(event) === undefined));
  return next;
}

function endsSuspended(events: readonly pb.HistoryEvent[]): boolean {
  const last = events.findLast((event) => event.hasExecutionsuspended() || event.hasExecutionresumed());
  return last?.hasExecutionsuspended() ?? false;
}

/** The SDK's worker keeps events at continue-as-new without their time. */
function stamped(at: Date, event: pb.HistoryEvent): pb.HistoryEvent {
  const seconds = event.getTimestamp()?.getSeconds() ?? 0;
  return seconds > 0 ? event : event.setTimestamp(timestamp(at));
}
