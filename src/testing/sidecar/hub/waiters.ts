import type { Instance } from "./instance.ts";

export interface Waiter {
  readonly reached: (instance: Instance) => boolean;
  readonly resolve: (instance: Instance) => void;
  readonly reject: (reason: Error) => void;
}

/** Those who wait for an instance to reach a state. */
export class Waiters {
  readonly #waiters = new Map<string, Set<Waiter>>();

  /** @returns Stops the waiting; harmless when it is over. */
  add(instanceId: string, waiter: Waiter): () => void {
    const waiters = this.#waiters.get(instanceId) ?? new Set();
    this.#waiters.set(instanceId, waiters.add(waiter));
    return () => this.#remove(instanceId, waiter);
  }

  notify(instance: Instance): void {
    for (const waiter of this.#waiters.get(instance.id) ?? []) {
      if (!waiter.reached(instance)) continue;
      this.#remove(instance.id, waiter);
      waiter.resolve(instance);
    }
  }

  rejectAll(instanceId: string, reason: Error): void {
    const waiters = this.#waiters.get(instanceId) ?? [];
    this.#waiters.delete(instanceId);
    for (const waiter of waiters) waiter.reject(reason);
  }

  rejectEveryone(reason: Error): void {
    for (const instanceId of this.#waiters.keys()) this.rejectAll(instanceId, reason);
  }

  #remove(instanceId: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(instanceId);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(instanceId);
  }
}
