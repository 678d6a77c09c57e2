import { LRUCache } from "lru-cache";
import type { CacheStore } from "./store.ts";

/** The bounds of a store in memory. */
export interface MemoryBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

// What an entry takes beside its text: the cells of the list and the map, and the heads of two strings.
const overhead = 200;
// The characters around a value: its key, twice, and what else an entry says.
const facts = 300;

/** The longest JSON of a result that certainly fits into a store in memory, in bytes of UTF-8: no more than its characters. */
export function longestValue(maxBytes: number): number {
  return Math.floor((maxBytes - overhead) / 2) - facts;
}

/** The default store (telemetry.md C4): in this process, bounded by entries and bytes; what was used least recently goes first. */
export class MemoryStore implements CacheStore {
  readonly #entries: LRUCache<string, string>;

  constructor({ maxEntries, maxBytes }: MemoryBounds) {
    this.#entries = new LRUCache<string, string>({
      max: maxEntries,
      maxSize: maxBytes,
      // A character takes one byte or two: all count as two.
      sizeCalculation: (value, key) => overhead + 2 * (key.length + value.length),
    });
  }

  get(key: string): string | undefined {
    return this.#entries.get(key);
  }

  // Without the time to live: entries know it themselves, and what is expired goes when there is no room.
  set(key: string, value: string): void {
    this.#entries.set(key, value);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** How many entries there are. */
  get entries(): number {
    return this.#entries.size;
  }

  /** How many bytes they count as. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}
