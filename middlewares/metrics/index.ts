import { aroundWorkItem, type AnyWorkItem, type MiddlewareObject, type WorkItemMiddleware } from "../../src/pipeline/index.ts";
import { onFault } from "../../src/telemetry/isolate.ts";
import { countActive, measureActivity } from "./measure-activity.ts";
import { measureEpisode } from "./measure-episode.ts";
import { checkMetricsOptions, type MetricsOptions } from "./options.ts";
import { currentRecorder } from "./recorder.ts";
import { ATTR_MIDDLEWARE } from "./semconv.ts";

export type { MetricsOptions } from "./options.ts";

const defaultNameLimit = 200;

/**
 * Replay-aware metrics: how long orchestrations, episodes and activities take, how often they are retried, how late timers
 * fire. Each history event is recorded exactly once, by the worker whose response the backend acknowledged, and never
 * during replay. docs/metrics.md lists the instruments. The `MeterProvider` is looked up at each measurement. A fault in
 * it loses measurements, and nothing else (telemetry.md K1).
 *
 * @param options the limits of attributes.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @example
 * withDurableTelemetry(worker, { middlewares: () => [tracing(), metrics({ nameLimit: 50 })] });
 */
export function metrics(options: MetricsOptions = {}): MiddlewareObject {
  checkMetricsOptions(options);
  const { nameLimit = defaultNameLimit } = options;
  onFault(countFault);
  const middleware: WorkItemMiddleware = {
    name: "metrics",
    [aroundWorkItem]: <T>(item: AnyWorkItem, run: () => T): T => {
      if (item.kind === "orchestration") measureEpisode(item, nameLimit);
      else measureActivity(item, nameLimit);
      return run();
    },
    // The engine knows which attempt a task is of orchestrations that it runs, and those are the ones with a middleware.
    orchestration: async (ctx, next) => {
      await next(ctx);
    },
    activity: countActive(nameLimit),
  };
  return middleware;
}

// Of all built-in middlewares of the process; their names are few.
function countFault(middleware: string): void {
  currentRecorder(defaultNameLimit)?.("durabletask.middleware.errors", 1, { [ATTR_MIDDLEWARE]: middleware });
}
