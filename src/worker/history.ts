import type {
  CreatedTimer,
  EpisodeHistory,
  HistoryEvent,
  ReceivedEvent,
  ScheduledTask,
  TaskFailure,
} from "../pipeline/index.ts";
import { answeredRequest, entityFailure, entityRequest } from "./entity-messages.ts";
import { failureOf, timeOf, traceContextOf } from "./messages.ts";
import type {
  HistoryEvent as ProtoEvent,
  SubOrchestrationInstanceCreatedEvent,
  TaskScheduledEvent,
} from "./protocol.ts";

/**
 * The history of an execution as one episode gets it: what is committed, and what is new. Nothing is read before it
 * is asked for, and a lookup stops at the first answer, so that an episode's cost does not grow with its history.
 */
export class ProtoHistory implements EpisodeHistory {
  readonly #past: readonly ProtoEvent[];
  readonly #new: readonly ProtoEvent[];
  #newEvents: readonly HistoryEvent[] | undefined;
  #raised: ReadonlyMap<string, readonly (ProtoEvent | Date | undefined)[]> | undefined;
  #rewound: boolean | undefined;
  // Asked for once for each event of a history that may be long: so they are looked up once.
  #started: Found<ProtoEvent> | undefined;
  #startedAt: Found<Date> | undefined;
  #episodeStartedAt: Found<Date> | undefined;
  #left: ReadonlySet<number> | undefined;
  #lastLeft: number | undefined;
  #firstOfLastEpisode: number | undefined;

  constructor(past: readonly ProtoEvent[], fresh: readonly ProtoEvent[]) {
    this.#past = past;
    this.#new = fresh;
  }

