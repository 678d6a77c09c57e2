import { randomUUID } from "node:crypto";
import { digest } from "./digest.ts";
import type { GuardedStore, StoreAnswer } from "./guarded-store.ts";
import { notFalse, prefix, textOrNothing, trueOrFalse, type CacheStore } from "./store.ts";

const generationKey = (namespace: string): string => `${prefix}generation:${digest(namespace)}`;

/** The generations of namespaces in the store: with a new one all entries of the old one are misses, in all processes. */
export class Generations {
  readonly #store: CacheStore;
  readonly #guard: GuardedStore;
  readonly #ttl: number;
  /** Those that are being made, by key: calls that come together have the same one. */
  readonly #making = new Map<string, Promise<StoreAnswer<string>>>();

  /** @param ttl how long the store keeps a generation, in milliseconds; longer than any entry. */
  constructor(store: CacheStore, guard: GuardedStore, ttl: number) {
    this.#store = store;
    this.#guard = guard;
    this.#ttl = ttl;
  }

  /** The generation that a namespace is in now, which is made if need be. At once where the store has it and answers at once. */
  ask(namespace: string): StoreAnswer<string> | Promise<StoreAnswer<string>> {
    const key = generationKey(namespace);
    const answer = this.#guard.ask("read", "get a generation", () => this.#store.get(key), textOrNothing);
    return answer instanceof Promise ? answer.then((own) => this.#orNew(key, own)) : this.#orNew(key, answer);
  }

  #orNew(key: string, own: StoreAnswer<string | undefined>): StoreAnswer<string> | Promise<StoreAnswer<string>> {
    if (!own.ok) return own;
    if (own.value !== undefined) return { ok: true, value: own.value };
    let making = this.#making.get(key);
    if (making === undefined) {
      making = this.#make(key).finally(() => this.#making.delete(key));
      this.#making.set(key, making);
    }
    return making;
  }

  // A name that never was: a generation that the store has lost must not come back.
  async #make(key: string): Promise<StoreAnswer<string>> {
    const [store, ttl, own] = [this.#store, this.#ttl, randomUUID()];
    const set = (): unknown => (store.setIfAbsent === undefined ? store.set(key, own, ttl) : store.setIfAbsent(key, own, ttl));
    const isOwn = await this.#guard.ask("write", "set a generation", set, store.setIfAbsent === undefined ? notFalse : trueOrFalse);
    if (!isOwn.ok) return isOwn;
    if (isOwn.value) return { ok: true, value: own };
    // Another process was faster.
    return this.#guard.ask("read", "get a generation", () => store.get(key), mustBeText);
  }

  /** The same; `""` if the store failed. */
  async current(namespace: string): Promise<string> {
    const answer = await this.ask(namespace);
    return answer.ok ? answer.value : "";
  }

  /** Makes misses of all entries of a namespace; `false` if the store failed. */
  async renew(namespace: string): Promise<boolean> {
    const own = randomUUID();
    const set = (): unknown => this.#store.set(generationKey(namespace), own, this.#ttl);
    return (await this.#guard.ask("write", "set a generation", set, notFalse)).ok;
  }
}

function mustBeText(answer: unknown): string {
  const text = textOrNothing(answer);
  if (text === undefined) throw new TypeError("get gave nothing, where setIfAbsent found something");
  return text;
}
