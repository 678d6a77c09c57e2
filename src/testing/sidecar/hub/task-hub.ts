/**
 * An event-sourced task hub in memory, on the SDK's protobuf messages.
 *
 * It is not built on the SDK's `InMemoryOrchestrationBackend`, which is made for unit tests of orchestrators: that one
 * moves events into history that no worker has seen, drops timestamps, versions, tags and trace contexts, records no
 * events sent (so every replay sends them again), loses the parent at continue-as-new, hands timers and results of an
 * old generation to the new one, ignores scheduled start times, and fires a timer more than 24 days away at once.
 *
 * This file holds the rules; `../dispatch` gives work to workers, `../grpc` speaks the protocol.
 */
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { Alarms } from "./alarms.ts";
import { nextGeneration } from "./continue-as-new.ts";
import { Entities } from "./entities.ts";
import { readActions, type Completion } from "./episode-actions.ts";
import { TaskHubRefusal } from "./errors.ts";
import * as events from "./history-events.ts";
import { InstanceStore } from "./instance-store.ts";
import { hasFinished, hasStarted } from "./instance.ts";
import type { Episode, Instance, InstanceSeed, OrchestrationWork } from "./instance.ts";
import { failedWith, outcomeOf, resultForParent, type Outcome } from "./outcome.ts";
import { isTaskFailure, openTasks, schedulesTask, withoutRepeats } from "./open-tasks.ts";
import { dueTime, futureStart } from "./time-range.ts";
import { Waiters } from "./waiters.ts";
import { activityItem, nextEpisode, orchestratorItem } from "./work-items.ts";
import type { ActivityWork, Work, WorkQueue } from "./work.ts";

const Status = pb.OrchestrationStatus;

interface Start {
  readonly id: string;
  readonly seed: InstanceSeed;
  readonly parent?: events.Parent;
  readonly parentTraceContext?: pb.TraceContext | undefined;
  readonly scheduledStart?: Date | undefined;
}

export class TaskHub {
  readonly waiters: Waiters = new Waiters();
  readonly entities: Entities;
  readonly #instances = new InstanceStore();
  readonly #alarms = new Alarms<Instance>();
  readonly #queue: WorkQueue;
  readonly #traceContexts: boolean;

