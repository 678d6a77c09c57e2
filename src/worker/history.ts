import type { HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { DurableFact, EpisodeHistory, ReceivedFact, ScheduledTask, TaskFailure } from "../pipeline/index.ts";
import { answeredRequest, entityFailure, entityRequest } from "./entity-messages.ts";
import { failureOf, timeOf, traceContextOf } from "./messages.ts";

/**
 * The history of an execution as one episode gets it: what is committed, and what is new. Nothing is read before it
 * is asked for, and a lookup stops at the first answer, so that an episode's cost does not grow with its history.
 */
export class ProtoHistory implements EpisodeHistory {
  readonly #past: readonly HistoryEvent[];
  readonly #new: readonly HistoryEvent[];
  #facts: readonly DurableFact[] | undefined;
  #rewound: boolean | undefined;
  #left: ReadonlySet<number> | undefined;
  #lastLeft: number | undefined;

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
    return (this.#rewound ??= find(this.#past, this.#new, (event) => event.hasExecutionrewound()) !== undefined);
  }

  /** The event that started the execution. */
  get started(): HistoryEvent | undefined {
    return find(this.#past, this.#new, (event) => event.hasExecutionstarted());
  }

  facts(): readonly DurableFact[] {
    return (this.#facts ??= this.#readFacts());
  }

  received(): readonly ReceivedFact[] {
    const events = [...this.#past, ...this.#new];
    const requests = new Set(events.flatMap((event) => entityRequest(event)?.id ?? []));
    let episode: Date | undefined;
    return events.flatMap((event) => {
      if (event.hasOrchestratorstarted()) episode = timeOf(event.getTimestamp()) ?? episode;
      // What the SDK carries over when an orchestration continues as new has no time of its own.
      const fact = receivedFact(event, episode);
      const isAnswer = fact?.type === "event_raised" && requests.has(answeredRequest(event) ?? "");
      return fact === undefined || isAnswer ? [] : fact;
    });
  }

  unfinishedTasks(): readonly ScheduledTask[] {
    const tasks = new Map<TaskKey, ScheduledTask>();
    for (const event of [...this.#past, ...this.#new]) {
      const task = scheduledTask(event);
      if (task !== undefined) tasks.set(entityRequest(event)?.id ?? task.taskId, task);
      const finished = finishedKey(event);
      if (finished !== undefined) tasks.delete(finished);
    }
    return [...tasks.values()];
  }

  failureOfTask(taskId: number): TaskFailure | undefined {
    const isFailure = (event: HistoryEvent): boolean => finishedKey(event) === taskId && failureIn(event) !== undefined;
    const failed = this.#new.findLast(isFailure) ?? this.#past.findLast(isFailure);
    return failed && failureIn(failed);
  }

  hasLeft(taskId: number): boolean {
    // IDs count up, so most are seen to be new at once; but what a rewind took out of the history leaves anew.
    this.#lastLeft ??= this.#past.findLast(isAction)?.getEventid() ?? 0;
    if (taskId > this.#lastLeft) return false;
    this.#left ??= new Set(this.#past.filter(isAction).map((event) => event.getEventid()));
    return this.#left.has(taskId);
  }

  #readFacts(): readonly DurableFact[] {
    const { scheduled, done } = this.#schedulingEvents();
    return this.#new.flatMap((event) => {
      const key = finishedKey(event);
      // A backend may deliver a completion twice; it is one fact.
      if (key !== undefined && done.has(key)) return [];
      if (key !== undefined && !isExternal(event, scheduled)) done.add(key);
      return factOf(event, scheduled) ?? [];
    });
  }

  // The events that scheduled what the new events finish, by key, and what of that was done before: one walk
  // backwards, as far as it must.
  #schedulingEvents(): { readonly scheduled: Scheduled; readonly done: Set<TaskKey> } {
    const wanted = new Set(this.#new.flatMap((event) => finishedKey(event) ?? []));
    const ofEntities = [...wanted].some((key) => typeof key === "string");
    const found = new Map<TaskKey, HistoryEvent>();
    const done = new Set<TaskKey>();
    // Whether they were answers shows once their requests are found.
    const raised = new Set<TaskKey>();
    for (let index = this.#past.length - 1; index >= 0 && wanted.size > 0; index -= 1) {
      const event = this.#past[index];
      if (event === undefined) continue;
      const doneKey = finishedKey(event);
      const id = event.getEventid();
      if (doneKey !== undefined && wanted.has(doneKey)) {
        (event.hasEventraised() ? raised : done).add(doneKey);
        if (!event.hasEventraised()) wanted.delete(doneKey);
      } else if (wanted.has(id) && schedules(event)) {
        wanted.delete(id);
        found.set(id, event);
      } else if (ofEntities) {
        const request = entityRequest(event);
        if (request === undefined || !wanted.delete(request.id)) continue;
        if (raised.has(request.id)) done.add(request.id);
        else found.set(request.id, event);
      }
    }
    return { scheduled: found, done };
  }
}

/** What ties an end to its beginning: a task ID, or the ID of a request to entities. */
type TaskKey = number | string;
type Scheduled = ReadonlyMap<TaskKey, HistoryEvent>;

const { EventtypeCase } = proto.HistoryEvent;

function factOf(event: HistoryEvent, scheduled: Scheduled): DurableFact | undefined {
  const at = timeOf(event.getTimestamp());
  if (event.hasExecutionstarted()) return { type: "started", at };
  if (event.hasTimerfired()) return timerFired(event, scheduled);
  const origin = scheduled.get(finishedKey(event) ?? Number.NaN);
  const task = origin && scheduledTask(origin);
  // A completion of something that was never scheduled here is the SDK's to complain about.
  if (task === undefined) return receivedFact(event, undefined);
  return { type: "task_finished", task, at, failure: failureIn(event) ?? entityFailure(event) };
}

function failureIn(event: HistoryEvent): TaskFailure | undefined {
  const failed = event.getTaskfailed() ?? event.getSuborchestrationinstancefailed();
  return failed && failureOf(failed.getFailuredetails());
}

function receivedFact(event: HistoryEvent, otherwise: Date | undefined): ReceivedFact | undefined {
  const at = timeOf(event.getTimestamp()) ?? otherwise;
  switch (event.getEventtypeCase()) {
    case EventtypeCase.EXECUTIONSUSPENDED:
      return { type: "suspended", at };
    case EventtypeCase.EXECUTIONRESUMED:
      return { type: "resumed", at };
    case EventtypeCase.EVENTRAISED:
      return { type: "event_raised", name: event.getEventraised()?.getName() ?? "", at };
    default:
      return undefined;
  }
}

// Whether an event raised is no answer of an entity, though its name looks like one.
function isExternal(event: HistoryEvent, scheduled: Scheduled): boolean {
  return event.hasEventraised() && !scheduled.has(finishedKey(event) ?? Number.NaN);
}

function timerFired(event: HistoryEvent, scheduled: Scheduled): DurableFact {
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

// Whether an event records an action, under the action's ID.
function isAction(event: HistoryEvent): boolean {
  switch (event.getEventtypeCase()) {
    case EventtypeCase.TASKSCHEDULED:
    case EventtypeCase.SUBORCHESTRATIONINSTANCECREATED:
    case EventtypeCase.TIMERCREATED:
    case EventtypeCase.EVENTSENT:
    case EventtypeCase.ENTITYOPERATIONCALLED:
    case EventtypeCase.ENTITYOPERATIONSIGNALED:
    case EventtypeCase.ENTITYLOCKREQUESTED:
    case EventtypeCase.ENTITYUNLOCKSENT:
      return true;
    default:
      return false;
  }
}

function scheduledTask(event: HistoryEvent): ScheduledTask | undefined {
  const taskId = event.getEventid();
  const scheduledAt = timeOf(event.getTimestamp());
  const activity = event.getTaskscheduled();
  const child = event.getSuborchestrationinstancecreated();
  const message = activity ?? child;
  if (message === undefined) {
    const request = entityRequest(event);
    if (request === undefined) return undefined;
    const { type, operation: name, target: instanceId } = request;
    return { type, taskId, name, version: undefined, instanceId, scheduledAt, traceContext: undefined };
  }
  return {
    type: activity === undefined ? "sub_orchestration" : "activity",
    taskId,
    name: message.getName(),
    version: message.getVersion()?.getValue(),
    instanceId: child?.getInstanceid(),
    scheduledAt,
    traceContext: traceContextOf(message.getParenttracecontext()),
  };
}

function finishedKey(event: HistoryEvent): TaskKey | undefined {
  switch (event.getEventtypeCase()) {
    case EventtypeCase.TIMERFIRED:
      return event.getTimerfired()?.getTimerid();
    case EventtypeCase.TASKCOMPLETED:
      return event.getTaskcompleted()?.getTaskscheduledid();
    case EventtypeCase.TASKFAILED:
      return event.getTaskfailed()?.getTaskscheduledid();
    case EventtypeCase.SUBORCHESTRATIONINSTANCECOMPLETED:
      return event.getSuborchestrationinstancecompleted()?.getTaskscheduledid();
    case EventtypeCase.SUBORCHESTRATIONINSTANCEFAILED:
      return event.getSuborchestrationinstancefailed()?.getTaskscheduledid();
    default:
      return answeredRequest(event);
  }
}
