import { AsyncLocalStorage } from "node:async_hooks";
import { diag } from "@opentelemetry/api";
import { currentWorkItem } from "../pipeline/current-work-item.ts";
import { isolate } from "../pipeline/isolate.ts";
import { registered } from "./api-globals.ts";
import { cut } from "./value-limits.ts";

/** How long a cause is not logged again, in milliseconds. */
const quiet = 60_000;
/** How many causes are counted separately at a time, as error messages may be many; the others share a line. */
const mostCauses = 100;
const longestCause = { size: 512, unit: "characters" } as const;
/** How often each cause came since it was logged. */
const causes = new Map<string, number>();
// A timer keeps the async context that it starts in: in a work item's, that would be its input, history and results.
const outsideWorkItems = AsyncLocalStorage.snapshot();

/**
 * Logs that telemetry was lost (telemetry.md K5): at once, and then once a minute for each cause, with the number of times, for as
 * long as it goes on. The line goes to the logger of the worker whose work item runs, and to `diag`; to the console if
 * there is neither.
 *
 * @param loss what was lost, and why.
 * @param consequence what that means to the user; a sentence.
 */
export function logLoss(loss: string, consequence?: string): void {
  const message = cut(loss, longestCause);
  const cause = causes.size < mostCauses || causes.has(message) ? message : "other faults";
  const times = causes.get(cause);
  causes.set(cause, times === undefined ? 0 : times + 1);
  if (times !== undefined) return;
  const logger = currentWorkItem()?.logger;
  write(logger, message, consequence);
  logMore(cause, logger, consequence);
}

// Once a minute for as long as it goes on.
function logMore(cause: string, logger: Warns | undefined, consequence: string | undefined): void {
  const log = (): void => {
    const times = causes.get(cause) ?? 0;
    causes.delete(cause);
    if (times === 0) return;
    causes.set(cause, 0);
    write(logger, `${cause} (${times} more within a minute)`, consequence);
    logMore(cause, logger, consequence);
  };
  outsideWorkItems(() => void setTimeout(log, quiet).unref());
}

/** What the log of a worker needs of its logger. */
interface Warns {
  warn(message: string): unknown;
}

// Where users look: few of them have given `diag` a logger.
function write(logger: Warns | undefined, message: string, consequence: string | undefined): void {
  const line = `durable-telemetry: ${message}.${consequence === undefined ? "" : ` ${consequence}`}`;
  // A logger that fails has lost the line, and nothing else.
  isolate(() => diag.error(line), ignore);
  if (logger !== undefined) isolate(() => logger.warn(line), ignore);
  else if (registered("diag") === undefined) isolate(() => console.warn(line), ignore);
}

function ignore(): void {}