  /** @param options.traceContexts - Whether trace contexts are kept and handed on. */
  constructor(queue: WorkQueue, options: { traceContexts: boolean }) {
    this.#queue = queue;
    this.#traceContexts = options.traceContexts;
    const settle = this.#settle.bind(this);
    this.entities = new Entities(queue, { settle, start: this.#startForEntity.bind(this) }, options);
  }

  find(id: string): Instance | undefined {
    return this.#instances.find(id);
  }

  all(): Iterable<Instance> {
    return this.#instances.all();
  }

  childrenOf(instance: Instance): Instance[] {
    return this.#instances.childrenOf(instance);
  }

  /** Starts an instance. One with the same ID makes room; while it runs, it is terminated first. */
  start(start: Start): Instance {
    const existing = this.find(start.id);
    if (existing !== undefined) {
      const reason = `Replaced by a new instance with the same ID, '${start.id}'.`;
      if (!hasFinished(existing)) this.terminateNow(existing, events.text(JSON.stringify(reason)));
      this.#discard(existing);
    }
    const { id, seed, parent, scheduledStart } = start;
    const parentTraceContext = this.#traceContexts ? start.parentTraceContext : undefined;
    const instance = this.#instances.create(new Date(), { id, seed, parent, scheduledStart, parentTraceContext });
    if (scheduledStart === undefined) this.#schedule(instance);
    else this.#alarms.set(instance, scheduledStart.getTime(), () => this.#schedule(instance));
    return instance;
  }

  /** Gives an instance an external event. One that has finished loses it. */
  raise(instance: Instance, name: string, input: events.OptionalText): void {
    if (!hasFinished(instance)) this.#deliver(instance, events.eventRaised(new Date(), name, input));
  }

  suspend(instance: Instance, reason: events.OptionalText): void {
    if (hasFinished(instance) || instance.suspended) return;
    instance.suspended = true;
    this.#deliver(instance, events.executionSuspended(new Date(), reason));
    if (hasStarted(instance)) this.#setStatus(instance, Status.ORCHESTRATION_STATUS_SUSPENDED);
  }

  resume(instance: Instance, reason: events.OptionalText): void {
    if (hasFinished(instance) || !instance.suspended) return;
    instance.suspended = false;
    this.#deliver(instance, events.executionResumed(new Date(), reason));
    if (hasStarted(instance)) this.#setStatus(instance, Status.ORCHESTRATION_STATUS_RUNNING);
  }

  /** Asks an orchestration to end. What no worker has started ends at once, everything else with its next episode. */
  terminate(instance: Instance, output: events.OptionalText, recursive: boolean): void {
    if (hasFinished(instance)) return;
    if (!hasStarted(instance) && instance.episode === undefined) this.terminateNow(instance, output, recursive);
    else this.#deliver(instance, events.executionTerminated(new Date(), output, recursive));
  }

  /** Ends an orchestration without a word to a worker. */
  terminateNow(instance: Instance, output: events.OptionalText, recursive = false): void {
    const at = new Date();
    const { generation } = instance;
    this.#takeBack(instance);
    append(generation.history, generation.inbox, [events.executionTerminated(at, output, recursive)]);
    const outcome = { status: Status.ORCHESTRATION_STATUS_TERMINATED, output, failure: undefined };
    this.#finish(at, instance, -1, outcome);
  }

  /** Starts a failed orchestration again from what failed in it. */
  rewind(instance: Instance, reason: events.OptionalText, parentExecutionId?: events.OptionalText): void {
    const { generation } = instance;
    // Failures that came after the end are part of what the worker takes out of the history.
    append(generation.history, generation.inbox.filter(isTaskFailure));
    generation.inbox = generation.inbox.filter((event) => !isTaskFailure(event));
    generation.traceContext = undefined;
    instance.rewinding = events.executionRewound(new Date(), reason, parentExecutionId);
    instance.completedAt = undefined;
    instance.output = undefined;
    instance.failure = undefined;
    this.#goOn(instance);
    this.#schedule(instance);
  }

  /** Forgets an instance. */
  remove(instance: Instance): void {
    this.#discard(instance);
    const gone = new TaskHubRefusal("NOT_FOUND", `The orchestration instance '${instance.id}' has been deleted.`);
    this.waiters.rejectAll(instance.id, gone);
  }

  /** Forgets everything. */
  clear(): void {
    this.entities.clear();
    for (const instance of this.all()) this.remove(instance);
  }

  /** Nothing happens by itself any more: no timer fires, no scheduled start and no scheduled signal comes. */
  stop(): void {
    this.entities.stop();
    this.#alarms.clearAll();
  }

  /** What a worker gets for the work, or `undefined` when the work is void. */
  begin(work: Work): pb.WorkItem | undefined {
    if (work.kind === "entity") return this.entities.begin(work);
    const { instance } = work;
    if (!this.#instances.holds(instance)) return undefined;
    if (work.kind === "activity") return activityItem(work);
    if (instance.work !== work) return undefined;
    instance.episode = nextEpisode(new Date(), instance);
    return orchestratorItem(instance, instance.episode);
  }

  completeActivity({ instance, executionId, taskId }: ActivityWork, response: pb.ActivityResponse): void {
    const at = new Date();
    const failure = response.getFailuredetails();
    const result =
      failure === undefined
        ? events.taskCompleted(at, taskId, response.getResult())
        : events.taskFailed(at, taskId, failure);
    this.#settle({ instanceId: instance.id, executionId, taskId }, result);
  }

  completeEpisode({ instance }: OrchestrationWork, response: pb.OrchestratorResponse): void {
    const { episode, generation, rewinding } = instance;
    if (episode === undefined) return;
    const at = new Date();
    const { executionId } = generation;
    const result = readActions(at, response.getActionsList(), { executionId, traceContexts: this.#traceContexts });
    instance.lastUpdatedAt = at;
    instance.rewinding = undefined;
    // While `work` stands, nothing of what follows can hand out the next episode.
    if (rewinding !== undefined && result.rewind !== undefined) {
      this.#goOnRewound(instance, rewinding, result.rewind.getNewhistoryList());
    } else {
      generation.inbox.splice(0, episode.taken);
      append(generation.history, episode.events);
      instance.customStatus = response.getCustomstatus() ?? generation.inheritedStatus;
      if (this.#traceContexts) generation.traceContext = response.getOrchestrationtracecontext();
      if (result.refusal === undefined) {
        const fresh = withoutRepeats(generation.history, result.events);
        append(generation.history, fresh);
        for (const event of fresh) this.#carryOut(instance, event);
        for (const terminate of result.terminations) this.#carryOutTermination(terminate);
        if (result.completion === undefined) this.#goOn(instance);
        else this.#complete(at, instance, result.completion, episode);
      } else {
        this.#finish(at, instance, -1, failedWith(result.refusal));
      }
    }
    instance.work = undefined;
    instance.episode = undefined;
    this.#schedule(instance);
  }

  #goOn(instance: Instance): void {
    const status = instance.suspended ? Status.ORCHESTRATION_STATUS_SUSPENDED : Status.ORCHESTRATION_STATUS_RUNNING;
    this.#setStatus(instance, status);
  }

  #complete(at: Date, instance: Instance, { actionId, action }: Completion, episode: Episode): void {
    if (action.getOrchestrationstatus() === Status.ORCHESTRATION_STATUS_CONTINUED_AS_NEW) {
      this.#alarms.clear(instance);
      this.entities.unlockAll(instance.id);
      instance.generation = nextGeneration(at, instance, action, episode.events);
      this.#goOn(instance);
      return;
    }
    this.#finish(at, instance, actionId, outcomeOf(action));
    const termination = episode.events.find((event) => event.getExecutionterminated()?.getRecurse());
    if (instance.status === Status.ORCHESTRATION_STATUS_TERMINATED && termination !== undefined) {
      this.#terminateChildren(instance, termination.getExecutionterminated()?.getInput());
    }
  }

  #finish(at: Date, instance: Instance, actionId: number, outcome: Outcome): void {
    const { generation } = instance;
    generation.history.push(events.executionCompleted(at, actionId, outcome));
    // It may be rewound: what has arrived and what still arrives for it is kept for then.
    generation.inbox = generation.inbox.filter((event) => !event.hasExecutionterminated());
    this.#alarms.clear(instance);
    this.entities.unlockAll(instance.id);
    instance.rewinding = undefined;
    instance.completedAt = at;
    instance.output = outcome.output;
    instance.failure = outcome.failure;
    this.#setStatus(instance, outcome.status);
    this.#tellParent(instance);
  }

  #tellParent(instance: Instance): void {
    const { parent } = instance;
    if (parent !== undefined) this.#settle(parent, resultForParent(new Date(), instance, parent));
  }

  /** Gives an orchestration the result of a task, unless it belongs to an old generation or has come already. */
  #settle(task: events.TaskAddress, result: pb.HistoryEvent): void {
    const instance = this.find(task.instanceId);
    if (!instance?.generation.executionIds.has(task.executionId)) return;
    if (instance.generation.openTasks.delete(task.taskId)) this.#deliver(instance, result);
  }

  #deliver(instance: Instance, event: pb.HistoryEvent): void {
    instance.generation.inbox.push(event);
    if (!hasFinished(instance)) instance.lastUpdatedAt = new Date();
    this.#schedule(instance);
  }

