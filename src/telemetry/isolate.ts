import { isPromise } from "node:util/types";
import { isolate } from "../pipeline/isolate.ts";
import { isThenable } from "../pipeline/thenable.ts";
import { logLoss } from "./loss-log.ts";

/**
 * Keeps the faults of one part of telemetry away from the workflow (telemetry.md K1): the call of a callback, and the
 * use of what it returned. A fault is counted in `durabletask.middleware.errors`, and logged once a minute for each
 * cause, with the number of times.
 *
 * @example
 * const isolated = new Isolation("logging");
 * const kept = isolated.call("a payload is left out", () => redact(value));
 */
export class Isolation {
  readonly #middleware: string;

  /** @param middleware the name under which faults are counted. */
  constructor(middleware: string) {
    this.#middleware = middleware;
  }

  /**
   * Runs code of this package that may throw, as it reads what others gave it. `undefined` if it threw.
   *
   * @param what what is lost, for the log.
   */
  run<T>(what: string, code: () => T): T | undefined {
    try {
      return code();
    } catch (error) {
      this.fault(what, error);
      return undefined;
    }
  }

  /**
   * Calls a function of the user's whose result is needed now. A promise is a fault, as nobody waits for it; that it
   * rejects has no further effect. `undefined` if there is no result.
   */
  call<T>(what: string, callback: () => T): T | undefined {
    return this.run(what, () => resultNow(callback()));
  }

  /** Calls a function of the user's whose result is not used. It may be asynchronous: a rejection is a fault too. */
  start(what: string, callback: () => unknown): void {
    // A fault in counting is not counted, when it comes to light later either: that would have no end.
    const isCounted = !counting;
    isolate(callback, (error) => {
      if (isCounted) this.fault(what, error);
      else quietly(() => logFault(what, error));
    });
  }

  /** Counts and logs a fault. Never throws. */
  fault(what: string, error: unknown): void {
    // Both run code of the user's that may be what broke.
    quietly(() => countOnce(this.#middleware));
    quietly(() => logFault(what, error));
  }
}

/**
 * What the callback `name` returned, where nobody can wait for it.
 *
 * @throws TypeError for a promise, or for what can be awaited like one.
 */
export function resultNow<T>(returned: T, name: string = "it"): T {
  // What it rejects with is nobody's to handle.
  if (isPromise(returned)) isolate(() => returned, ignore);
  else if (!isThenable(returned)) return returned;
  throw new TypeError(`${name} returned a promise; it must not be async`);
}

/** The message of whatever was thrown, whatever its members do. */
export function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "what was thrown can't be read";
  }
}

function ignore(): void {}

let count: (middleware: string) => void = ignore;
let counting = false;

/** Has `listener` called at each fault, with the name of the middleware whose fault it is; it takes the place of an earlier one. */
export function onFault(listener: (middleware: string) => void): void {
  count = listener;
}

function countOnce(middleware: string): void {
  // A fault in counting is not counted.
  if (counting) return;
  counting = true;
  try {
    count(middleware);
  } finally {
    counting = false;
  }
}

function quietly(code: () => void): void {
  try {
    code();
  } catch {
    return;
  }
}

function logFault(what: string, error: unknown): void {
  logLoss(`${what}: ${messageOf(error)}`, "The workflow goes on without it.");
}
