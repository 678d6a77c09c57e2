/** The entities of a task hub, in memory: their states, their messages and their locks. */
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { Alarms } from "./alarms.ts";
import { criticalSection, operationOf, signalOf, targetOf } from "./entity-messages.ts";
import { dueOperations, isVacant, newEntity } from "./entity.ts";
import type { CriticalSection, Entity, EntityMessage, EntityWork, Operation } from "./entity.ts";
import * as events from "./history-events.ts";
import { dueTime, type TimeBound } from "./time-range.ts";
import { entityItem } from "./work-items.ts";
import type { WorkQueue } from "./work.ts";

/** What entities need of the orchestrations around them. */
export interface Orchestrations {
  /** Gives an orchestration the answer that it awaits. */
  settle(task: events.TaskAddress, result: pb.HistoryEvent): void;
  /** Starts an orchestration, unless one with the same ID has not finished. */
  start(action: pb.StartNewOrchestrationAction): void;
}

export class Entities {
  // In the order of their creation.
  readonly #entities = new Map<string, Entity>();
  /** Those that orchestrations have entered, or wait to enter, and have not left. */
  readonly #sections = new Set<CriticalSection>();
  readonly #alarms = new Alarms<Entities>();
  readonly #queue: WorkQueue;
  readonly #orchestrations: Orchestrations;
  readonly #traceContexts: boolean;
  #lastSequence = 0;

  /** @param options.traceContexts - Whether trace contexts are kept and handed on. */
  constructor(queue: WorkQueue, orchestrations: Orchestrations, options: { traceContexts: boolean }) {
    this.#queue = queue;
    this.#orchestrations = orchestrations;
    this.#traceContexts = options.traceContexts;
  }

  find(id: string): Entity | undefined {
    return this.#entities.get(id);
  }

  all(): Iterable<Entity> {
    return this.#entities.values();
  }

  /** Gives an entity an operation to do: now, or when its time comes. */
  send(id: string, operation: Operation, scheduledTime: TimeBound): void {
    const dueAt = scheduledTime === undefined ? 0 : dueTime(scheduledTime);
    if (dueAt > Date.now()) this.#alarms.set(this, dueAt, () => this.#deliver(id, operation));
    else this.#deliver(id, operation);
  }

  /** Applies an event of an orchestration's history, of the given task, to entities. */
  carryOut(task: events.TaskAddress, event: pb.HistoryEvent): void {
    const called = event.getEntityoperationcalled();
    if (called !== undefined) this.send(targetOf(called), operationOf(called, task), called.getScheduledtime());
    const signaled = event.getEntityoperationsignaled();
    if (signaled !== undefined) this.send(targetOf(signaled), operationOf(signaled), signaled.getScheduledtime());
    const requested = event.getEntitylockrequested();
    if (requested !== undefined) this.#lock(criticalSection(requested, task));
    const unlocked = event.getEntityunlocksent();
    if (unlocked !== undefined) {
      const section = this.#sectionsOf(task.instanceId).find(({ id }) => id === unlocked.getCriticalsectionid());
      if (section !== undefined) this.#unlock(section, targetOf(unlocked));
    }
  }

  /** Ends the critical sections of an orchestration, since its execution has ended. */
  unlockAll(instanceId: string): void {
    for (const section of this.#sectionsOf(instanceId)) this.#end(section);
  }

  #sectionsOf(instanceId: string): CriticalSection[] {
    return [...this.#sections].filter(({ owner }) => owner.instanceId === instanceId);
  }

  /** Forgets the entities that have neither a state nor anything to do. Returns how many there were. */
  removeVacant(): number {
    const vacant = [...this.all()].filter(isVacant);
    for (const { id } of vacant) this.#entities.delete(id);
    return vacant.length;
  }

  /** Forgets everything. */
  clear(): void {
    this.stop();
    this.#sections.clear();
    const entities = [...this.all()];
    this.#entities.clear();
    for (const { work } of entities) if (work !== undefined) this.#queue.withdraw(work);
  }

  /** No operation comes due any more. */
  stop(): void {
    this.#alarms.clearAll();
  }

  /** What a worker gets for the work, or `undefined` when the work is void. */
  begin(work: EntityWork): pb.WorkItem | undefined {
    const { entity } = work;
    if (this.find(entity.id) !== entity || entity.work !== work) return undefined;
    entity.batch ??= dueOperations(entity);
    return entityItem(entity, entity.batch);
  }

  /** Applies a worker's answer, all of it together. Operations that it has no result for are due again. */
  complete({ entity }: EntityWork, answer: pb.EntityBatchResult): void {
    const { batch } = entity;
    if (batch === undefined) return;
    const at = new Date();
    const results = resultsOf(answer, batch.length);
    const done = new Set<EntityMessage>(batch.slice(0, results.length));
    entity.inbox = entity.inbox.filter((message) => !done.has(message));
    // The answer says of a batch that failed as a whole that nothing of it was done.
    if (!answer.hasFailuredetails()) entity.state = answer.getEntitystate();
    entity.lastModifiedAt = at;
    for (const [index, result] of results.entries()) this.#answer(at, batch[index], result);
    if (!answer.hasFailuredetails()) for (const action of answer.getActionsList()) this.#carryOutAction(action);
    entity.work = undefined;
    entity.batch = undefined;
    this.#advance(entity);
  }

  /** Lets an orchestration enter a critical section as soon as all entities of the lock set are its own. */
  #lock(section: CriticalSection): void {
    this.#sections.add(section);
    this.#passOn(section);
  }

