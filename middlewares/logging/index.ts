import {
  WorkItemLogger,
  type MiddlewareContext,
  type MiddlewareObject,
  type WorkItem,
  type WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { LoggedActivity } from "./activity.ts";
import { LoggedEpisode } from "./episode.ts";
import { CodeContext } from "./logged-task.ts";
import { checkLoggingOptions, type LoggingOptions } from "./options.ts";
import { hasLoggerProvider } from "./write.ts";
import { TaskLogger } from "./task-logger.ts";

export type { LoggedPayloads, LoggedWaiting, LoggingOptions, PayloadContext } from "./options.ts";

/**
 * Replay-aware logging: one OpenTelemetry log record per history event (an orchestration started, was suspended,
 * finished; an activity started, finished, failed), with the trace and span IDs of its span (telemetry.md L1). It also
 * correlates what `ctx.logger` and `currentLogger()` write (L2). docs/logging.md lists the events. The `LoggerProvider`
 * is looked up for each record; without one and without `logger`, this middleware does nothing. A fault in it loses log
 * records, and nothing else (K1).
 *
 * The span IDs come from `tracing`; without it in the list there are none.
 *
 * @param options a logger that gets all records too, and the payloads to record.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @example
 * withDurableTelemetry(worker, { middlewares: () => [tracing(), logging({ logger: console }), audit] });
 */
export function logging(options: LoggingOptions = {}): MiddlewareObject {
  checkLoggingOptions(options);
  const middleware: MiddlewareObject = { name: "logging", workItem: (item) => hooksOf(item, options) };
  if (options.include?.output !== true) return middleware;
  const keep = (ctx: MiddlewareContext): void => void ctx.features.set(CodeContext, ctx);
  return {
    ...middleware,
    orchestration: (ctx, next) => {
      keep(ctx);
      return next(ctx);
    },
    activity: (ctx, next) => {
      keep(ctx);
      return next(ctx);
    },
  };
}

function hooksOf(item: WorkItem, options: LoggingOptions): WorkItemHooks | undefined {
  if (options.logger === undefined && !hasLoggerProvider()) return undefined;
  item.features.set(WorkItemLogger, new TaskLogger(item, options));
  return item.kind === "orchestration" ? new LoggedEpisode(item, options) : new LoggedActivity(item, options);
}
