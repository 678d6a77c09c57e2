import { isPromiseLike } from "../logging/faults.ts";
import { Circuit } from "./circuit.ts";
import { report } from "./outcome.ts";
import type { Runtime } from "./runtime.ts";

/** What came of asking the store. */
export type StoreAnswer<T> =
  | { readonly ok: true; readonly value: T }
  /** It is `down` unless it did answer, if with rubbish. */
  | { readonly ok: false; readonly down: boolean };

const down: StoreAnswer<never> = { ok: false, down: true };

/** How many operations may be under way at once; with a store that hangs, the others don't even start. */
const maxPending = 4096;

/**
 * Stands between the cache and a store that may throw, hang or be closed (telemetry.md C6): each operation has a bounded
 * wait and never throws; a store that fails again and again is left alone for a while. Faults are reported, once for
 * each cause and minute.
 */
export class GuardedStore {
  readonly #timeout: number;
  readonly #runtime: Runtime;
  readonly #circuit: Circuit;
  #pending = 0;

  /** @param timeout how long to wait for an operation, in milliseconds. */
  constructor(timeout: number, runtime: Runtime) {
    this.#timeout = timeout;
    this.#runtime = runtime;
    this.#circuit = new Circuit(() => runtime.elapsed());
  }

  /**
   * Asks the store. Where it answers at once, so does this.
   *
   * @param what the operation, for the report.
   * @param check throws if the answer can't be right.
   */
  ask<T>(what: string, operation: () => unknown, check: (answer: unknown) => T): StoreAnswer<T> | Promise<StoreAnswer<T>> {
    if (this.#pending >= maxPending || !this.#circuit.admit()) return down;
    let answer: unknown;
    try {
      answer = operation();
    } catch (error) {
      return this.#failed(what, error);
    }
    return isPromiseLike(answer) ? this.#settled(what, answer, check) : this.#answered(what, answer, check);
  }

  #settled<T>(what: string, answer: PromiseLike<unknown>, check: (answer: unknown) => T): Promise<StoreAnswer<T>> {
    this.#pending += 1;
    const { promise, resolve } = Promise.withResolvers<StoreAnswer<T>>();
    let open = true;
    // What comes after the first is ignored: the activity has gone on.
    const once = (make: () => StoreAnswer<T>): void => {
      if (!open) return;
      open = false;
      this.#pending -= 1;
      callOff();
      resolve(make());
    };
    const callOff = this.#runtime.after(this.#timeout, true, () =>
      once(() => this.#failed(what, new Error(`no answer within ${this.#timeout} ms`))),
    );
    // Adopted, as the `then` of a foreign thenable may throw.
    void Promise.resolve(answer).then(
      (value) => once(() => this.#answered(what, value, check)),
      (error: unknown) => once(() => this.#failed(what, error)),
    );
    return promise;
  }

  #answered<T>(what: string, answer: unknown, check: (answer: unknown) => T): StoreAnswer<T> {
    // It answers, be it rubbish: there is no reason to leave it alone.
    this.#circuit.succeeded();
    try {
      return { ok: true, value: check(answer) };
    } catch (error) {
      report(`the activity cache's store failed to ${what}`, error);
      return { ok: false, down: false };
    }
  }

  #failed(what: string, error: unknown): StoreAnswer<never> {
    this.#circuit.failed();
    report(`the activity cache's store failed to ${what}`, error);
    return down;
  }
}
