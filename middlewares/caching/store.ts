/**
 * Where the activity cache stores its entries (telemetry.md C4). A structural type: Keyv 5 and 6 and a `Map` implement it,
 * a Redis client needs one line per member. Keys and values are strings. A member can return its value or a promise; it
 * can throw, reject or never reply (C6).
 */
export interface CacheStore {
  /** The value under `key`; `undefined` or `null` if there is none. */
  get(key: string): unknown;
  /** Stores `value` for `ttlMs` milliseconds. A shorter or longer time is valid, because entries contain their expiry. `false` means failure. */
  set(key: string, value: string, ttlMs: number): unknown;
  /** Deletes the value under `key`. */
  delete(key: string): unknown;
  /**
   * Atomically sets `value` for `ttlMs` milliseconds if there is nothing under `key`, and returns whether it did: `SET NX PX`
   * on Redis. `lockFor` needs it and `deleteIfEqual`. With a `namespace` it saves some runs in processes that start together.
   */
  setIfAbsent?(key: string, value: string, ttlMs: number): boolean | PromiseLike<boolean>;
  /** Atomically deletes the value under `key` if it equals `value`: one line of Lua on Redis. */
  deleteIfEqual?(key: string, value: string): unknown;
}

/** A store that coalesces between processes. */
export type LockingStore = CacheStore & Required<Pick<CacheStore, "setIfAbsent" | "deleteIfEqual">>;

/** Whether the store can coalesce between processes. */
export function canLock(store: CacheStore): store is LockingStore {
  return typeof store.setIfAbsent === "function" && typeof store.deleteIfEqual === "function";
}

/** What all keys begin with, as others may use the store too. */
export const prefix = "durable-telemetry:";

/** What `get` said. */
export function textOrNothing(answer: unknown): string | undefined {
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer !== "string") throw new TypeError(`get gave a value of type ${typeof answer}, where text was set`);
  return answer;
}

/** What `set` said. */
export function notFalse(answer: unknown): true {
  if (answer === false) throw new Error("set said that it failed");
  return true;
}

/** What `setIfAbsent` said. */
export function trueOrFalse(answer: unknown): boolean {
  if (typeof answer !== "boolean") throw new TypeError(`setIfAbsent gave a value of type ${typeof answer}; it must say true or false`);
  return answer;
}
