import type { OrchestrationContext, TaskOptions } from "@microsoft/durabletask-js";
import type { EventWait, GivenUpTask, ObservedWaits, TimerWait, WorkItemHost } from "../pipeline/index.ts";
import { replaceMethod } from "./members.ts";
import { mayRetry, type PendingTask } from "./messages.ts";
import {
  lostInternals,
  orchestrationContextInternals,
  readInternal,
  reportLost,
  retriedTaskInternals,
  retryInternals,
  taskInternals,
} from "./sdk-internals.ts";

/** Observes what the code that gets `context` waits for; `undefined` if that is not possible. */
export function observeWaits(context: OrchestrationContext, host: WorkItemHost): ObservedWaits | undefined {
  try {
    const observer = new WaitObserver(context, host);
    hookClass(Object.getPrototypeOf(context) as object);
    (context as unknown as HookedContext)[contextKey] = observer;
    return observer;
  } catch (error) {
    host.fault("the waits of an orchestration are not observed", error);
    return undefined;
  }
}

/**
 * Observes what an orchestration's code waits for: history records neither that a wait for an external event began, nor that
 * a timer was canceled or lost a race. The classes of the SDK's contexts and tasks are hooked, once: an episode replays each
 * wait, and to hook each one would cost more than its replay.
 */
class WaitObserver implements ObservedWaits {
  // Most episodes have neither timers nor events.
  #open: Set<ObservedEvent> | undefined;
  #answered: ObservedEvent[] | undefined;
  #canceled: ObservedTimer[] | undefined;
  #givenUp: GivenUpTask[] | undefined;
  #timers: Map<number, ObservedTimer> | undefined;
  #attempts: Map<number, number> | undefined;
  // The number of waits by the name of the event, in lower case: names of events are case-insensitive.
  #waits: Map<string, number> | undefined;
  #ordinal = 0;
  #openTimers = 0;
  #hasRetries = false;
  readonly #context: OrchestrationContext;
  readonly #host: WorkItemHost;

  constructor(context: OrchestrationContext, host: WorkItemHost) {
    this.#context = context;
    this.#host = host;
  }

  get openEvents(): Iterable<EventWait> {
    return this.#open ?? none;
  }

  get answeredEvents(): readonly EventWait[] {
    return this.#answered ?? none;
  }

  get canceledTimers(): readonly TimerWait[] {
    return this.#canceled ?? none;
  }

  get givenUpTasks(): readonly GivenUpTask[] {
    return this.#givenUp ?? none;
  }

  get hasTimers(): boolean {
    return this.#openTimers > 0 || this.#hasRetries;
  }

  timer(taskId: number): TimerWait | undefined {
    return this.#timers?.get(taskId);
  }

  attempt(taskId: number): number | undefined {
    return this.#attempts?.get(taskId);
  }

