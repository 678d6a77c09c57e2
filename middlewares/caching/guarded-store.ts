import { isThenable } from "../../src/pipeline/thenable.ts";
import { Circuit, type Outstanding } from "./circuit.ts";
import { isolated } from "./outcome.ts";
import type { Runtime } from "./runtime.ts";

/** The result of an operation of the store. */
export type StoreAnswer<T> =
  | { readonly ok: true; readonly value: T }
  /** `down`: the store did not reply. A malformed reply is not `down`. */
  | { readonly ok: false; readonly down: boolean };

const down: StoreAnswer<never> = { ok: false, down: true };

/** Reads and writes are suspended separately: reads continue if only writes hang. Locks are writes. */
type Direction = "read" | "write";

/**
 * Isolates the cache from a store that throws, hangs or is closed (telemetry.md C6): each operation has a bounded wait and
 * never throws, and after consecutive failures the store is not used for a while. Faults are reported once per cause and
 * minute.
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
   * Runs an operation of the store. Synchronous if the operation is.
   *
   * @param what the operation, for the report.
   * @param check throws if the store's reply is malformed.
   */
  ask<T>(
    direction: Direction,
    what: string,
    operation: () => unknown,
    check: (answer: unknown) => T,
  ): StoreAnswer<T> | Promise<StoreAnswer<T>> {
    const circuit = this.#circuits[direction];
    try {
      if (!circuit.admit()) return down;
      const answer = operation();
      // `isThenable` reads the answer's members, and a getter can throw.
      return isThenable(answer) ? this.#settled(circuit, what, answer, check) : answered(circuit, what, answer, check);
    } catch (error) {
      return failed(circuit, what, error);
    }
  }

  async #settled<T>(
    circuit: Circuit,
    what: string,
    answer: PromiseLike<unknown>,
    check: (answer: unknown) => T,
  ): Promise<StoreAnswer<T>> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const callOff = this.#runtime.after(this.#timeout, true, () =>
      reject(new Error(`no answer within ${this.#timeout} ms`)),
    );
    // A reply after the timeout is ignored: the activity has continued.
    void settle(circuit.outstanding, answer, resolve, reject);
    try {
      return answered(circuit, what, await promise, check);
    } catch (error) {
      return failed(circuit, what, error);
    } finally {
      callOff();
    }
  }
}

/** Counts an operation as outstanding until it really ends. */
async function settle(
  outstanding: Outstanding,
  answer: PromiseLike<unknown>,
  resolve: (value: unknown) => void,
  reject: (error: unknown) => void,
): Promise<void> {
  outstanding.count += 1;
  try {
    resolve(await answer);
  } catch (error) {
    reject(error);
  }
  outstanding.count -= 1;
}

function answered<T>(circuit: Circuit, what: string, answer: unknown, check: (answer: unknown) => T): StoreAnswer<T> {
  // A store that replies is not down, even if the reply is malformed.
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
