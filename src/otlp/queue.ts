import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { OtlpExporter } from "./exporter.ts";
import type { BatchSettings } from "./settings.ts";

interface Waiting<T> {
  readonly item: T;
  readonly bytes: number;
  /** The items' numbers are the order in which they came. */
  readonly number: number;
}

// Timers and the sockets to a collector keep the async context that they start in: in a work item's, that would be its
// input, history and results, for as long as the connection is kept alive.
const outsideWorkItems = AsyncLocalStorage.snapshot();
const mostBytes = 32 * 2 ** 20;
/** A batch is serialized in one go, which must not take long. */
const mostBytesOfBatch = 2 ** 18;
const mostExports = 4;

/**
 * Gathers items and has them exported in batches. What waits is bounded, in number and in bytes; when there is too much, items of
 * the lowest rank are dropped first, and counted; and where more waits than a batch holds, those of the highest rank are sent
 * first (telemetry.md K4 to K6). Adding an item never waits: batches are made in later turns of the event loop.
 */
export class BatchQueue<T> {
  readonly #exporter: OtlpExporter<T[]>;
  readonly #settings: BatchSettings;
  readonly #rankOf: (item: T) => number;
  readonly #bytesOf: (item: T) => number;
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

  /**
   * @param rankOf what keeps its place longer under pressure has a higher rank, from 0 to 3 (telemetry.md K6).
   * @param bytesOf about how much memory an item takes.
   */
  constructor(exporter: OtlpExporter<T[]>, settings: BatchSettings, rankOf: (item: T) => number, bytesOf: (item: T) => number) {
    this.#exporter = exporter;
    this.#settings = settings;
    this.#rankOf = rankOf;
    this.#bytesOf = bytesOf;
  }

  add(item: T): void {
    if (this.#isClosed) return;
    const rank = this.#rankOf(item);
    const bytes = this.#sizeOf(item);
    while (this.#count >= this.#settings.maxQueueSize || this.#bytes + bytes > mostBytes) {
      this.#dropped += 1;
      // The last item of the lowest rank below this one's makes room; else this one goes.
      const dropped = this.#lanes.slice(0, rank).find(({ first }) => first !== undefined)?.pop();
      if (dropped === undefined) return;
      this.#left(dropped);
    }
    this.#added += 1;
    this.#lanes[rank]?.push({ item, bytes, number: this.#added });
    this.#count += 1;
    this.#bytes += bytes;
    if (this.#isFull()) this.#run();
    else this.#schedule();
  }

  /** Exports all that there is. Never rejects. */
  async forceFlush(): Promise<void> {
    const last = this.#added;
    do {
      this.#flush();
      await Promise.all(this.#running);
    } while (this.#hasUpTo(last));
  }

  /** Takes no more; what still waits is lost, and reported. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#reportDropped();
    if (this.#count > 0) this.#exporter.giveUp(this.#count);
    for (const lane of this.#lanes) while (lane.pop() !== undefined);
    this.#count = 0;
    this.#exporter.close();
  }

  #schedule(): void {
    this.#timer ??= outsideWorkItems(() => setTimeout(() => this.#flush(), this.#settings.scheduleDelay).unref());
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wanted = this.#added;
    for (let batches = Math.ceil(this.#count / this.#settings.maxExportBatchSize); batches > 0; batches -= 1) this.#run();
  }

  #run(): void {
    if (this.#running.size >= mostExports) return;
    const run = outsideWorkItems(() => this.#exportBatches()).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #exportBatches(): Promise<void> {
    for (await turn(); this.#isDue(); await turn()) await this.#exporter.export(this.#take());
    if (this.#count > 0) this.#schedule();
  }

  #isFull(): boolean {
    return this.#count >= this.#settings.maxExportBatchSize || this.#bytes >= mostBytesOfBatch;
  }

  #isDue(): boolean {
    return this.#count > 0 && (this.#isFull() || this.#hasUpTo(this.#wanted));
  }

  #take(): T[] {
    this.#reportDropped();
    const batch: Waiting<T>[] = [];
    for (let bytes = 0; batch.length < this.#settings.maxExportBatchSize && bytes < mostBytesOfBatch; ) {
      const taken = this.#lanes.findLast(({ first }) => first !== undefined)?.shift();
      if (taken === undefined) break;
      batch.push(taken);
      bytes += taken.bytes;
      this.#left(taken);
    }
    return batch.toSorted((one, other) => one.number - other.number).map(({ item }) => item);
  }

  #left({ bytes }: Waiting<T>): void {
    this.#count -= 1;
    this.#bytes -= bytes;
  }

  /** Whether an item waits that is one of the first `number` that came. */
  #hasUpTo(number: number): boolean {
    return this.#lanes.some(({ first }) => first !== undefined && first.number <= number);
  }

  #reportDropped(): void {
    const why = `more than maxQueueSize (${this.#settings.maxQueueSize}), or ${mostBytes >> 20} MiB, waited for the collector`;
    if (this.#dropped > 0) this.#exporter.lost(this.#dropped, "dropped", (items) => `dropped ${items}: ${why}`);
    this.#dropped = 0;
  }

  #sizeOf(item: T): number {
    try {
      return this.#bytesOf(item);
    } catch {
      return mostBytesOfBatch; // A value of the program throws when it is read, which must not reach the code that records it.
    }
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
    return this.first === undefined ? undefined : this.#items.pop();
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
