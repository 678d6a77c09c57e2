import { setImmediate as nextTurn } from "node:timers/promises";

/** What takes the batches of a {@link BatchQueue}. Nothing of it rejects. */
export interface BatchTaker<T> {
  export(items: T[]): Promise<void>;
  drop(cause: string, count: number, why: string): void;
  giveUp(count: number): void;
}

/** How a {@link BatchQueue} gathers. */
export interface BatchQueueOptions<T> {
  readonly taker: BatchTaker<T>;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  /** In milliseconds. */
  readonly scheduleDelay: number;
  /** What keeps its place longer under pressure has a higher rank, from 0 to 3 (telemetry.md K6). */
  readonly rankOf: (item: T) => number;
  /** About how much memory an item takes. */
  readonly bytesOf: (item: T) => number;
}

interface Waiting<T> {
  readonly item: T;
  readonly bytes: number;
  /** The items' numbers are the order in which they came. */
  readonly number: number;
}

const mostBytes = 32 * 2 ** 20;
/** A batch is serialized in one go, which must not take long. */
const mostBytesOfBatch = 2 ** 18;
const mostExports = 4;

/**
 * Gathers items and hands them on in batches, in order. What waits is bounded, in number and in bytes; when there is too
 * much, items of the lowest rank go first, and are counted (telemetry.md K4 to K6). Adding an item never waits: batches are made
 * in later turns of the event loop.
 */
export class BatchQueue<T> {
  readonly #options: BatchQueueOptions<T>;
  /** By rank; each is in order. */
  readonly #lanes: readonly Lane<Waiting<T>>[] = [new Lane(), new Lane(), new Lane(), new Lane()];
  readonly #running = new Set<Promise<void>>();
  #count = 0;
  #bytes = 0;
  #added = 0;
  /** Those that no line tells of yet. */
  #dropped = 0;
  /** The items up to this number are wanted now. */
  #wanted = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: BatchQueueOptions<T>) {
    this.#options = options;
  }

  add(item: T): void {
    if (this.#isClosed) return;
    const { maxQueueSize, maxExportBatchSize, rankOf, bytesOf } = this.#options;
    const rank = rankOf(item);
    const bytes = sizeOf(item, bytesOf);
    while (this.#count >= maxQueueSize || this.#bytes + bytes > mostBytes) {
      const isDropped = this.#dropBelow(rank);
      this.#dropped += 1;
      if (!isDropped) return;
    }
    this.#added += 1;
    this.#lanes[rank]?.push({ item, bytes, number: this.#added });
    this.#count += 1;
    this.#bytes += bytes;
    if (this.#count >= maxExportBatchSize || this.#bytes >= mostBytesOfBatch) this.#run();
    else this.#timer ??= setTimeout(() => this.#flush(), this.#options.scheduleDelay).unref();
  }

  /** Hands on all that there is. Never rejects. */
  async forceFlush(): Promise<void> {
    const last = this.#added;
    do {
      this.#flush();
      await Promise.all(this.#running);
    } while ((this.#next()?.first?.number ?? Number.POSITIVE_INFINITY) <= last);
  }

  /** Takes no more; what still waits is lost, and reported. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#reportDropped();
    if (this.#count > 0) this.#options.taker.giveUp(this.#count);
    for (const lane of this.#lanes) while (lane.pop() !== undefined);
    this.#count = 0;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wanted = this.#added;
    for (let batches = Math.ceil(this.#count / this.#options.maxExportBatchSize); batches > 0; batches -= 1) this.#run();
  }

  #run(): void {
    if (this.#running.size >= mostExports) return;
    const run = this.#exportBatches().finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #exportBatches(): Promise<void> {
    for (await turn(); this.#isDue(); await turn()) await this.#options.taker.export(this.#take());
    if (this.#count > 0) this.#timer ??= setTimeout(() => this.#flush(), this.#options.scheduleDelay).unref();
  }

  #isDue(): boolean {
    if (this.#count >= this.#options.maxExportBatchSize || this.#bytes >= mostBytesOfBatch) return true;
    return this.#count > 0 && (this.#next()?.first?.number ?? 0) <= this.#wanted;
  }

  #take(): T[] {
    this.#reportDropped();
    const batch: T[] = [];
    let bytes = 0;
    while (batch.length < this.#options.maxExportBatchSize && bytes < mostBytesOfBatch) {
      const taken = this.#next()?.shift();
      if (taken === undefined) break;
      batch.push(taken.item);
      bytes += taken.bytes;
    }
    this.#count -= batch.length;
    this.#bytes -= bytes;
    return batch;
  }

  /** The lane whose first item has waited longest. */
  #next(): Lane<Waiting<T>> | undefined {
    let next: Lane<Waiting<T>> | undefined;
    for (const lane of this.#lanes) {
      if (lane.first !== undefined && lane.first.number < (next?.first?.number ?? Number.POSITIVE_INFINITY)) next = lane;
    }
    return next;
  }

  /** Drops the last item of the lowest rank, if that is below `rank`. */
  #dropBelow(rank: number): boolean {
    for (let lower = 0; lower < rank; lower += 1) {
      const dropped = this.#lanes[lower]?.pop();
      if (dropped === undefined) continue;
      this.#count -= 1;
      this.#bytes -= dropped.bytes;
      return true;
    }
    return false;
  }

  #reportDropped(): void {
    const { maxQueueSize, taker } = this.#options;
    if (this.#dropped > 0) taker.drop("dropped", this.#dropped, `more than maxQueueSize (${maxQueueSize}), or ${mostBytes >> 20} MiB, waited for the collector`);
    this.#dropped = 0;
  }
}

function sizeOf<T>(item: T, bytesOf: (item: T) => number): number {
  try {
    return bytesOf(item);
  } catch {
    return mostBytesOfBatch; // A value of the program throws when it is read, which must not reach the code that records it.
  }
}

let lastTurn: Promise<void> = Promise.resolve();

/** A turn of the event loop in which no other batch of any queue is made: that would hold the program for longer. */
function turn(): Promise<void> {
  lastTurn = lastTurn.then(() => nextTurn());
  return lastTurn;
}

/** A list that gives its first item in constant time. */
class Lane<T> {
  #items: T[] = [];
  #start = 0;

  get first(): T | undefined {
    return this.#items[this.#start];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  pop(): T | undefined {
    return this.#items.length > this.#start ? this.#items.pop() : undefined;
  }

  shift(): T | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    this.#start += 1;
    if (this.#start * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#start);
      this.#start = 0;
    }
    return first;
  }
}