  get outstanding(): readonly number[] | undefined {
    const pending = readInternal(this.#context, orchestrationContextInternals.pendingTasks);
    return typeof pending === "object" && pending !== null ? Object.keys(pending).map(Number) : undefined;
  }

  /** The durable time. */
  get now(): Date | undefined {
    const now = this.#context.currentUtcDateTime;
    return now.getTime() > 0 ? now : undefined;
  }

  get isReplaying(): boolean {
    return this.#context.isReplaying;
  }

  /** What the code waits for. */
  get awaited(): unknown {
    return readInternal(this.#context, orchestrationContextInternals.previousTask);
  }

  /** The code waits for an event. */
  waited(name: string, task: HookedTask): void {
    const key = name.toLowerCase();
    const eventIndex = this.#waits?.get(key) ?? 0;
    (this.#waits ??= new Map()).set(key, eventIndex + 1);
    const ordinal = this.#ordinal;
    this.#ordinal += 1;
    // An event that is there already answers it at once.
    if (task.isComplete || !this.#canHook(task)) return;
    const wait = new ObservedEvent(this, task, name, ordinal, eventIndex);
    (this.#open ??= new Set()).add(wait);
    observeTask(task, wait);
  }

  /** An event answered a wait. */
  answered(wait: ObservedEvent): void {
    this.#open?.delete(wait);
    if (!this.isReplaying) (this.#answered ??= []).push(wait);
  }

  /** A timer fired. */
  fired(): void {
    this.#openTimers -= 1;
  }

  /** The code canceled a timer. */
  canceled(timer: ObservedTimer): void {
    this.#openTimers -= 1;
    if (!this.isReplaying) (this.#canceled ??= []).push(timer);
  }

  /** The code created a timer. */
  created(task: HookedTask): void {
    const taskId = readInternal(this.#context, orchestrationContextInternals.sequenceNumber);
    if (typeof taskId !== "number" || !this.#canHook(task)) return;
    const timer = new ObservedTimer(this, task, taskId);
    (this.#timers ??= new Map()).set(taskId, timer);
    this.#openTimers += 1;
    observeTask(task, timer);
  }

  /** The SDK created a timer for the pause before another attempt. */
  paused(): void {
    this.#hasRetries = true;
  }

  /** The SDK scheduled another attempt of a task. */
  retried(task: unknown): void {
    const taskId = readInternal(this.#context, orchestrationContextInternals.sequenceNumber);
    const attempt = readInternal(task, taskInternals.attempt);
    if (typeof taskId === "number" && typeof attempt === "number") (this.#attempts ??= new Map()).set(taskId, attempt);
  }

  /** The code called a task with a retry policy or handler. */
  calledWithRetries(task: HookedTask): void {
    // The SDK ignores what is neither a policy of its own nor a handler.
    if (typeof readInternal(task, taskInternals.attempt) !== "number") return;
    const lost = lostInternals(task, [retriedTaskInternals.fail, retriedTaskInternals.action]);
    reportLost(this.#host, "A task with retries", lost);
    if (lost.length > 0) return;
    hookRetriedClass(Object.getPrototypeOf(task) as object);
    task[observerKey] = this;
  }

  /** The last attempt of a task with retries failed. */
  failed(task: HookedTask): void {
    const pending = task as PendingTask;
    // With no attempt left, whoever ran the last one knew that it was.
    if (this.isReplaying || !mayRetry(pending)) return;
    const action = readInternal(task, retriedTaskInternals.action) as { getId(): number };
    (this.#givenUp ??= []).push({ taskId: action.getId(), attempts: pending.attemptCount ?? 1, at: this.now });
  }

  /** Isolates a fault of the observation from the orchestration. */
  isolated(observe: () => void): void {
    try {
      observe();
    } catch (error) {
      this.#host.fault("a wait of an orchestration is not observed", error);
    }
  }

  #canHook(task: HookedTask): boolean {
    if (hookedClasses.has(Object.getPrototypeOf(task) as object)) return true;
    const lost = lostInternals(task, taskMembers);
    reportLost(this.#host, "The task of an event or a timer", lost);
    return lost.length === 0;
  }
}

const none: readonly never[] = [];
const contextKey = Symbol("durable-telemetry.waits");
const taskKey = Symbol("durable-telemetry.wait");
const parentKey = Symbol("durable-telemetry.parent");
const observerKey = Symbol("durable-telemetry.observer");
const taskMembers = [taskInternals.complete, taskInternals.parent];

/** A context; those of workers that observe no waits have no observer. */
interface HookedContext {
  [contextKey]?: WaitObserver;
}

interface HookedTask {
  [taskKey]?: ObservedWait;
  [parentKey]?: HookedTask | undefined;
  /** Only on tasks with retries. */
  [observerKey]?: WaitObserver;
  readonly isComplete: boolean;
  readonly isCanceled?: boolean;
}

const hookedClasses = new WeakSet<object>();

// The class of the contexts, once: to hook each context would cost a microsecond in each episode. The methods of a context
// that has no observer do what they did.
function hookClass(prototype: object): void {
  if (hookedClasses.has(prototype)) return;
  hookedClasses.add(prototype);
  after(prototype, "waitForExternalEvent", (observer, task, name) => observer.waited(String(name), task));
  after(prototype, "createTimer", (observer, task) => observer.created(task));
  after(prototype, retryInternals.retryTimer.name, (observer) => observer.paused());
  after(prototype, retryInternals.retry.name, (observer, _, task) => observer.retried(task));
  afterCall(prototype, "callActivity");
  afterCall(prototype, "callSubOrchestrator");
}

// Each replayed step calls it: nothing is allocated for a task without retries.
function afterCall(prototype: object, name: string): void {
  const original: unknown = Reflect.get(prototype, name);
  if (typeof original !== "function") return;
  replaceMethod(
    prototype,
    name,
    function (this: HookedContext, task: unknown, input: unknown, options: unknown): unknown {
      const returned: unknown = original.call(this, task, input, options);
      const observer = this[contextKey];
      if (observer !== undefined && (options as TaskOptions | undefined)?.retry !== undefined)
        observer.isolated(() => observer.calledWithRetries(returned as HookedTask));
      return returned;
    },
  );
}

// The class of the tasks with a retry policy, and that of those with a handler, once.
function hookRetriedClass(prototype: object): void {
  if (hookedClasses.has(prototype)) return;
  hookedClasses.add(prototype);
  const fail: unknown = Reflect.get(prototype, retriedTaskInternals.fail.name);
  if (typeof fail !== "function") return;
  replaceMethod(prototype, retriedTaskInternals.fail.name, function (this: HookedTask, ...args: unknown[]): void {
    const observer = this[observerKey];
    observer?.isolated(() => observer.failed(this));
    Reflect.apply(fail, this, args);
  });
}

/** Has `observe` called after each call of a method, with the task that it returned, and its first argument. */
function after(
  prototype: object,
  name: string,
  observe: (observer: WaitObserver, task: HookedTask, argument: unknown) => void,
): void {
  const original: unknown = Reflect.get(prototype, name);
  // Dapr's SDK (1.0, 3.18) has no retries.
  if (typeof original !== "function") return;
  replaceMethod(prototype, name, function (this: HookedContext, ...args: unknown[]): unknown {
    const returned: unknown = Reflect.apply(original, this, args);
    const observer = this[contextKey];
    if (observer !== undefined) observer.isolated(() => observe(observer, returned as HookedTask, args[0]));
    return returned;
  });
}

/** Something that the code waits for, until it is complete or another task decides a race that it is in. */
abstract class ObservedWait {
  protected readonly observer: WaitObserver;
  readonly task: HookedTask;
  #lostAt: Date | undefined;
  // The `whenAny` or `whenAll` that is complete without it.
  #lostIn: HookedTask | undefined;

  constructor(observer: WaitObserver, task: HookedTask) {
    this.observer = observer;
    this.task = task;
  }

  get lostAt(): Date | undefined {
    if (this.#lostIn === undefined || !isIn(this.task, this.#lostIn)) return undefined;
    return !this.task.isComplete && this.#isAwaitedIn(this.#lostIn) ? undefined : this.#lostAt;
  }

  /** Another task decided the race. */
  lose(group: HookedTask): void {
    if (this.task.isComplete) return;
    // It lost before, in a group inside of this one. If it is not in this one yet, it is about to be put into it.
    if (this.lostAt !== undefined && isIn(this.task, group)) return;
    this.#lostIn = group;
    this.#lostAt = this.observer.now;
  }

  completes(): void {
    // It lost a race, and then the code waited for it all the same.
    if (this.#lostIn !== undefined && this.#isAwaitedIn(this.#lostIn)) this.#lostIn = undefined;
  }

  // Whether the code waits for it after the race, by itself or with a group that was in the race.
  #isAwaitedIn(race: HookedTask): boolean {
    const { awaited } = this.observer;
    for (let task: HookedTask | undefined = this.task; task !== undefined && task !== race; task = parentOf(task))
      if (task === awaited) return true;
    return false;
  }
}

// Whether a task is still in that group, directly or in another group: a task that is put into another one leaves it, because
// the code waits for it again.
function isIn(task: HookedTask, group: HookedTask): boolean {
  for (let parent = parentOf(task); parent !== undefined; parent = parentOf(parent)) if (parent === group) return true;
  return false;
}

function parentOf(task: HookedTask): HookedTask | undefined {
  return readInternal(task, taskInternals.parent) as HookedTask | undefined;
}

class ObservedEvent extends ObservedWait implements EventWait {
  readonly name: string;
  readonly ordinal: number;
  readonly eventIndex: number;
  readonly beganAt: Date | undefined;
  readonly isNew: boolean;

  constructor(observer: WaitObserver, task: HookedTask, name: string, ordinal: number, eventIndex: number) {
    super(observer, task);
    this.name = name;
    this.ordinal = ordinal;
    this.eventIndex = eventIndex;
    this.beganAt = observer.now;
    this.isNew = !observer.isReplaying;
  }

  override completes(): void {
    super.completes();
    this.observer.answered(this);
  }
}

class ObservedTimer extends ObservedWait implements TimerWait {
  readonly taskId: number;
  canceledAt: Date | undefined;

  constructor(observer: WaitObserver, task: HookedTask, taskId: number) {
    super(observer, task);
    this.taskId = taskId;
  }

  override completes(): void {
    super.completes();
    this.observer.fired();
  }

  canceled(): void {
    // Without timestamps the end of a canceled timer is that of its episode.
    this.canceledAt = this.observer.now ?? new Date();
    this.observer.canceled(this);
  }
}

function observeTask(task: HookedTask, wait: ObservedWait): void {
  hookTaskClass(Object.getPrototypeOf(task) as object);
  task[taskKey] = wait;
  learnGroupClass(task);
}

// The class of the tasks of events and timers, once, as that of the contexts.
function hookTaskClass(prototype: object): void {
  if (hookedClasses.has(prototype)) return;
  hookedClasses.add(prototype);
  const complete: unknown = Reflect.get(prototype, taskInternals.complete.name);
  if (typeof complete === "function" && !observedCompletes.has(complete)) {
    const observed = function (this: HookedTask, result: unknown): void {
      // A class of groups that comes after the first race: Dapr's `whenAll` ends with its first failure.
      const parent = parentOf(this);
      if (parent !== undefined) hookGroupClass(parent);
      this[taskKey]?.completes();
      Reflect.apply(complete, this, [result]);
    };
    // The class of timers inherits it from that of events.
    observedCompletes.add(observed);
    replaceMethod(prototype, taskInternals.complete.name, observed);
  }
  const cancel: unknown = Reflect.get(prototype, taskInternals.cancel.name);
  // Dapr's SDK (1.0, 3.18) can't cancel timers.
  if (typeof cancel !== "function") return;
  replaceMethod(prototype, taskInternals.cancel.name, function (this: HookedTask): void {
    const isOver = this.isComplete || this.isCanceled === true;
    Reflect.apply(cancel, this, []);
    const wait = this[taskKey];
    if (!isOver && wait instanceof ObservedTimer) wait.canceled();
  });
}

const observedCompletes = new WeakSet<object>();

/** The copies of the SDK that have decided a race under observation, each by the class that all its tasks have in common. */
const sawRaces = new WeakSet<object>();

// Who decides a race may be anything, and may have decided it already: the class of a group is hooked before its first
// task is in it. Until a race was seen, a task that is observed tells which group it is put into.
function learnGroupClass(task: HookedTask): void {
  if (parentKey in task || sawRaces.has(commonClassOf(task))) return;
  task[parentKey] = parentOf(task);
  Object.defineProperty(task, taskInternals.parent.name, parentToLearn);
}

const parentToLearn: PropertyDescriptor & ThisType<HookedTask> = {
  configurable: true,
  enumerable: true,
  get() {
    return this[parentKey];
  },
  set(group: HookedTask | undefined) {
    this[parentKey] = group;
    if (group === undefined) return;
    hookGroupClass(group);
    // It can be in a group itself.
    learnGroupClass(group);
    if (!group.isComplete) return;
    this[taskKey]?.lose(group);
    loseIn(this, group);
  },
};

function commonClassOf(task: object): object {
  let common = task;
  for (let next: unknown = task; next !== Object.prototype && next !== null; next = Object.getPrototypeOf(next))
    common = next as object;
  return common;
}

function hookGroupClass(group: HookedTask): void {
  const prototype = Object.getPrototypeOf(group) as object;
  if (hookedClasses.has(prototype)) return;
  hookedClasses.add(prototype);
  const original: unknown = Reflect.get(prototype, taskInternals.childCompleted.name);
  if (typeof original !== "function") return;
  replaceMethod(prototype, taskInternals.childCompleted.name, function (this: HookedTask, task: unknown): void {
    const wasComplete = this.isComplete;
    Reflect.apply(original, this, [task]);
    if (wasComplete || !this.isComplete) return;
    // A `whenAll` leaves nobody behind, except in releases where it ends with the first failure.
    if (loseIn(this, this)) sawRaces.add(commonClassOf(this));
  });
}

/** All that is in `group` and has not completed lost the race that `decided` was. Returns whether there is any. */
function loseIn(group: HookedTask, decided: HookedTask): boolean {
  let isRace = false;
  // Groups can be nested deeper than calls can.
  const groups = [group];
  for (const each of groups) {
    const tasks = readInternal(each, taskInternals.tasks);
    if (!Array.isArray(tasks)) continue;
    // What is no task is the SDK's to complain about.
    for (const task of tasks as readonly (HookedTask | undefined)[]) {
      if (task?.isComplete !== false) continue;
      isRace = true;
      task[taskKey]?.lose(decided);
      groups.push(task);
    }
  }
  return isRace;
}
