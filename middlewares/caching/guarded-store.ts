import { isThenable } from "../../src/pipeline/thenable.ts";
import { Circuit, type UnderWay } from "./circuit.ts";
import { isolated } from "./outcome.ts";
import type { Runtime } from "./runtime.ts";

/** What came of asking the store. */
export type StoreAnswer<T> =
  | { readonly ok: true; readonly value: T }
  /** `down`: the store did not reply. A malformed reply is not `down`. */
  | { readonly ok: false; readonly down: boolean };

const down: StoreAnswer<never> = { ok: false, down: true };

/** Reads go on where writes hang, and the other way round. Locks are writes. */
type Direction = "read" | "write";

/**
 * Stands between the cache and a store that may throw, hang or be closed (telemetry.md C6): each operation has a bounded
 * wait and never throws; a store that fails again and again is left alone for a while. Faults are reported, once for
 * each cause and minute.
 */
export class GuardedStore {
  readonly #timeout: number;
  readonly #runtime: Runtime;
  readonly #circuits: Readonly<Record<Direction, Circuit>>;

  /** @param timeout how long to wait for an operation, in milliseconds. */
  constructor(timeout: number, runtime: Runtime) {
    this.#timeout = timeout;
    this.#runtime = runtime;
    const circuit = (): Circuit => new Circuit(() => runtime.elapsed());
    this.#circuits = { read: circuit(), write: circuit() };
  }

  /**
   * Asks the store. Where it answers at once, so does this.
   *
   * @param what the operation, for the report.
   * @param check throws if the answer can't be right.
   */
  ask<T>(direction: Direction, what: string, operation: () => unknown, check: (answer: unknown) => T): StoreAnswer<T> | Promise<StoreAnswer<T>> {
    const circuit = this.#circuits[direction];
    if (!circuit.admit()) return down;
    try {
      const answer = operation();
      // Looks at the answer, which may throw.
      return isThenable(answer) ? this.#settled(circuit, what, answer, check) : answered(circuit, what, answer, check);
    } catch (error) {
      return failed(circuit, what, error);
    }
  }

  async #settled<T>(circuit: Circuit, what: string, answer: PromiseLike<unknown>, check: (answer: unknown) => T): Promise<StoreAnswer<T>> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const callOff = this.#runtime.after(this.#timeout, true, () => reject(new Error(`no answer within ${this.#timeout} ms`)));
    // What comes after the first is ignored: the activity has gone on.
    void settle(circuit.underWay, answer, resolve, reject);
    try {
      return answered(circuit, what, await promise, check);
    } catch (error) {
      return failed(circuit, what, error);
    } finally {
      callOff();
    }
  }
}

/** Sees an operation to its true end, until when it counts. */
async function settle(underWay: UnderWay, answer: PromiseLike<unknown>, resolve: (value: unknown) => void, reject: (error: unknown) => void): Promise<void> {
  underWay.count += 1;
  try {
    resolve(await answer);
  } catch (error) {
    reject(error);
  }
  underWay.count -= 1;
}

function answered<T>(circuit: Circuit, what: string, answer: unknown, check: (answer: unknown) => T): StoreAnswer<T> {
  // It replied: there is no reason to leave it alone, even if the reply is malformed.
  circuit.succeeded();
  try {
    return { ok: true, value: check(answer) };
  } catch (error) {
    isolated.fault(`the activity cache's store failed to ${what}`, error);
    return { ok: false, down: false };
  }
}

function failed(circuit: Circuit, what: string, error: unknown): StoreAnswer<never> {
  circuit.failed();
  isolated.fault(`the activity cache's store failed to ${what}`, error);
  return down;
}
