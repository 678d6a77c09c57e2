import { canonical } from "./canonical.ts";
import { digest } from "./digest.ts";
import { open, seal } from "./envelope.ts";
import type { Generations } from "./generations.ts";
import type { GuardedStore, StoreAnswer } from "./guarded-store.ts";
import { isolated } from "./outcome.ts";
import type { Runtime } from "./runtime.ts";
import { notFalse, prefix, textOrNothing, type CacheStore } from "./store.ts";

/** Where an activity's result stands. */
export interface EntryKey {
  /** The key in the store. */
  readonly key: string;
  readonly namespace: string | undefined;
}

/** What there is under a key. */
export type Found =
  /** A result: `read` makes a new value each time. */
  | { readonly state: "fresh"; readonly read: () => unknown; readonly generation: string }
  /** One that has expired, and is of use for `left` more milliseconds. */
  | { readonly state: "stale"; readonly left: number; readonly read: () => unknown; readonly generation: string }
  | { readonly state: "none"; readonly generation: string }
  /** The store failed: it is `down`, or the entry is malformed. */
  | { readonly state: "fault"; readonly down: boolean; readonly generation: string };

/** How long entries of an activity live, in milliseconds. */
export interface Lifetime {
  readonly ttl: number;
  /** How long an entry is still of use after it expired. */
  readonly staleFor: number;
}

// How long what overwrites a deleted entry lives: so long that no store takes it as expired before it has written it.
const deletedTtl = 60_000;

// By how much the clocks of machines that share a store may differ.
const skew = 60_000;

/**
 * The key of an entry, from all that it depends on.
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
  readonly #generations: Generations;
  /** The writes that are under way, by key. */
  readonly #writing = new Map<string, Promise<unknown>>();

  constructor(store: CacheStore, guard: GuardedStore, generations: Generations, runtime: Runtime) {
    this.#store = store;
    this.#guard = guard;
    this.#runtime = runtime;
    this.#generations = generations;
  }

  /** Looks an entry up; at once where the store answers at once. */
  find({ key, namespace }: EntryKey, lifetime: Lifetime): Found | Promise<Found> {
    const text = this.#guard.ask("read", "get an entry", () => this.#store.get(key), textOrNothing);
    // Both at once: an entry tells which generation it is of.
    const generation = namespace === undefined ? noGeneration : this.#generations.ask(namespace);
    if (text instanceof Promise || generation instanceof Promise) {
      return Promise.all([text, generation]).then(([entry, own]) => this.#read(key, entry, own, lifetime));
    }
    return this.#read(key, text, generation, lifetime);
  }

  /** Keeps a result. Its outcome is whether the store has it now. */
  async keep({ key }: EntryKey, generation: string, json: string | undefined, { ttl, staleFor }: Lifetime): Promise<boolean> {
    const text = seal({ key, generation, expires: this.#runtime.now() + ttl }, json);
    const answer = this.#guard.ask("write", "set an entry", () => this.#store.set(key, text, ttl + staleFor), notFalse);
    if (!(answer instanceof Promise)) return answer.ok;
    // With those before it, which it may have overtaken.
    const writing = Promise.all([answer, this.#writing.get(key)]).finally(() => {
      if (this.#writing.get(key) === writing) this.#writing.delete(key);
    });
    this.#writing.set(key, writing);
    return (await answer).ok;
  }

  /** Takes an entry away; `false` if the store failed. */
  async delete(key: string): Promise<boolean> {
    const writing = this.#writing.get(key);
    // Operations may overtake each other.
    if (writing !== undefined) await writing;
    const deleted = await this.#guard.ask("write", "delete an entry", () => this.#store.delete(key), (answer) => answer !== false);
    if (!deleted.ok || deleted.value) return deleted.ok;
    // Keyv says so where there was nothing, and where its store failed; a `set` tells which it is, and does as well.
    return (await this.#guard.ask("write", "delete an entry", () => this.#store.set(key, "deleted", deletedTtl), notFalse)).ok;
  }

  #read(key: string, text: StoreAnswer<string | undefined>, own: StoreAnswer<string>, { ttl, staleFor }: Lifetime): Found {
    if (!text.ok || !own.ok) {
      // Without a generation nothing can be kept either.
      return { state: "fault", down: !own.ok || (!text.ok && text.down), generation: own.ok ? own.value : "" };
    }
    const generation = own.value;
    if (text.value === undefined) return { state: "none", generation };
    const entry = open(text.value, key);
    if (entry.kind === "broken") {
      isolated.fault("the activity cache's store has a malformed entry", new TypeError("an entry without what an entry has"));
      return { state: "fault", down: false, generation };
    }
    if (entry.kind === "foreign" || entry.generation !== generation) return { state: "none", generation };
    const life = entry.expires - this.#runtime.now();
    // Longer than any entry has: the clock was set back.
    if (life <= -staleFor || life > ttl + Math.min(ttl, skew)) return { state: "none", generation };
    const read = reader(entry.value, text.value, key);
    return life > 0 ? { state: "fresh", generation, read } : { state: "stale", left: life + staleFor, generation, read };
  }
}

const noGeneration: StoreAnswer<string> = { ok: true, value: "" };

// The value that was read to look at it goes to the first; a second reader must not see what the first does to it.
function reader(first: unknown, text: string, key: string): () => unknown {
  let taken = false;
  return () => {
    if (!taken) {
      taken = true;
      return first;
    }
    const again = open(text, key);
    return again.kind === "entry" ? again.value : undefined;
  };
}
