import { randomUUID } from "node:crypto";
import { canonicalDigest, digest } from "./digest.ts";
import { open, seal } from "./envelope.ts";
import type { GuardedStore, StoreAnswer } from "./guarded-store.ts";
import { report } from "./outcome.ts";
import type { Runtime } from "./runtime.ts";
import type { CacheStore } from "./store.ts";

/** Where an activity's result stands. */
export interface EntryKey {
  /** The key in the store. */
  readonly key: string;
  readonly namespace: string | undefined;
}

/** What there is under a key. */
export type Found =
  /** A result: `read` makes a new value each time. It is stale from when it expires to `staleFor` later. */
  | { readonly state: "fresh" | "stale"; readonly read: () => unknown; readonly generation: string }
  | { readonly state: "none"; readonly generation: string }
  /** The store failed; it is `down`, or what it has there is rubbish. */
  | { readonly state: "fault"; readonly down: boolean; readonly generation: string };

const prefix = "durable-telemetry:";
const day = 86_400_000;
/** How long a store keeps the generation of a namespace. A new one makes all entries of the namespace misses, and so is safe. */
const generationTtl = 7 * day;

/** The key of an entry, from all that it depends on. */
export function entryKey(parts: readonly unknown[]): string {
  return `${prefix}entry:${canonicalDigest(parts)}`;
}

const generationKey = (namespace: string): string => `${prefix}generation:${digest(namespace)}`;

/** The entries in the store, and the generations of their namespaces. */
export class Entries {
  readonly #store: CacheStore;
  readonly #guard: GuardedStore;
  readonly #runtime: Runtime;

  constructor(store: CacheStore, guard: GuardedStore, runtime: Runtime) {
    this.#store = store;
    this.#guard = guard;
    this.#runtime = runtime;
  }

  /**
   * Looks an entry up; at once where the store answers at once.
   *
   * @param staleFor how long an entry is still of use after it expired, in milliseconds.
   */
  find({ key, namespace }: EntryKey, staleFor: number): Found | Promise<Found> {
    const text = this.#guard.ask("get an entry", () => this.#store.get(key), textOrNothing);
    // Both at once: an entry tells which generation it is of.
    const generation = namespace === undefined ? noGeneration : this.#generation(namespace);
    if (text instanceof Promise || generation instanceof Promise) {
      return Promise.all([text, generation]).then(([entry, own]) => this.#read(key, entry, own, staleFor));
    }
    return this.#read(key, text, generation, staleFor);
  }

  /** Keeps a result. Its outcome is whether the store has it now. */
  async keep({ key }: EntryKey, generation: string, json: string | undefined, ttl: number, staleFor: number): Promise<boolean> {
    const text = seal({ key, generation, expires: this.#runtime.now() + ttl }, json);
    const answer = await this.#guard.ask("set an entry", () => this.#store.set(key, text, ttl + staleFor), notFalse);
    return answer.ok;
  }

  /** Takes an entry away; `false` if the store failed. */
  async delete(key: string): Promise<boolean> {
    return (await this.#guard.ask("delete an entry", () => this.#store.delete(key), () => undefined)).ok;
  }

  /** Makes misses of all entries of a namespace; `false` if the store failed. */
  async renew(namespace: string): Promise<boolean> {
    return (await this.#newGeneration(namespace)).ok;
  }

  #read(key: string, text: StoreAnswer<string | undefined>, own: StoreAnswer<string>, staleFor: number): Found {
    if (!text.ok || !own.ok) {
      const down = (!text.ok && text.down) || (!own.ok && own.down);
      // Without a generation nothing can be kept either.
      return { state: "fault", down: down || !own.ok, generation: own.ok ? own.value : "" };
    }
    const generation = own.value;
    if (text.value === undefined) return { state: "none", generation };
    const entry = open(text.value, key);
    if (entry.kind === "broken") {
      report("the activity cache's store has rubbish", new TypeError("an entry without what an entry has"));
      return { state: "fault", down: false, generation };
    }
    const age = entry.kind === "entry" && entry.generation === generation ? this.#runtime.now() - entry.expires : Infinity;
    if (entry.kind === "foreign" || age >= staleFor) return { state: "none", generation };
    return { state: age < 0 ? "fresh" : "stale", generation, read: reader(entry.value, text.value, key) };
  }

  #generation(namespace: string): StoreAnswer<string> | Promise<StoreAnswer<string>> {
    const answer = this.#guard.ask("get a generation", () => this.#store.get(generationKey(namespace)), textOrNothing);
    const orNew = (own: StoreAnswer<string | undefined>): StoreAnswer<string> | Promise<StoreAnswer<string>> => {
      if (!own.ok) return own;
      return own.value === undefined ? this.#newGeneration(namespace) : { ok: true, value: own.value };
    };
    return answer instanceof Promise ? answer.then(orNew) : orNew(answer);
  }

  // A name that never was: a generation that the store has lost must not come back.
  #newGeneration(namespace: string): StoreAnswer<string> | Promise<StoreAnswer<string>> {
    const own = randomUUID();
    return this.#guard.ask("set a generation", () => this.#store.set(generationKey(namespace), own, generationTtl), (answer) => {
      notFalse(answer);
      return own;
    });
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

function textOrNothing(answer: unknown): string | undefined {
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer !== "string") throw new TypeError(`get gave a value of type ${typeof answer}, where text was set`);
  return answer;
}

function notFalse(answer: unknown): void {
  if (answer === false) throw new Error("set said that it failed");
}
