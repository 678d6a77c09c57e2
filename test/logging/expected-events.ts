/** The log records that a task hub's history calls for, from the SDK's client alone. */
import { HistoryEventType, type HistoryEvent, type TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { label } from "./record-logs.ts";

const statuses: Readonly<Record<string, string>> = {
  ORCHESTRATION_STATUS_COMPLETED: "Completed",
  ORCHESTRATION_STATUS_FAILED: "Failed",
  ORCHESTRATION_STATUS_TERMINATED: "Terminated",
};

/** The records that there should be of an orchestration and of all that it started, as `labelOf` names them. */
export async function expectedRecords(client: TaskHubGrpcClient, instanceId: string): Promise<readonly string[]> {
  const events = await client.getOrchestrationHistory(instanceId);
  const name = events.find((event) => event.type === HistoryEventType.ExecutionStarted)?.name;
  const children = events.flatMap((event) =>
    event.type === HistoryEventType.SubOrchestrationInstanceCreated && event.instanceId !== undefined
      ? [event.instanceId]
      : [],
  );
  const below = await Promise.all([...new Set(children)].map((child) => expectedRecords(client, child)));
  return [
    ...events.flatMap((event) => expectedRecord(event, events, name, instanceId) ?? []),
    ...below.flat(),
  ].toSorted();
}

/** The record that there should be of an event of a history, as `labelOf` returns it. */
export function expectedRecord(
  event: HistoryEvent,
  events: readonly HistoryEvent[],
  name: string | undefined,
  id: string | undefined,
): string | undefined {
  switch (event.type) {
    case HistoryEventType.ExecutionStarted:
      return label("orchestration.started", name, id);
    case HistoryEventType.ExecutionSuspended:
      return label("orchestration.suspended", name, id);
    case HistoryEventType.ExecutionResumed:
      return label("orchestration.resumed", name, id);
    case HistoryEventType.ExecutionRewound:
      return label("orchestration.rewound", name, id);
    case HistoryEventType.ExecutionCompleted: {
      return label(
        "orchestration.finished",
        name,
        id,
        statuses[event.orchestrationStatus],
        rootType(event.failureDetails?.errorType, events),
      );
    }
    case HistoryEventType.TaskScheduled:
      return label("activity.started", event.name, id, event.eventId);
    case HistoryEventType.TaskCompleted:
      return label(
        "activity.finished",
        activityName(event.taskScheduledId, events),
        id,
        event.taskScheduledId,
        "Completed",
      );
    case HistoryEventType.TaskFailed: {
      const error = event.failureDetails?.errorType;
      return label(
        "activity.failed",
        activityName(event.taskScheduledId, events),
        id,
        event.taskScheduledId,
        "Failed",
        error,
      );
    }
    default:
      return undefined;
  }
}

// Of what these orchestrations don't catch: the last task that failed (telemetry.md S11).
function rootType(type: string | undefined, events: readonly HistoryEvent[]): string | undefined {
  if (type !== "TaskFailedError") return type;
  return events.findLast((event) => event.type === HistoryEventType.TaskFailed)?.failureDetails?.errorType;
}

function activityName(taskId: number, events: readonly HistoryEvent[]): string | undefined {
  return events.flatMap((event) =>
    event.type === HistoryEventType.TaskScheduled && event.eventId === taskId ? [event.name] : [],
  )[0];
}
