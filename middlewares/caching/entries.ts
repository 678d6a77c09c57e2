import { canonical } from "./canonical.ts";
import { digest } from "./digest.ts";
import { decode, encode } from "./envelope.ts";
import type { NamespaceEpochs } from "./namespace-epochs.ts";
import type { GuardedStore, StoreAnswer } from "./guarded-store.ts";
import { isolated } from "./outcome.ts";
import type { Runtime } from "./runtime.ts";
import { notFalse, prefix, stringOrUndefined, type CacheStore } from "./store.ts";

/** Where an activity's result is stored. */
export interface EntryKey {
  /** The key in the store. */
  readonly key: string;
  readonly namespace: string | undefined;
}

/** The result of a look-up. */
export type Found =
  /** A result. Each call of `read` returns a new value. */
  | { readonly state: "fresh"; readonly read: () => unknown; readonly epoch: string }
  /** An expired result, which can be served for `left` more milliseconds. */
  | { readonly state: "stale"; readonly left: number; readonly read: () => unknown; readonly epoch: string }
  | { readonly state: "none"; readonly epoch: string }
  /** The store failed: it is `down`, or the entry is malformed. */
  | { readonly state: "fault"; readonly down: boolean; readonly epoch: string };

/** How long entries of an activity live, in milliseconds. */
export interface Lifetime {
  readonly ttl: number;
  /** How long an expired entry can be served. */
  readonly staleFor: number;
}

// The time to live of the value that overwrites a deleted entry: long enough that no store takes it as expired while writing it.
const deletedTtl = 60_000;

// The difference that the clocks of machines which share a store may have.
const skew = 60_000;

/**
 * The key of an entry, from everything that it depends on.
 *
 * @throws NoCanonicalForm, see {@link canonical}.
 */
export function entryKey(parts: readonly unknown[]): string {
  return `${prefix}entry:${digest(canonical(parts))}`;
}

/** The entries in the store. */
export class Entries {
  readonly #store: CacheStore;
  readonly #guard: GuardedStore;
  readonly #runtime: Runtime;
  readonly #epochs: NamespaceEpochs;
  /** The outstanding writes, by key. */
  readonly #writing = new Map<string, Promise<unknown>>();

  constructor(store: CacheStore, guard: GuardedStore, epochs: NamespaceEpochs, runtime: Runtime) {
    this.#store = store;
    this.#guard = guard;
    this.#runtime = runtime;
    this.#epochs = epochs;
  }

  /** Looks an entry up. Synchronous if the store is. */
  find({ key, namespace }: EntryKey, lifetime: Lifetime): Found | Promise<Found> {
    const stored = this.#guard.ask("read", "get an entry", () => this.#store.get(key), stringOrUndefined);
    // In parallel: an entry names the epoch in which it was stored.
    const epoch = namespace === undefined ? noEpoch : this.#epochs.ask(namespace);
    if (stored instanceof Promise || epoch instanceof Promise) {
      return Promise.all([stored, epoch]).then(([entry, own]) => this.#read(key, entry, own, lifetime));
    }
    return this.#read(key, stored, epoch, lifetime);
  }

  /** Stores a result. Resolves with whether the store has it. */
  async keep(
    { key }: EntryKey,
    epoch: string,
    json: string | undefined,
    { ttl, staleFor }: Lifetime,
  ): Promise<boolean> {
    const entry = encode({ key, epoch, expires: this.#runtime.now() + ttl }, json);
    const answer = this.#guard.ask(
      "write",
      "set an entry",
      () => this.#store.set(key, entry, ttl + staleFor),
      notFalse,
    );
    if (!(answer instanceof Promise)) return answer.ok;
    // Includes the writes before it, which it may have overtaken.
    const writing = Promise.all([answer, this.#writing.get(key)]).finally(() => {
      if (this.#writing.get(key) === writing) this.#writing.delete(key);
    });
    this.#writing.set(key, writing);
    return (await answer).ok;
  }

  /** Deletes an entry; `false` if the store failed. */
  async delete(key: string): Promise<boolean> {
    const writing = this.#writing.get(key);
    // A write that is still outstanding could overtake the deletion.
    if (writing !== undefined) await writing;
    const deleted = await this.#guard.ask(
      "write",
      "delete an entry",
      () => this.#store.delete(key),
      (answer) => answer !== false,
    );
    if (!deleted.ok || deleted.value) return deleted.ok;
    // Keyv returns `false` if there was no entry and if its store failed. A `set` distinguishes these, and removes the entry too.
    return (
      await this.#guard.ask("write", "delete an entry", () => this.#store.set(key, "deleted", deletedTtl), notFalse)
    ).ok;
  }

  #read(
    key: string,
    stored: StoreAnswer<string | undefined>,
    own: StoreAnswer<string>,
    { ttl, staleFor }: Lifetime,
  ): Found {
    if (!stored.ok || !own.ok) {
      // Without an epoch nothing can be stored either.
      return { state: "fault", down: !own.ok || (!stored.ok && stored.down), epoch: own.ok ? own.value : "" };
    }
    const epoch = own.value;
    if (stored.value === undefined) return { state: "none", epoch };
    const entry = decode(stored.value, key);
    if (entry.kind === "malformed") {
      isolated.fault(
        "the activity cache's store has a malformed entry",
        new TypeError("an entry whose members are missing or have other types"),
      );
      return { state: "fault", down: false, epoch };
    }
    if (entry.kind === "foreign" || entry.epoch !== epoch) return { state: "none", epoch };
    const life = entry.expires - this.#runtime.now();
    // A longer life than any entry has means that the clock was set back.
    if (life <= -staleFor || life > ttl + Math.min(ttl, skew)) return { state: "none", epoch };
    const read = reader(entry.value, stored.value, key);
    return life > 0 ? { state: "fresh", epoch, read } : { state: "stale", left: life + staleFor, epoch, read };
  }
}

const noEpoch: StoreAnswer<string> = { ok: true, value: "" };

// The first reader gets the value that the look-up parsed. A second reader gets another one, as the first may change its own.
function reader(first: unknown, stored: string, key: string): () => unknown {
  let taken = false;
  return () => {
    if (!taken) {
      taken = true;
      return first;
    }
    const again = decode(stored, key);
    return again.kind === "entry" ? again.value : undefined;
  };
}
