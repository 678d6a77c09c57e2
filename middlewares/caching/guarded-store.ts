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
    let answer: unknown;
    let isLater: boolean;
    try {
      answer = operation();
      // Looks at the answer, which may throw.
      isLater = isPromiseLike(answer);
    } catch (error) {
      return failed(circuit, what, error);
    }
    return isLater ? this.#settled(circuit, what, answer, check) : answered(circuit, what, answer, check);
  }

  #settled<T>(circuit: Circuit, what: string, answer: unknown, check: (answer: unknown) => T): Promise<StoreAnswer<T>> {
    const { underWay } = circuit;
    underWay.count += 1;
    const { promise, resolve } = Promise.withResolvers<StoreAnswer<T>>();
    let open = true;
    // What comes after the first is ignored: the activity has gone on.
    const once = (make: () => StoreAnswer<T>): void => {
      if (!open) return;
      open = false;
      callOff();
      resolve(make());
    };
    const callOff = this.#runtime.after(this.#timeout, true, () =>
      once(() => failed(circuit, what, new Error(`no answer within ${this.#timeout} ms`))),
    );
    const settle = (make: () => StoreAnswer<T>): void => {
      underWay.count -= 1;
      once(make);
    };
    // Adopted, as the `then` of a foreign thenable may throw.
    void Promise.resolve(answer).then(
      (value) => settle(() => answered(circuit, what, value, check)),
      (error: unknown) => settle(() => failed(circuit, what, error)),
    );
    return promise;
  }
}

function answered<T>(circuit: Circuit, what: string, answer: unknown, check: (answer: unknown) => T): StoreAnswer<T> {
  // It answers, be it rubbish: there is no reason to leave it alone.
  circuit.succeeded();
  try {
    return { ok: true, value: check(answer) };
  } catch (error) {
    report(`the activity cache's store failed to ${what}`, error);
    return { ok: false, down: false };
  }
}

function failed(circuit: Circuit, what: string, error: unknown): StoreAnswer<never> {
  circuit.failed();
  report(`the activity cache's store failed to ${what}`, error);
  return down;
}
