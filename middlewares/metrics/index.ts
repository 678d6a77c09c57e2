import type { MiddlewareObject } from "../../src/pipeline/index.ts";
import { onFault } from "../../src/telemetry/isolate.ts";
import { ATTR_MIDDLEWARE } from "../../src/telemetry/semconv.ts";
import { MeasuredActivity } from "./activity.ts";
import { MeasuredEpisode } from "./episode.ts";
import { currentInstruments } from "./instruments.ts";
import { checkMetricsOptions, type MetricsOptions } from "./options.ts";

export type { MetricsOptions } from "./options.ts";
export {
  observeTaskHub,
  type ObservableClient,
  type ObservedInstance,
  type ObserveTaskHubOptions,
  type TaskHubObservation,
} from "./task-hub.ts";

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
  const { nameLimit = defaultNameLimit, tags } = options;
  onFault(countFault);
  return {
    name: "metrics",
    workItem: (item) => {
      if (currentInstruments() === undefined) return undefined;
      return item.kind === "orchestration"
        ? new MeasuredEpisode(item, nameLimit, tags)
        : new MeasuredActivity(item, nameLimit, tags);
    },
  };
}

// Of all built-in middlewares of the process; their names are few.
function countFault(middleware: string): void {
  currentInstruments()?.record("durabletask.middleware.errors", 1, { [ATTR_MIDDLEWARE]: middleware }, defaultNameLimit);
}
