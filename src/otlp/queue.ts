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

// Timers and the sockets to a collector keep the async context in which they start. That of a work item would keep its
// input, history and results in memory as long as the connection lives.
const outsideWorkItems = AsyncLocalStorage.snapshot();
/** What a queue holds, in bytes. */
export const mostBytes: number = 32 * 2 ** 20;
/** A batch is serialized synchronously, which must not take long. */
const mostBytesOfBatch = 2 ** 18;
const mostExports = 4;

/**
 * Queues items and exports them in batches. The queue is limited in number and in bytes. If it is full, items of the lowest
 * rank are dropped first, and counted. If more items wait than a batch holds, those of the highest rank are sent first
 * (telemetry.md K4 to K6). Adding an item never waits: batches are created in later turns of the event loop.
 */
export class BatchQueue<T> {
  readonly #exporter: OtlpExporter<T[]>;
  readonly #settings: BatchSettings;
  readonly #rankOf: (item: T) => number;
  readonly #bytesOf: (item: T) => number;
  /** By rank; each is in the order of arrival. */
  readonly #lanes: readonly Lane<Waiting<T>>[] = [new Lane(), new Lane(), new Lane(), new Lane()];
  readonly #running = new Set<Promise<void>>();
  #count = 0;
  #bytes = 0;
  #added = 0;
  /** Dropped items that are not reported yet. */
  #dropped = 0;
  /** The items up to this number must be exported now. */
  #wanted = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /**
   * @param rankOf the rank, from 0 to 3. Items of a higher rank are kept longer (telemetry.md K6).
   * @param bytesOf approximately how much memory an item takes.
   */
  constructor(
    exporter: OtlpExporter<T[]>,
    settings: BatchSettings,
    rankOf: (item: T) => number,
    bytesOf: (item: T) => number,
  ) {
    this.#exporter = exporter;
    this.#settings = settings;
    this.#rankOf = rankOf;
    this.#bytesOf = bytesOf;
  }

  add(item: T): void {
    if (this.#isClosed) {
      this.#exporter.lost(1, "late", (items) => `dropped ${items}: shutdown was over`);
      return;
    }
    const rank = this.#rankOf(item);
    const bytes = this.#sizeOf(item);
    // It would not fit if all others were dropped.
    if (bytes > mostBytes) {
      this.#dropped += 1;
      return;
    }
    while (this.#count >= this.#settings.maxQueueSize || this.#bytes + bytes > mostBytes) {
      this.#dropped += 1;
      // Drop the last item of the lowest rank below this one's; if there is none, drop this one.
      const dropped = this.#lanes
        .slice(0, rank)
        .find(({ first }) => first !== undefined)
        ?.pop();
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

  /** Exports all items. Never rejects. */
  async forceFlush(): Promise<void> {
    const last = this.#added;
    do {
      this.#flush();
      await Promise.all(this.#running);
    } while (this.#hasUpTo(last));
  }

  /** Accepts no more items. Items that still wait are lost, and reported. */
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
    for (let batches = Math.ceil(this.#count / this.#settings.maxExportBatchSize); batches > 0; batches -= 1)
      this.#run();
  }

  #run(): void {
    if (this.#running.size >= mostExports) return;
    const run = outsideWorkItems(() => this.#exportBatches()).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #exportBatches(): Promise<void> {
    for (await freeTurn(); this.#isDue(); await freeTurn()) await this.#exporter.export(this.#take());
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
    for (let bytes = 0; batch.length < this.#settings.maxExportBatchSize && bytes < mostBytesOfBatch;) {
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

  /** Whether one of the first `number` items still waits. */
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
      return mostBytesOfBatch; // A getter of the program's value threw; the code that records it must not see that.
    }
  }
}

let lastTurn: Promise<void> = Promise.resolve();

/** The next turn of the event loop in which no queue creates a batch: two in one turn would block the program longer. */
function freeTurn(): Promise<void> {
  lastTurn = lastTurn.then(() => nextTurn());
  return lastTurn;
}

/** A list whose first item can be removed in constant time. */
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
