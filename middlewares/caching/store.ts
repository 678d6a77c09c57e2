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

/** The prefix of all keys: other applications may share the store. */
export const prefix = "durable-telemetry:";

/** Checks the reply of `get`. */
export function stringOrUndefined(answer: unknown): string | undefined {
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer !== "string")
    throw new TypeError(`get returned a value of type ${typeof answer}, although a string was set`);
  return answer;
}

/** Checks the reply of `set`. */
export function notFalse(answer: unknown): true {
  if (answer === false) throw new Error("set returned false: it failed");
  return true;
}

/** Checks the reply of `setIfAbsent`. */
export function trueOrFalse(answer: unknown): boolean {
  if (typeof answer !== "boolean")
    throw new TypeError(`setIfAbsent returned a value of type ${typeof answer}; it must return true or false`);
  return answer;
}