  get startedAt(): Date | undefined {
    return (this.#startedAt ??= { value: this.#findStart() }).value;
  }

  get episodeStartedAt(): Date | undefined {
    this.#episodeStartedAt ??= {
      value: timeOf(this.#new.findLast((event) => event.hasOrchestratorstarted())?.getTimestamp()),
    };
    return this.#episodeStartedAt.value;
  }

  get startPrecedesFirstEpisode(): boolean {
    const started = this.started?.getTimestamp();
    const episode = find(this.#past, this.#new, (event) => event.hasOrchestratorstarted())?.getTimestamp();
    if (started === undefined || episode === undefined) return false;
    const seconds = started.getSeconds() - episode.getSeconds();
    return seconds < 0 || (seconds === 0 && started.getNanos() < episode.getNanos());
  }

  get replayedEvents(): number {
    return this.#past.length;
  }

  get events(): number {
    return this.#past.length + this.#new.length;
  }

  get episodes(): number {
    return countEpisodes(this.#past) + countEpisodes(this.#new);
  }

  get rewound(): boolean {
    return (this.#rewound ??=
      find(this.#past, this.#new, (event) => event.hasExecutionrewound?.() ?? false) !== undefined);
  }

  /** The event that started the execution. */
  get started(): ProtoEvent | undefined {
    return (this.#started ??= { value: find(this.#past, this.#new, (event) => event.hasExecutionstarted()) }).value;
  }

  newEvents(): readonly HistoryEvent[] {
    return (this.#newEvents ??= Object.freeze(this.#readNewEvents()));
  }

  received(): readonly ReceivedEvent[] {
    const received: ReceivedEvent[] = [];
    // What answers a request is no event from outside; most histories have no requests.
    let requests: Set<string> | undefined;
    let episode: Date | undefined;
    for (const events of [this.#past, this.#new]) {
      for (const event of events) {
        const type = typeOf(event);
        if (type === eventType.orchestratorStarted) episode = timeOf(event.getTimestamp()) ?? episode;
        // An event that the SDK keeps when an orchestration continues as new has no time of its own.
        const read = receivedEvent(event, type, episode);
        if (read === undefined) continue;
        const answered = read.type === "event_raised" ? answeredRequest(event) : undefined;
        if (answered === undefined || !(requests ??= this.#requests()).has(answered)) received.push(read);
      }
    }
    return received;
  }

  raisedAt(name: string, index: number): Date | undefined {
    const raised = (this.#raised ??= this.#readRaised()).get(name.toLowerCase())?.[index];
    return raised instanceof Date ? raised : timeOf(raised?.getTimestamp());
  }

  // The events themselves: most of their times are not asked for.
  #readRaised(): ReadonlyMap<string, readonly (ProtoEvent | Date | undefined)[]> {
    const raised = new Map<string, (ProtoEvent | Date | undefined)[]>();
    let requests: Set<string> | undefined;
    let episode: ProtoEvent | undefined;
    for (const events of [this.#past, this.#new]) {
      for (const event of events) {
        if (event.hasOrchestratorstarted() && isTimed(event)) episode = event;
        if (!event.hasEventraised()) continue;
        const answered = answeredRequest(event);
        if (answered !== undefined && (requests ??= this.#requests()).has(answered)) continue;
        const name = event.getEventraised()?.getName().toLowerCase() ?? "";
        const entry = isTimed(event) ? event : timeOf(episode?.getTimestamp());
        const known = raised.get(name);
        if (known === undefined) raised.set(name, [entry]);
        else known.push(entry);
      }
    }
    return raised;
  }

  #requests(): Set<string> {
    const requests = new Set<string>();
    for (const events of [this.#past, this.#new]) {
      for (const event of events) {
        const request = entityRequest(event);
        if (request !== undefined) requests.add(request.id);
      }
    }
    return requests;
  }

  unfinishedTasks(): readonly ScheduledTask[] {
    // By what will finish it: the event that scheduled it.
    const left = new Map<TaskKey, ProtoEvent>();
    for (const events of [this.#past, this.#new]) {
      for (const event of events) {
        const type = typeOf(event);
        if (type === eventType.orchestratorStarted) continue;
        if (type === eventType.taskScheduled || type === eventType.subOrchestrationInstanceCreated)
          left.set(event.getEventid(), event);
        else if (requestTypes.has(type)) {
          const request = entityRequest(event);
          if (request !== undefined) left.set(request.id, event);
        } else {
          const finished = finishedKey(event, type);
          if (finished !== undefined) left.delete(finished);
        }
      }
    }
    return [...left.values()].flatMap((event) => scheduledTask(event) ?? []);
  }

  unfiredTimers(): readonly CreatedTimer[] {
    const left = new Map<number, ProtoEvent>();
    for (const events of [this.#past, this.#new]) {
      for (const event of events) {
        if (event.hasTimercreated()) left.set(event.getEventid(), event);
        else if (event.hasTimerfired()) left.delete(event.getTimerfired()?.getTimerid() ?? 0);
      }
    }
    return [...left.values()].map(createdTimer);
  }

  scheduledAs(taskIds: readonly number[]): ReturnType<EpisodeHistory["scheduledAs"]> {
    const tasks: ScheduledTask[] = [];
    const timers: CreatedTimer[] = [];
    const wanted = new Set(taskIds);
    for (const events of [this.#new, this.#past]) {
      for (let index = events.length - 1; index >= 0 && wanted.size > 0; index -= 1) {
        const event = events[index];
        if (event === undefined || !schedules(event) || !wanted.delete(event.getEventid())) continue;
        const task = scheduledTask(event);
        if (task === undefined) timers.push(createdTimer(event));
        else tasks.push(task);
      }
    }
    return { tasks, timers };
  }

  failuresOf(taskIds: readonly number[]): ReadonlyMap<number, TaskFailure> {
    const failures = new Map<number, TaskFailure>();
    const wanted = new Set(taskIds);
    for (const events of [this.#new, this.#past]) {
      for (let index = events.length - 1; index >= 0 && wanted.size > 0; index -= 1) {
        const event = events[index];
        const taskId = event && finishedKey(event);
        if (event === undefined || typeof taskId !== "number" || !wanted.has(taskId)) continue;
        const failure = failureIn(event);
        if (failure === undefined) continue;
        wanted.delete(taskId);
        failures.set(taskId, failure);
      }
    }
    return failures;
  }

  hasLeft(taskId: number): boolean {
    // IDs count up, so most are seen to be new at once; but what a rewind took out of the history leaves anew.
    this.#lastLeft ??= this.#past.findLast(isAction)?.getEventid() ?? 0;
    if (taskId > this.#lastLeft) return false;
    this.#left ??= new Set(this.#past.filter(isAction).map((event) => event.getEventid()));
    return this.#left.has(taskId);
  }

  isOfLastEpisode(taskId: number): boolean {
    return taskId >= (this.#firstOfLastEpisode ??= this.#findFirstOfLastEpisode());
  }

  // IDs count up.
  #findFirstOfLastEpisode(): number {
    let first = Infinity;
    for (let index = this.#past.length - 1; index >= 0; index -= 1) {
      const event = this.#past[index];
      if (event?.hasOrchestratorstarted() === true) break;
      if (event !== undefined && isAction(event)) first = event.getEventid();
    }
    return first;
  }

  #findStart(): Date | undefined {
    // Both stand at the head of the history.
    const first = find(this.#past, this.#new, (event) => event.hasOrchestratorstarted());
    return timeOf(first?.getTimestamp()) ?? timeOf(this.started?.getTimestamp());
  }

  #readNewEvents(): readonly HistoryEvent[] {
    const { scheduled, done } = this.#schedulingEvents();
    const events: HistoryEvent[] = [];
    for (const event of this.#new) {
      const type = typeOf(event);
      if (type === eventType.orchestratorStarted) continue;
      const key = finishedKey(event, type);
      // A backend may deliver a completion twice; it is one event.
      if (key !== undefined && done.has(key)) continue;
      // An external event may have a name like the ID of a request to an entity. It is an answer only if there is such a request.
      if (key !== undefined && (type !== eventType.eventRaised || scheduled.has(key))) done.add(key);
      const read = eventOf(event, type, key, scheduled, this);
      if (read !== undefined) events.push(read);
    }
    return events;
  }

  // The events that scheduled what the new events finish, by key, and what of that was done before: one walk
  // backwards, as far as it must.
  #schedulingEvents(): { readonly scheduled: Scheduled; readonly done: Set<TaskKey> } {
    const wanted = new Set<TaskKey>();
    let ofEntities = false;
    for (const event of this.#new) {
      const key = finishedKey(event);
      if (key === undefined) continue;
      wanted.add(key);
      ofEntities ||= typeof key === "string";
    }
    const found = new Map<TaskKey, ProtoEvent>();
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

/** What a lookup found, `undefined` included. */
interface Found<T> {
  readonly value: T | undefined;
}

/** What ties an end to its beginning: a task ID, or the ID of a request to entities. */
type TaskKey = number | string;
type Scheduled = ReadonlyMap<TaskKey, ProtoEvent>;

/**
 * The protocol's numbers for what an event records. Not those of a class of the SDK: a process may hold several copies.
 */
export const eventType = {
  executionStarted: 3,
  taskScheduled: 6,
  taskCompleted: 7,
  taskFailed: 8,
  subOrchestrationInstanceCreated: 9,
  subOrchestrationInstanceCompleted: 10,
  subOrchestrationInstanceFailed: 11,
  timerCreated: 12,
  timerFired: 13,
  orchestratorStarted: 14,
  eventSent: 16,
  eventRaised: 17,
  executionSuspended: 21,
  executionResumed: 22,
  entityOperationSignaled: 23,
  entityOperationCalled: 24,
  entityLockRequested: 27,
  entityUnlockSent: 29,
} as const;

// Without the `Date` that it takes to read a time.
const isTimed = (event: ProtoEvent): boolean => (event.getTimestamp()?.getSeconds() ?? 0) > 0;

// The cases that histories consist of, the most frequent first: `getEventtypeCase` looks at all 29 of them.
function typeOf(event: ProtoEvent): number {
  if (event.hasTaskscheduled()) return eventType.taskScheduled;
  if (event.hasTaskcompleted()) return eventType.taskCompleted;
  if (event.hasOrchestratorstarted()) return eventType.orchestratorStarted;
  if (event.hasTimercreated()) return eventType.timerCreated;
  if (event.hasTimerfired()) return eventType.timerFired;
  if (event.hasEventraised()) return eventType.eventRaised;
  return event.getEventtypeCase();
}

function eventOf(
  event: ProtoEvent,
  type: number,
  key: TaskKey | undefined,
  scheduled: Scheduled,
  history: EpisodeHistory,
): HistoryEvent | undefined {
  if (type === eventType.executionStarted) return { type: "started", at: timeOf(event.getTimestamp()) };
  if (type === eventType.timerFired) return timerFired(event, scheduled, history);
  const origin = key === undefined ? undefined : scheduled.get(key);
  const task = origin && scheduledTask(origin);
  // A completion of something that was never scheduled here is the SDK's to complain about.
  if (task === undefined) return receivedEvent(event, type, undefined);
  const failure = type === eventType.taskCompleted ? undefined : (failureIn(event) ?? entityFailure(event));
  return { type: "task_finished", task, at: timeOf(event.getTimestamp()), failure };
}

function failureIn(event: ProtoEvent): TaskFailure | undefined {
  const failed = event.getTaskfailed() ?? event.getSuborchestrationinstancefailed();
  return failed && failureOf(failed.getFailuredetails());
}

function receivedEvent(event: ProtoEvent, type: number, otherwise: Date | undefined): ReceivedEvent | undefined {
  switch (type) {
    case eventType.executionSuspended:
      return { type: "suspended", at: timeOf(event.getTimestamp()) ?? otherwise };
    case eventType.executionResumed:
      return { type: "resumed", at: timeOf(event.getTimestamp()) ?? otherwise };
    case eventType.eventRaised:
      return {
        type: "event_raised",
        name: event.getEventraised()?.getName() ?? "",
        at: timeOf(event.getTimestamp()) ?? otherwise,
      };
    default:
      return undefined;
  }
}

function timerFired(event: ProtoEvent, scheduled: Scheduled, history: EpisodeHistory): HistoryEvent {
  const timer = event.getTimerfired();
  const taskId = timer?.getTimerid() ?? 0;
  const created = scheduled.get(taskId);
  const dueAt = timeOf(timer?.getFireat()) ?? timeOf(created?.getTimercreated()?.getFireat());
  const at = timeOf(event.getTimestamp());
  // A timer never fires early. durabletask-go 0.6.0 writes the event when it creates the timer, with the time of that.
  const firedAt = at !== undefined && dueAt !== undefined && at < dueAt ? history.episodeStartedAt : at;
  return { type: "timer_fired", taskId, createdAt: timeOf(created?.getTimestamp()), dueAt, at: firedAt };
}

function find(
  past: readonly ProtoEvent[],
  fresh: readonly ProtoEvent[],
  predicate: (event: ProtoEvent) => boolean,
): ProtoEvent | undefined {
  return past.find(predicate) ?? fresh.find(predicate);
}

function countEpisodes(events: readonly ProtoEvent[]): number {
  return events.reduce((count, event) => (event.hasOrchestratorstarted() ? count + 1 : count), 0);
}

const requestTypes: ReadonlySet<number> = new Set([
  eventType.entityOperationCalled,
  eventType.entityLockRequested,
  eventType.eventSent,
]);

function schedules(event: ProtoEvent): boolean {
  return event.hasTaskscheduled() || event.hasSuborchestrationinstancecreated() || event.hasTimercreated();
}

// Whether an event records an action, under the action's ID.
function isAction(event: ProtoEvent): boolean {
  switch (typeOf(event)) {
    case eventType.taskScheduled:
    case eventType.subOrchestrationInstanceCreated:
    case eventType.timerCreated:
    case eventType.eventSent:
    case eventType.entityOperationCalled:
    case eventType.entityOperationSignaled:
    case eventType.entityLockRequested:
    case eventType.entityUnlockSent:
      return true;
    default:
      return false;
  }
}

function scheduledTask(event: ProtoEvent): ScheduledTask | undefined {
  const taskId = event.getEventid();
  const scheduledAt = timeOf(event.getTimestamp());
  const activity = event.getTaskscheduled();
  const child = event.getSuborchestrationinstancecreated();
  const message: TaskScheduledEvent | SubOrchestrationInstanceCreatedEvent | undefined = activity ?? child;
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
    traceContext: traceContextOf(message.getParenttracecontext?.()),
  };
}

function createdTimer(event: ProtoEvent): CreatedTimer {
  return {
    taskId: event.getEventid(),
    createdAt: timeOf(event.getTimestamp()),
    dueAt: timeOf(event.getTimercreated()?.getFireat()),
  };
}

function finishedKey(event: ProtoEvent, type: number = typeOf(event)): TaskKey | undefined {
  switch (type) {
    case eventType.taskScheduled:
    case eventType.orchestratorStarted:
    case eventType.executionStarted:
    case eventType.timerCreated:
      return undefined;
    case eventType.timerFired:
      return event.getTimerfired()?.getTimerid();
    case eventType.taskCompleted:
      return event.getTaskcompleted()?.getTaskscheduledid();
    case eventType.taskFailed:
      return event.getTaskfailed()?.getTaskscheduledid();
    case eventType.subOrchestrationInstanceCompleted:
      return event.getSuborchestrationinstancecompleted()?.getTaskscheduledid();
    case eventType.subOrchestrationInstanceFailed:
      return event.getSuborchestrationinstancefailed()?.getTaskscheduledid();
    default:
      return answeredRequest(event);
  }
}
