/** A task hub's history in terms of metrics, from the SDK's client alone. */
import { HistoryEventType, type HistoryEvent } from "@microsoft/durabletask-js";

/** One finished execution, as the hub has it. */
export interface Execution {
  readonly name: string;
  readonly version: string | undefined;
  readonly status: "Completed" | "Failed" | "Terminated" | "ContinuedAsNew";
  readonly errorType: string | undefined;
  readonly events: readonly HistoryEvent[];
}

const isOf =
  <T extends HistoryEventType>(type: T) =>
  (event: HistoryEvent): event is Extract<HistoryEvent, { type: T }> =>
    event.type === type;

function all<T extends HistoryEventType>(
  type: T,
  events: readonly HistoryEvent[],
): Extract<HistoryEvent, { type: T }>[] {
  return events.filter(isOf(type));
}

const statuses = new Map<string, Execution["status"]>([
  ["ORCHESTRATION_STATUS_COMPLETED", "Completed"],
  ["ORCHESTRATION_STATUS_FAILED", "Failed"],
  ["ORCHESTRATION_STATUS_TERMINATED", "Terminated"],
]);

/** The execution of a history; one that continued as new has no end in its history. */
export function executionOf(events: readonly HistoryEvent[]): Execution {
  const [started] = all(HistoryEventType.ExecutionStarted, events);
  if (started === undefined) throw new Error("The history has no start.");
  const [completed] = all(HistoryEventType.ExecutionCompleted, events);
  const status = completed === undefined ? "ContinuedAsNew" : statuses.get(completed.orchestrationStatus);
  if (status === undefined) throw new Error(`Unknown status ${completed?.orchestrationStatus}.`);
  const ownType = completed?.failureDetails?.errorType;
  // Of what an orchestration does not catch, the root cause: the last task that failed (telemetry.md S11).
  const failedTask = events.findLast((event) => event.type === HistoryEventType.TaskFailed);
  const errorType = ownType === "TaskFailedError" ? failedTask?.failureDetails?.errorType : ownType;
  return { name: started.name, version: started.version, status, errorType, events };
}

/** How often each label comes. */
export function tally(labels: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}

/** Positions of the events that began episodes. */
export function episodes({ events }: Execution): readonly number[] {
  return events.flatMap((event, index) => (event.type === HistoryEventType.OrchestratorStarted ? [index] : []));
}

/** How many events the last episode was given: what came after are its own answers. */
export function eventsAtTheFinish(execution: Execution): number {
  const last = episodes(execution).at(-1) ?? 0;
  const answers = execution.events
    .slice(last)
    .filter(({ type }) =>
      [
        HistoryEventType.TaskScheduled,
        HistoryEventType.TimerCreated,
        HistoryEventType.SubOrchestrationInstanceCreated,
        HistoryEventType.ExecutionCompleted,
      ].includes(type),
    );
  return execution.events.length - answers.length;
}

/** When the first episode began, in milliseconds. */
export function startedAt({ events }: Execution): number {
  const episode = events.find(isOf(HistoryEventType.OrchestratorStarted));
  if (episode === undefined) throw new Error("The history has no episode.");
  return episode.timestamp.getTime();
}

/** The times between which the execution ended, in milliseconds; the last episode's start and the recorded completion. */
export function endsBetween({ events }: Execution): readonly [number, number] {
  const lastEpisode = events.findLast(isOf(HistoryEventType.OrchestratorStarted));
  const completed = events.find(isOf(HistoryEventType.ExecutionCompleted));
  return [lastEpisode?.timestamp.getTime() ?? 0, completed?.timestamp.getTime() ?? Date.now()];
}

/** A completed attempt of an activity. */
export interface Attempt {
  readonly taskId: number;
  readonly name: string;
  readonly version: string | undefined;
  readonly errorType: string | undefined;
  /** From scheduled to completed, in seconds. */
  readonly turnaround: number;
}

/** The attempts that the history has an end of. */
export function attempts({ events }: Execution): readonly Attempt[] {
  const scheduled = new Map(all(HistoryEventType.TaskScheduled, events).map((event) => [event.eventId, event]));
  const ends = events.filter(
    (event) => event.type === HistoryEventType.TaskCompleted || event.type === HistoryEventType.TaskFailed,
  );
  return ends.map((end) => {
    const start = scheduled.get(end.taskScheduledId);
    if (start === undefined) throw new Error(`Task ${end.taskScheduledId} was never scheduled.`);
    return {
      taskId: start.eventId,
      name: start.name,
      version: start.version,
      errorType: end.type === HistoryEventType.TaskFailed ? (end.failureDetails?.errorType ?? "") : undefined,
      turnaround: (end.timestamp.getTime() - start.timestamp.getTime()) / 1000,
    };
  });
}

/** The names of all activities and sub-orchestrations that were scheduled. */
export function scheduledNames({ events }: Execution): readonly string[] {
  return [
    ...all(HistoryEventType.TaskScheduled, events),
    ...all(HistoryEventType.SubOrchestrationInstanceCreated, events),
  ].map(({ name }) => name);
}

/** How late each timer fired, in seconds. */
export function timerLags({ events }: Execution): readonly number[] {
  return all(HistoryEventType.TimerFired, events).map(({ timestamp, fireAt }) =>
    Math.max(0, (timestamp.getTime() - fireAt.getTime()) / 1000),
  );
}

/** The instance IDs of the sub-orchestrations. */
export function children({ events }: Execution): readonly string[] {
  const created = all(HistoryEventType.SubOrchestrationInstanceCreated, events);
  return [...new Set(created.flatMap(({ instanceId }) => instanceId ?? []))];
}

/** Its instance and execution IDs. */
export function ids({ events }: Execution): readonly string[] {
  const instances = all(HistoryEventType.ExecutionStarted, events).map(
    ({ orchestrationInstance }) => orchestrationInstance,
  );
  return instances.flatMap((each) => [each?.instanceId ?? [], each?.executionId ?? []].flat());
}
