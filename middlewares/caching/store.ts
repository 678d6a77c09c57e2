/**
 * Where the activity cache keeps its entries (telemetry.md C4). A structural type: Keyv 5 and 6 fit as they are, a `Map`
 * does, and a Redis client needs a line for each member. Keys and values are text. A member may answer at once or with
 * a promise; it may throw, reject or never answer (C6).
 */
export interface CacheStore {
  /** The value under `key`; `undefined` or `null` if there is none. */
  get(key: string): unknown;
  /** Keeps `value` for `ttlMs` milliseconds; less or more is right too, as entries know when they expire. `false` says that it failed. */
  set(key: string, value: string, ttlMs: number): unknown;
  /** Takes away what is under `key`. */
  delete(key: string): unknown;
  /**
   * Sets `value` for `ttlMs` milliseconds if there is nothing under `key`, atomically, and says whether it did: `SET NX PX`
   * on Redis. `lockFor` needs it, and `deleteIfEqual`; with a `namespace` it spares some runs in processes that start together.
   */
  setIfAbsent?(key: string, value: string, ttlMs: number): boolean | PromiseLike<boolean>;
  /** Takes away what is under `key` if it is `value`, atomically: a few words of Lua on Redis. */
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