  /** Queues the next episode if one is due. */
  #schedule(instance: Instance): void {
    const { generation, nudged, rewinding, scheduledStart, work } = instance;
    const due = generation.inbox.length > 0 || nudged || rewinding !== undefined;
    if (!due || work !== undefined || hasFinished(instance)) return;
    if (!hasStarted(instance) && scheduledStart !== undefined && Date.now() < scheduledStart.getTime()) return;
    instance.nudged = false;
    instance.work = { kind: "orchestration", instance };
    this.#queue.enqueue(instance.work);
  }

  /** Applies an event of the history. */
  #carryOut(instance: Instance, event: pb.HistoryEvent): void {
    const { generation } = instance;
    const { executionId } = generation;
    const taskId = event.getEventid();
    if (schedulesTask(event)) generation.openTasks.add(taskId);
    const scheduled = event.getTaskscheduled();
    if (scheduled !== undefined) this.#queue.enqueue({ kind: "activity", instance, executionId, taskId, scheduled });
    const timer = event.getTimercreated();
    if (timer !== undefined) this.#setTimer(instance, taskId, timer);
    const created = event.getSuborchestrationinstancecreated();
    if (created !== undefined) this.#startChild(instance, taskId, created);
    const sent = event.getEventsent();
    const target = sent && this.find(sent.getInstanceid());
    if (target !== undefined) this.raise(target, sent?.getName() ?? "", sent?.getInput());
    this.entities.carryOut({ instanceId: instance.id, executionId, taskId }, event);
  }

  #startForEntity(action: pb.StartNewOrchestrationAction): void {
    const id = action.getInstanceid();
    const existing = this.find(id);
    if (existing !== undefined && !hasFinished(existing)) return;
    this.start({
      id,
      seed: { name: action.getName(), version: action.getVersion(), input: action.getInput(), tags: new Map() },
      parentTraceContext: action.getParenttracecontext(),
      scheduledStart: futureStart(action.getScheduledtime()),
    });
  }

  #carryOutTermination(action: pb.TerminateOrchestrationAction): void {
    const target = this.find(action.getInstanceid());
    if (target !== undefined) this.terminate(target, action.getReason(), action.getRecurse());
  }

  #setTimer(instance: Instance, taskId: number, timer: pb.TimerCreatedEvent): void {
    const { executionId } = instance.generation;
    const fireAt = timer.getFireat();
    const dueAt = fireAt === undefined ? 0 : dueTime(fireAt);
    this.#alarms.set(instance, dueAt, () => {
      const fired = events.timerFired(new Date(), taskId, fireAt);
      this.#settle({ instanceId: instance.id, executionId, taskId }, fired);
    });
  }

  #startChild(instance: Instance, taskId: number, created: pb.SubOrchestrationInstanceCreatedEvent): void {
    const { executionId, version } = instance.generation;
    const parent = { instanceId: instance.id, executionId, name: instance.seed.name, version, taskId };
    const id = created.getInstanceid();
    const existing = this.find(id);
    // A finished one makes room: that is how the retry of a sub-orchestration, under the same ID, can run.
    if (existing !== undefined && !hasFinished(existing)) {
      const message = `An orchestration instance with the ID '${id}' already exists and has not finished.`;
      const failure = events.failureDetails("InstanceAlreadyExists", message);
      this.#settle(parent, events.subOrchestrationFailed(new Date(), taskId, failure));
      return;
    }
    const tags = events.tagsOf(created.getTagsMap());
    const seed = { name: created.getName(), version: created.getVersion(), input: created.getInput(), tags };
    this.start({ id, seed, parent, parentTraceContext: created.getParenttracecontext() });
  }

  /** Continues with the rewritten history that a worker returned for a failed orchestration's. */
  #goOnRewound(instance: Instance, rewinding: pb.HistoryEvent, history: pb.HistoryEvent[]): void {
    const { generation } = instance;
    const started = history.find((event) => event.hasExecutionstarted())?.getExecutionstarted();
    const executionId = started?.getOrchestrationinstance()?.getExecutionid();
    generation.executionId = executionId?.getValue() ?? generation.executionId;
    generation.executionIds.add(generation.executionId);
    generation.history = history;
    const open = openTasks([...history, ...generation.inbox]);
    generation.openTasks = new Set(open.map((event) => event.getEventid()));
    // Activities and operations of entities without a result are still queued or with a worker. Timers and requests for
    // locks ended with the failed execution.
    for (const event of open) {
      if (event.hasTimercreated() || event.hasEntitylockrequested()) this.#carryOut(instance, event);
      if (event.hasSuborchestrationinstancecreated()) this.#rewindChild(instance, event, rewinding);
    }
    instance.nudged = true;
    this.#goOn(instance);
  }

  #rewindChild(parent: Instance, created: pb.HistoryEvent, rewinding: pb.HistoryEvent): void {
    const { executionId } = parent.generation;
    const child = this.find(created.getSuborchestrationinstancecreated()?.getInstanceid() ?? "");
    const own = child?.parent?.instanceId === parent.id && child.parent.taskId === created.getEventid();
    // Purged, or the ID belonged to another instance: try as if for the first time.
    if (child?.parent === undefined || !own) return this.#carryOut(parent, created);
    child.parent = { ...child.parent, executionId };
    if (child.status === Status.ORCHESTRATION_STATUS_FAILED) {
      this.rewind(child, rewinding.getExecutionrewound()?.getReason(), events.text(executionId));
    } else if (hasFinished(child)) {
      this.#tellParent(child);
    }
  }

  #terminateChildren(instance: Instance, output: events.OptionalText): void {
    for (const child of this.childrenOf(instance)) this.terminate(child, output, true);
  }

  #setStatus(instance: Instance, status: pb.OrchestrationStatus): void {
    instance.status = status;
    instance.lastUpdatedAt = new Date();
    this.waiters.notify(instance);
  }

  #discard(instance: Instance): void {
    this.#takeBack(instance);
    this.#alarms.clear(instance);
    this.#instances.remove(instance);
  }

  #takeBack(instance: Instance): void {
    if (instance.work !== undefined) this.#queue.withdraw(instance.work);
    instance.work = undefined;
    instance.episode = undefined;
  }
}

/** Without the limit on arguments that `push(...events)` has. */
function append(to: pb.HistoryEvent[], ...lists: (readonly pb.HistoryEvent[])[]): void {
  for (const list of lists) for (const event of list) to.push(event);
}
