import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";

/** What ties a result to its task: the ID of the event that scheduled it, or of the request to an entity. */
type TaskKey = number | string;

/** The task that an event is the result of, if it is one. */
export function resultOf(event: pb.HistoryEvent): TaskKey | undefined {
  return (
    event.getTaskcompleted()?.getTaskscheduledid() ??
    event.getTaskfailed()?.getTaskscheduledid() ??
    event.getTimerfired()?.getTimerid() ??
    event.getSuborchestrationinstancecompleted()?.getTaskscheduledid() ??
    event.getSuborchestrationinstancefailed()?.getTaskscheduledid() ??
    event.getEntityoperationcompleted()?.getRequestid() ??
    event.getEntityoperationfailed()?.getRequestid() ??
    event.getEntitylockgranted()?.getCriticalsectionid()
  );
}

function keyOf(event: pb.HistoryEvent): TaskKey {
  return (
    event.getEntityoperationcalled()?.getRequestid() ??
    event.getEntitylockrequested()?.getCriticalsectionid() ??
    event.getEventid()
  );
}

/** Whether an event is the failure of a task, which a rewind takes out of the history. */
export function isTaskFailure(event: pb.HistoryEvent): boolean {
  return event.hasTaskfailed() || event.hasSuborchestrationinstancefailed();
}

/** The events that scheduled a task whose result is not among the events. */
export function openTasks(events: readonly pb.HistoryEvent[]): pb.HistoryEvent[] {
  const results = new Set(events.map(resultOf));
  return events.filter((event) => schedulesTask(event) && !results.has(keyOf(event)));
}

export function schedulesTask(event: pb.HistoryEvent): boolean {
  return (
    event.hasTaskscheduled() ||
    event.hasTimercreated() ||
    event.hasSuborchestrationinstancecreated() ||
    event.hasEntityoperationcalled() ||
    event.hasEntitylockrequested()
  );
}

/**
 * The events for actions that the history does not hold yet. While an orchestration is suspended, the SDK's worker
 * returns actions again that it returned before: it holds back their confirmations with everything else.
 */
export function withoutRepeats(
  history: readonly pb.HistoryEvent[],
  events: readonly pb.HistoryEvent[],
): pb.HistoryEvent[] {
  const done = new Set(history.filter(recordsAction).map((event) => event.getEventid()));
  return events.filter((event) => !done.has(event.getEventid()));
}

function recordsAction(event: pb.HistoryEvent): boolean {
  return (
    schedulesTask(event) || event.hasEventsent() || event.hasEntityoperationsignaled() || event.hasEntityunlocksent()
  );
}
