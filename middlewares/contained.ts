import { diag } from "@opentelemetry/api";

/** How long a cause of faults stays quiet after it was reported, in milliseconds. */
const quiet = 60_000;
// The causes that were reported, with the time; bounded, as error messages may be many.
const reported = new Map<string, number>();
const limit = 100;

/**
 * Runs telemetry code so that its faults stay there (telemetry.md K1): what it throws is counted, and reported through
 * `diag` once for each cause and minute, and `undefined` comes back.
 *
 * @param what what is lost, for the report.
 */
export type Contained = <T>(what: string, fn: () => T) => T | undefined;

/** Makes the function that contains the faults of the middleware of that name. */
export function containedIn(middleware: string): Contained {
  return (what, fn) => {
    try {
      return fn();
    } catch (error) {
      told(middleware, what, error);
      return undefined;
    }
  };
}

/** Contains the faults of `tracing`. */
export const contained: Contained = containedIn("tracing");

let count: (middleware: string) => void = () => undefined;
let counting = false;

/** Has `listener` called at each fault, with the name of the middleware whose fault it is; it takes the place of an earlier one. */
export function onFault(listener: (middleware: string) => void): void {
  count = listener;
}

function told(middleware: string, what: string, error: unknown): void {
  // Both run code of the user's telemetry, which may be what broke; then nobody is left to tell.
  quietly(() => {
    // A fault in counting is not counted.
    if (counting) return;
    counting = true;
    try {
      count(middleware);
    } finally {
      counting = false;
    }
  });
  quietly(() => report(what, error));
}

function quietly(tell: () => void): void {
  try {
    tell();
  } catch {
    return;
  }
}

function report(what: string, error: unknown): void {
  const cause = `${what}: ${error instanceof Error ? error.message : String(error)}`;
  const now = Date.now();
  if (now - (reported.get(cause) ?? -quiet) < quiet) return;
  if (reported.size >= limit) reported.clear();
  reported.set(cause, now);
  diag.error(`durable-telemetry: ${cause}. The workflow goes on without it.`, error);
}
