import type { LRUCache } from "lru-cache";
import { lruCache } from "../../src/on-demand.ts";
import type { CacheStore } from "./store.ts";

/** The bounds of a store in memory. */
export interface MemoryBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

// The bytes of an entry beside its characters: the cells of the list and the map, and the headers of two strings.
const overhead = 200;
// The characters around a value: its key, twice, and the other members of an entry.
const headerLength = 300;

/** The longest JSON of a result that always fits into a store in memory, in bytes of UTF-8. A string has at most as many characters. */
export function longestValue(maxBytes: number): number {
  return Math.floor((maxBytes - overhead) / 2) - headerLength;
}

/** The default store (telemetry.md C4): in this process, limited by entries and bytes. The least recently used entry is evicted first. */
export class MemoryStore implements CacheStore {
  readonly #entries: LRUCache<string, string>;

  constructor({ maxEntries, maxBytes }: MemoryBounds) {
    const Cache = lruCache();
    this.#entries = new Cache<string, string>({
      max: maxEntries,
      maxSize: maxBytes,
      // A character takes one byte or two; each counts as two.
      sizeCalculation: (value, key) => overhead + 2 * (key.length + value.length),
    });
  }

  get(key: string): string | undefined {
    return this.#entries.get(key);
  }

  // Ignores the time to live: entries contain their expiry, and expired ones are evicted when there is no room.
  set(key: string, value: string): void {
    this.#entries.set(key, value);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** The number of entries. */
  get entries(): number {
    return this.#entries.size;
  }

  /** The bytes that the entries count as. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}
