import { aroundWorkItem, WorkItemLogger, type AnyWorkItem, type MiddlewareObject, type WorkItemMiddleware } from "../../src/pipeline/index.ts";
import { isolated } from "./faults.ts";
import { logActivity } from "./log-activity.ts";
import { logEpisode } from "./log-orchestration.ts";
import { checkLoggingOptions, type LoggingOptions } from "./options.ts";
import { TaskLog } from "./task-log.ts";
import { taskLogger } from "./task-logger.ts";

export type { LoggedPayloads, LoggingOptions, PayloadContext } from "./options.ts";

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
  const middleware: WorkItemMiddleware = {
    name: "logging",
    [aroundWorkItem]: <T>(item: AnyWorkItem, run: () => T): T => {
      item.facts.features.set(WorkItemLogger, taskLogger(item, options.logger));
      if (item.kind === "orchestration") logEpisode(item, options);
      else logActivity(item, options);
      return run();
    },
    orchestration: async (ctx, next) => {
      ctx.features.get(TaskLog)?.begin(ctx);
      await next(ctx);
    },
    activity: async (ctx, next) => {
      isolated.run("an activity was not logged", () => ctx.features.get(TaskLog)?.begin(ctx));
      await next(ctx);
    },
  };
  return middleware;
}
