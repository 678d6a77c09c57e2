import { randomUUID } from "node:crypto";
import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Work } from "../hub/work.ts";
import type { WorkerConnection } from "./worker-connection.ts";

// Long enough that a worker which gives back all it gets doesn't keep a core busy.
const ABANDONED_PAUSE_MS = 200;

interface Entry {
  readonly work: Work;
  /** The workers that gave it back, and don't get it again before the pause is over. */
  readonly avoid: Set<WorkerConnection>;
}

interface InFlight extends Entry {
  readonly worker: WorkerConnection;
}

/** Distributes work to the connected workers round-robin, and again when a worker disconnects. */
export class Dispatcher {
  readonly #begin: (work: Work) => pb.WorkItem | undefined;
  readonly #workers: WorkerConnection[] = [];
  readonly #inFlight = new Map<string, InFlight>();
  readonly #pauses = new Set<NodeJS.Timeout>();
  // Each kind has its own round-robin: with one for all, every second worker might get all the orchestrations and no activity.
  readonly #last: { [K in Work["kind"]]?: WorkerConnection } = {};
  #queue: Entry[] = [];

  /** @param begin - Makes the item that a worker gets, or `undefined` when the work is void. */
  constructor(begin: (work: Work) => pb.WorkItem | undefined) {
    this.#begin = begin;
  }

  connect(worker: WorkerConnection): void {
    this.#workers.push(worker);
    this.#dispatch();
  }

  /** The running work items of the worker go to others, before everything that waits. */
  disconnect(worker: WorkerConnection): void {
    const index = this.#workers.indexOf(worker);
    if (index < 0) return;
    this.#workers.splice(index, 1);
    const lost = [...this.#inFlight].filter(([, entry]) => entry.worker === worker);
    for (const [token] of lost) this.#inFlight.delete(token);
    this.#queue = [...lost.map(([, { work, avoid }]) => ({ work, avoid })), ...this.#queue];
    this.#dispatch();
  }

  enqueue(work: Work): void {
    const entry = { work, avoid: new Set<WorkerConnection>() };
    this.#queue.push(entry);
    // Otherwise it waits as all before it do.
    if (this.#nextWorker(entry) !== undefined) this.#dispatch();
  }

  withdraw(work: Work): void {
    this.#queue = this.#queue.filter((entry) => entry.work !== work);
    for (const [token, entry] of this.#inFlight) if (entry.work === work) this.#end(token, entry);
    this.#dispatch();
  }

  /** The work that a completion token stands for, or `undefined` when it is stale or unknown. */
  peek<K extends Work["kind"]>(token: string, kind: K): Extract<Work, { kind: K }> | undefined {
    const work = this.#inFlight.get(token)?.work;
    return isOfKind(work, kind) ? work : undefined;
  }

  /** The worker is done with it: its token is stale from now on. */
  complete(token: string, apply: () => void): void {
    const entry = this.#inFlight.get(token);
    if (entry !== undefined) this.#end(token, entry);
    apply();
    this.#dispatch();
  }

  /** The worker doesn't want it: others get it at once, the same worker after a pause. */
  abandon(token: string): void {
    const entry = this.#inFlight.get(token);
    if (entry === undefined) return;
    const { work, worker, avoid } = entry;
    this.#end(token, entry);
    avoid.add(worker);
    this.#queue.push({ work, avoid });
    const pause = setTimeout(() => {
      this.#pauses.delete(pause);
      avoid.delete(worker);
      this.#dispatch();
    }, ABANDONED_PAUSE_MS);
    this.#pauses.add(pause);
    this.#dispatch();
  }

  /** Gives out nothing more. */
  stop(): void {
    this.#workers.length = 0;
    for (const pause of this.#pauses) clearTimeout(pause);
    this.#pauses.clear();
  }

  #dispatch(): void {
    if (this.#workers.length === 0) return;
    const waiting: Entry[] = [];
    for (const entry of this.#queue.splice(0)) {
      const worker = this.#nextWorker(entry);
      if (worker === undefined) waiting.push(entry);
      else this.#give(entry, worker);
    }
    this.#queue = [...waiting, ...this.#queue];
  }

  #nextWorker({ work, avoid }: Entry): WorkerConnection | undefined {
    const last = this.#last[work.kind];
    const next = last === undefined ? 0 : this.#workers.indexOf(last) + 1;
    const inOrder = [...this.#workers.slice(next), ...this.#workers.slice(0, next)];
    return inOrder.find((worker) => !avoid.has(worker) && worker.accepts(work));
  }

  #give({ work, avoid }: Entry, worker: WorkerConnection): void {
    const item = this.#begin(work);
    if (item === undefined) return;
    const token = randomUUID();
    this.#last[work.kind] = worker;
    this.#inFlight.set(token, { work, avoid, worker });
    worker.began(work);
    worker.send(item.setCompletiontoken(token));
  }

  #end(token: string, { work, worker }: InFlight): void {
    this.#inFlight.delete(token);
    worker.ended(work);
  }
}

function isOfKind<K extends Work["kind"]>(work: Work | undefined, kind: K): work is Extract<Work, { kind: K }> {
  return work?.kind === kind;
}
