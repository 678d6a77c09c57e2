import type { CacheStore } from "../../middlewares/index.ts";
import type { TestRuntime } from "./clock.ts";

/** A store between processes, as Redis is one, in the test's own time. */
export class LockingMemory implements CacheStore {
  readonly #runtime: TestRuntime;
  readonly values: Map<string, { readonly value: string; readonly until: number }> = new Map();
  readonly operations: string[] = [];

  constructor(runtime: TestRuntime) {
    this.#runtime = runtime;
  }

  #live(key: string): string | undefined {
    const entry = this.values.get(key);
    return entry !== undefined && entry.until > this.#runtime.now() ? entry.value : undefined;
  }

  async get(key: string): Promise<string | undefined> {
    this.operations.push("get");
    return this.#live(key);
  }

  async set(key: string, value: string, ttlMs: number): Promise<boolean> {
    this.operations.push("set");
    this.values.set(key, { value, until: this.#runtime.now() + ttlMs });
    return true;
  }

  async delete(key: string): Promise<boolean> {
    return this.values.delete(key);
  }

  async setIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean> {
    this.operations.push("setIfAbsent");
    if (this.#live(key) !== undefined) return false;
    this.values.set(key, { value, until: this.#runtime.now() + ttlMs });
    return true;
  }

  async deleteIfEqual(key: string, value: string): Promise<void> {
    this.operations.push("deleteIfEqual");
    if (this.#live(key) === value) this.values.delete(key);
  }
}
