import type { HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { DurableFact, EpisodeHistory, ScheduledTask } from "../pipeline/index.ts";
import { failureOf, timeOf, traceContextOf } from "./messages.ts";

/**
 * The history of an execution as one episode gets it: what is committed, and what is new. Nothing is read before it
 * is asked for, and a lookup stops at the first answer, so that an episode's cost does not grow with its history.
 */
export class ProtoHistory implements EpisodeHistory {
  readonly #past: readonly HistoryEvent[];
  readonly #new: readonly HistoryEvent[];
  #facts: readonly DurableFact[] | undefined;

  constructor(past: readonly HistoryEvent[], fresh: readonly HistoryEvent[]) {
    this.#past = past;
    this.#new = fresh;
  }

  get startedAt(): Date | undefined {
    // Both stand at the head of the history.
    const started = find(this.#past, this.#new, (event) => event.hasOrchestratorstarted());
    return timeOf(started?.getTimestamp()) ?? timeOf(this.started?.getTimestamp());
  }

  get episodeStartedAt(): Date | undefined {
    return timeOf(this.#new.findLast((event) => event.hasOrchestratorstarted())?.getTimestamp());
  }

  get replayedEvents(): number {
    return this.#past.length;
  }

  get events(): number {
    return this.#past.length + this.#new.length;
  }

  get episodes(): number {
    return [...this.#past, ...this.#new].filter((event) => event.hasOrchestratorstarted()).length;
  }

  get rewound(): boolean {
    return find(this.#past, this.#new, (event) => event.hasExecutionrewound()) !== undefined;
  }

  /** The event that started the execution. */
  get started(): HistoryEvent | undefined {
    return find(this.#past, this.#new, (event) => event.hasExecutionstarted());
  }

  facts(): readonly DurableFact[] {
    return (this.#facts ??= this.#readFacts());
  }

  unfinishedTasks(): readonly ScheduledTask[] {
    const tasks = new Map<number, ScheduledTask>();
    for (const event of [...this.#past, ...this.#new]) {
      const task = scheduledTask(event);
      if (task !== undefined) tasks.set(task.taskId, task);
      const finished = finishedTaskId(event);
      if (finished !== undefined) tasks.delete(finished);
    }
    return [...tasks.values()];
  }

  isScheduled(taskId: number): boolean {
    return this.#past.some((event) => event.getEventid() === taskId && scheduledTask(event) !== undefined);
  }

  #readFacts(): readonly DurableFact[] {
    const { scheduled, done } = this.#schedulingEvents();
    return this.#new.flatMap((event) => {
      const taskId = doneTaskId(event);
      // A backend may deliver a completion twice; it is one fact.
      if (taskId !== undefined && done.has(taskId)) return [];
      if (taskId !== undefined) done.add(taskId);
      return factOf(event, scheduled) ?? [];
    });
  }

  // The events that scheduled what the new events finish, by task ID, and what of that was done before: one walk
  // backwards, as far as it must.
  #schedulingEvents(): { readonly scheduled: ReadonlyMap<number, HistoryEvent>; readonly done: Set<number> } {
    const wanted = new Set(this.#new.flatMap((event) => doneTaskId(event) ?? []));
    const found = new Map<number, HistoryEvent>();
    const done = new Set<number>();
    for (let index = this.#past.length - 1; index >= 0 && wanted.size > 0; index -= 1) {
      const event = this.#past[index];
      if (event === undefined) continue;
      const doneId = doneTaskId(event);
      if (doneId !== undefined && wanted.delete(doneId)) {
        done.add(doneId);
      } else if (wanted.has(event.getEventid()) && schedules(event)) {
        wanted.delete(event.getEventid());
        found.set(event.getEventid(), event);
      }
    }
    return { scheduled: found, done };
  }
}

const { EventtypeCase } = proto.HistoryEvent;

function factOf(event: HistoryEvent, scheduled: ReadonlyMap<number, HistoryEvent>): DurableFact | undefined {
  const at = timeOf(event.getTimestamp());
  switch (event.getEventtypeCase()) {
    case EventtypeCase.EXECUTIONSTARTED:
      return { type: "started", at };
    case EventtypeCase.EXECUTIONSUSPENDED:
      return { type: "suspended", at };
    case EventtypeCase.EXECUTIONRESUMED:
      return { type: "resumed", at };
    case EventtypeCase.EVENTRAISED:
      return { type: "event_raised", name: event.getEventraised()?.getName() ?? "", at };
    case EventtypeCase.TIMERFIRED:
      return timerFired(event, scheduled);
    default: {
      const origin = scheduled.get(finishedTaskId(event) ?? Number.NaN);
      const task = origin && scheduledTask(origin);
      // A completion of something that was never scheduled here is the SDK's to complain about.
      if (task === undefined) return undefined;
      const failed = event.getTaskfailed() ?? event.getSuborchestrationinstancefailed();
      return { type: "task_finished", task, at, failure: failed && failureOf(failed.getFailuredetails()) };
    }
  }
}

function timerFired(event: HistoryEvent, scheduled: ReadonlyMap<number, HistoryEvent>): DurableFact {
  const timer = event.getTimerfired();
  const taskId = timer?.getTimerid() ?? 0;
  const created = scheduled.get(taskId);
  return {
    type: "timer_fired",
    taskId,
    createdAt: timeOf(created?.getTimestamp()),
    dueAt: timeOf(timer?.getFireat()) ?? timeOf(created?.getTimercreated()?.getFireat()),
    at: timeOf(event.getTimestamp()),
  };
}

function find(
  past: readonly HistoryEvent[],
  fresh: readonly HistoryEvent[],
  predicate: (event: HistoryEvent) => boolean,
): HistoryEvent | undefined {
  return past.find(predicate) ?? fresh.find(predicate);
}

function schedules(event: HistoryEvent): boolean {
  return event.hasTaskscheduled() || event.hasSuborchestrationinstancecreated() || event.hasTimercreated();
}

function scheduledTask(event: HistoryEvent): ScheduledTask | undefined {
  const activity = event.getTaskscheduled();
  const child = event.getSuborchestrationinstancecreated();
  const message = activity ?? child;
  if (message === undefined) return undefined;
  return {
    type: activity === undefined ? "sub_orchestration" : "activity",
    taskId: event.getEventid(),
    name: message.getName(),
    version: message.getVersion()?.getValue(),
    instanceId: child?.getInstanceid(),
    scheduledAt: timeOf(event.getTimestamp()),
    traceContext: traceContextOf(message.getParenttracecontext()),
  };
}

function doneTaskId(event: HistoryEvent): number | undefined {
  return event.getTimerfired()?.getTimerid() ?? finishedTaskId(event);
}

function finishedTaskId(event: HistoryEvent): number | undefined {
  switch (event.getEventtypeCase()) {
    case EventtypeCase.TASKCOMPLETED:
      return event.getTaskcompleted()?.getTaskscheduledid();
    case EventtypeCase.TASKFAILED:
      return event.getTaskfailed()?.getTaskscheduledid();
    case EventtypeCase.SUBORCHESTRATIONINSTANCECOMPLETED:
      return event.getSuborchestrationinstancecompleted()?.getTaskscheduledid();
    case EventtypeCase.SUBORCHESTRATIONINSTANCEFAILED:
      return event.getSuborchestrationinstancefailed()?.getTaskscheduledid();
    default:
      return undefined;
  }
}
