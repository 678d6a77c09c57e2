import { crypto } from "../../src/on-demand.ts";
import { digest } from "./digest.ts";
import type { GuardedStore, StoreAnswer } from "./guarded-store.ts";
import { notFalse, prefix, stringOrUndefined, trueOrFalse, type CacheStore } from "./store.ts";

// The keys say "generation", as in version 0.1: processes of both versions can share a store.
const epochKey = (namespace: string): string => `${prefix}generation:${digest(namespace)}`;

/**
 * The epochs of the namespaces in the store. Each entry names the epoch in which it was stored; a new epoch turns all
 * entries of the old one into misses, in all processes.
 */
export class NamespaceEpochs {
  readonly #store: CacheStore;
  readonly #guard: GuardedStore;
  readonly #ttl: number;
  /** The epochs that are being created, by key: concurrent calls share one. */
  readonly #creating = new Map<string, Promise<StoreAnswer<string>>>();

  /** @param ttl how long the store keeps an epoch, in milliseconds; longer than any entry. */
  constructor(store: CacheStore, guard: GuardedStore, ttl: number) {
    this.#store = store;
    this.#guard = guard;
    this.#ttl = ttl;
  }

  /** The current epoch of a namespace, which is created if the store has none. Synchronous if the store is and has it. */
  ask(namespace: string): StoreAnswer<string> | Promise<StoreAnswer<string>> {
    const key = epochKey(namespace);
    const answer = this.#guard.ask("read", "get a namespace epoch", () => this.#store.get(key), stringOrUndefined);
    return answer instanceof Promise ? answer.then((own) => this.#orNew(key, own)) : this.#orNew(key, answer);
  }

  #orNew(key: string, own: StoreAnswer<string | undefined>): StoreAnswer<string> | Promise<StoreAnswer<string>> {
    if (!own.ok) return own;
    if (own.value !== undefined) return { ok: true, value: own.value };
    let creating = this.#creating.get(key);
    if (creating === undefined) {
      creating = this.#create(key).finally(() => this.#creating.delete(key));
      this.#creating.set(key, creating);
    }
    return creating;
  }

  // A random name: an epoch that the store has lost must never be used again.
  async #create(key: string): Promise<StoreAnswer<string>> {
    const [store, ttl, own] = [this.#store, this.#ttl, crypto.randomUUID()];
    const set = (): unknown =>
      store.setIfAbsent === undefined ? store.set(key, own, ttl) : store.setIfAbsent(key, own, ttl);
    const isOwn = await this.#guard.ask(
      "write",
      "set a namespace epoch",
      set,
      store.setIfAbsent === undefined ? notFalse : trueOrFalse,
    );
    if (!isOwn.ok) return isOwn;
    if (isOwn.value) return { ok: true, value: own };
    // Another process created it first.
    return this.#guard.ask("read", "get a namespace epoch", () => store.get(key), mustBeString);
  }

  /** The same; `""` if the store failed. */
  async current(namespace: string): Promise<string> {
    const answer = await this.ask(namespace);
    return answer.ok ? answer.value : "";
  }

  /** Starts a new epoch, which turns all entries of the namespace into misses. `false` if the store failed. */
  async renew(namespace: string): Promise<boolean> {
    const own = crypto.randomUUID();
    const set = (): unknown => this.#store.set(epochKey(namespace), own, this.#ttl);
    return (await this.#guard.ask("write", "set a namespace epoch", set, notFalse)).ok;
  }
}

function mustBeString(answer: unknown): string {
  const value = stringOrUndefined(answer);
  if (value === undefined) throw new TypeError("get returned nothing, although setIfAbsent found a value");
  return value;
}