  /** Gives an entity back. A critical section that has not been entered yet is given up as a whole. */
  #unlock(section: CriticalSection, entityId: string): void {
    if (section.acquired < section.lockSet.length) this.#end(section);
    else this.#release(section, entityId);
  }

  #answer(at: Date, operation: Operation | undefined, result: pb.OperationResult): void {
    if (operation?.caller === undefined) return;
    const { caller, requestId } = operation;
    const failure = result.getFailure();
    const event =
      failure === undefined
        ? events.entityOperationCompleted(at, requestId, result.getSuccess()?.getResult())
        : events.entityOperationFailed(at, requestId, failure.getFailuredetails());
    this.#orchestrations.settle(caller, event);
  }

  #carryOutAction(action: pb.OperationAction): void {
    const signal = action.getSendsignal();
    if (signal !== undefined) this.send(signal.getInstanceid(), signalOf(signal), signal.getScheduledtime());
    const start = action.getStartneworchestration();
    if (start !== undefined) this.#orchestrations.start(start);
  }

  #deliver(id: string, operation: Operation): void {
    const entity = this.#addressed(id);
    const traceContext = this.#traceContexts ? operation.traceContext : undefined;
    entity.inbox.push({ ...operation, traceContext });
    this.#advance(entity);
  }

  #addressed(id: string): Entity {
    const entity = this.find(id) ?? newEntity(new Date(), id, ++this.#lastSequence);
    this.#entities.set(id, entity);
    return entity;
  }

  /** Sends a critical section on to the next entity that it has to lock. */
  #passOn(section: CriticalSection): void {
    const next = section.lockSet[section.acquired];
    if (next === undefined) {
      this.#orchestrations.settle(section.owner, events.entityLockGranted(new Date(), section.id));
      return;
    }
    const entity = this.#addressed(next);
    entity.inbox.push(section);
    this.#advance(entity);
  }

  #end(section: CriticalSection): void {
    for (const entityId of section.unreleased) this.#release(section, entityId);
  }

  #release(section: CriticalSection, entityId: string): void {
    section.unreleased.delete(entityId);
    if (section.unreleased.size === 0) this.#sections.delete(section);
    const entity = this.find(entityId);
    if (entity === undefined) return;
    entity.inbox = entity.inbox.filter((message) => message !== section);
    if (entity.lock === section) {
      entity.lock = undefined;
      entity.lastModifiedAt = new Date();
    }
    this.#advance(entity);
  }

  /** Does what is next for an entity, unless a worker has a batch of it: locks it, and queues its next batch. */
  #advance(entity: Entity): void {
    if (entity.batch !== undefined) return;
    const [next] = entity.inbox;
    const locking = entity.lock === undefined && next?.kind === "lock" ? next : undefined;
    if (locking !== undefined) {
      entity.inbox.shift();
      entity.lock = locking;
      entity.lastModifiedAt = new Date();
      locking.acquired++;
    }
    const due = dueOperations(entity).length > 0;
    if (due && entity.work === undefined) {
      entity.work = { kind: "entity", entity };
      this.#queue.enqueue(entity.work);
    } else if (!due) {
      // What is queued is void.
      entity.work = undefined;
    }
    // Last, since it may give work to workers.
    if (locking !== undefined) this.#passOn(locking);
  }
}

/** The results of a batch, in the order of its operations. When all of it failed, that is the result of each. */
function resultsOf(answer: pb.EntityBatchResult, operations: number): pb.OperationResult[] {
  const failure = answer.getFailuredetails();
  if (failure === undefined) return answer.getResultsList();
  const failed = new pb.OperationResultFailure().setFailuredetails(failure);
  return Array.from({ length: operations }, () => new pb.OperationResult().setFailure(failed));
}
