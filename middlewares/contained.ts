import { diag } from "@opentelemetry/api";

/** How long a cause of faults stays quiet after it was reported, in milliseconds. */
const quiet = 60_000;
// The causes that were reported, with the time; bounded, as error messages may be many.
const reported = new Map<string, number>();
const limit = 100;

/**
 * Runs telemetry code so that its faults stay there (telemetry.md K1): what it throws is reported through `diag`, once
 * for each cause and minute, and `undefined` comes back.
 *
 * @param what what is lost, for the report.
 */
export function contained<T>(what: string, fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    report(what, error);
    return undefined;
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
