/** What the histories of a task hub say. */
import {
  HistoryEventType,
  OrchestrationStatus,
  type HistoryEvent,
  type OrchestrationState,
  type TaskHubGrpcClient,
} from "@microsoft/durabletask-js";

/** One attempt of an activity that has ended. */
export interface ActivityFact {
  readonly instanceId: string;
  readonly name: string;
  readonly failed: boolean;
  /** From scheduled to completed, in seconds. */
  readonly turnaround: number;
}

export interface InstanceFact {
  readonly instanceId: string;
  readonly name: string;
  readonly status: OrchestrationStatus;
  readonly isFinished: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly history: readonly HistoryEvent[];
  /** The activities that were scheduled and have not ended: `NAME #ID`. */
  readonly pendingTasks: readonly string[];
  /** Whether it runs, and no task or timer of its own is out. */
  readonly waitsForEvent: boolean;
  /** How many of its episodes ended waiting. */
  readonly waits: number;
  /** When its last episode began. */
  readonly lastEpisode: Date | undefined;
}

export interface Facts {
  readonly instances: ReadonlyMap<string, InstanceFact>;
  readonly activities: readonly ActivityFact[];
}

const finished: ReadonlySet<OrchestrationStatus> = new Set([
  OrchestrationStatus.COMPLETED,
  OrchestrationStatus.FAILED,
  OrchestrationStatus.TERMINATED,
]);

export async function readFacts(client: TaskHubGrpcClient): Promise<Facts> {
  const instances = new Map<string, InstanceFact>();
  const activities: ActivityFact[] = [];
  for await (const state of client.getAllInstances()) {
    const history = await client.getOrchestrationHistory(state.instanceId);
    instances.set(state.instanceId, instanceOf(state, history));
    activities.push(...activitiesOf(state.instanceId, history));
  }
  return { instances, activities };
}

function instanceOf(state: OrchestrationState, history: readonly HistoryEvent[]): InstanceFact {
  const ended = new Set(
    history.flatMap((event) =>
      "taskScheduledId" in event ? [event.taskScheduledId] : "timerId" in event ? [event.timerId] : [],
    ),
  );
  const out = history.filter(
    (event) =>
      (event.type === HistoryEventType.TaskScheduled ||
        event.type === HistoryEventType.TimerCreated ||
        event.type === HistoryEventType.SubOrchestrationInstanceCreated) &&
      !ended.has(event.eventId),
  );
  const isFinished = finished.has(state.runtimeStatus);
  return {
    instanceId: state.instanceId,
    name: state.name,
    status: state.runtimeStatus,
    isFinished,
    tags: state.tags ?? {},
    history,
    pendingTasks: isFinished
      ? []
      : out.flatMap((event) =>
          event.type === HistoryEventType.TaskScheduled ? [`${event.name} #${event.eventId}`] : [],
        ),
    waitsForEvent: !isFinished && out.length === 0,
    waits: history.filter(({ type }) => type === HistoryEventType.OrchestratorStarted).length - (isFinished ? 1 : 0),
    lastEpisode: history.findLast(({ type }) => type === HistoryEventType.OrchestratorStarted)?.timestamp,
  };
}

function activitiesOf(instanceId: string, history: readonly HistoryEvent[]): readonly ActivityFact[] {
  const scheduled = new Map(
    history.flatMap((event) =>
      event.type === HistoryEventType.TaskScheduled ? [[event.eventId, event] as const] : [],
    ),
  );
  return history.flatMap((event) => {
    if (event.type !== HistoryEventType.TaskCompleted && event.type !== HistoryEventType.TaskFailed) return [];
    const start = scheduled.get(event.taskScheduledId);
    if (start === undefined) throw new Error(`${instanceId} has an end without a start.`);
    const turnaround = (event.timestamp.getTime() - start.timestamp.getTime()) / 1000;
    return [{ instanceId, name: start.name, failed: event.type === HistoryEventType.TaskFailed, turnaround }];
  });
}
