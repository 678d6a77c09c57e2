import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { OptionalText, TaskAddress } from "./history-events.ts";

/** One operation for an entity. */
export interface Operation {
  readonly kind: "operation";
  readonly requestId: string;
  readonly name: string;
  readonly input: OptionalText;
  /** Who awaits the result of a call; absent for a signal. */
  readonly caller: TaskAddress | undefined;
  readonly traceContext: pb.TraceContext | undefined;
}

/**
 * A critical section of an orchestration: it locks its entities one after the other. As a message it asks an entity for
 * the lock, and passes on to the next one when it has got it.
 */
export interface CriticalSection {
  readonly kind: "lock";
  readonly id: string;
  readonly owner: TaskAddress;
  /** Sorted, so that two sections can't wait for each other, and without repeats. */
  readonly lockSet: readonly string[];
  /** How many of the lock set's first entities it has got. */
  acquired: number;
  /** The entities of the lock set that it has not given back. */
  readonly unreleased: Set<string>;
}

export type EntityMessage = Operation | CriticalSection;

/** The next batch of an entity's operations. They are chosen when it is handed out. */
export interface EntityWork {
  readonly kind: "entity";
  readonly entity: Entity;
}

/** One entity: a record that the task hub alone changes. */
export interface Entity {
  /** `@name@key` */
  readonly id: string;
  readonly name: string;
  /** Order of creation: the key that paging goes by. */
  readonly sequence: number;
  /** Absent while it is a mere address: before its first state, and when it was deleted. */
  state: OptionalText;
  lastModifiedAt: Date;
  /** Who alone may call it now. */
  lock: CriticalSection | undefined;
  /** What has arrived and is not done, in order. */
  inbox: EntityMessage[];
  /** The next batch, while it is queued or with a worker: there is one at a time. */
  work: EntityWork | undefined;
  /** What the worker has of it. It stays the same when it goes to another worker. */
  batch: readonly Operation[] | undefined;
}

export function newEntity(at: Date, id: string, sequence: number): Entity {
  return {
    id,
    name: entityNameOf(id) ?? "",
    sequence,
    state: undefined,
    lastModifiedAt: at,
    lock: undefined,
    inbox: [],
    work: undefined,
    batch: undefined,
  };
}

/** The name in an entity's ID, or `undefined` when that is not `@name@key`. */
export function entityNameOf(id: string): string | undefined {
  return /^@([^@]+)@/.exec(id)?.[1];
}

/** The operations that are due: of a locked entity its owner's calls, else all before the next request for a lock. */
export function dueOperations({ inbox, lock }: Entity): Operation[] {
  if (lock !== undefined) {
    const { instanceId } = lock.owner;
    return inbox.filter(isOperation).filter(({ caller }) => caller?.instanceId === instanceId);
  }
  const end = inbox.findIndex(({ kind }) => kind === "lock");
  return inbox.slice(0, end < 0 ? inbox.length : end).filter(isOperation);
}

/** Whether nothing would be lost with it. */
export function isVacant({ state, lock, inbox }: Entity): boolean {
  return state === undefined && lock === undefined && inbox.length === 0;
}

function isOperation(message: EntityMessage): message is Operation {
  return message.kind === "operation";
}
