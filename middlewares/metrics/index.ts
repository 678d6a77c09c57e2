import type { MiddlewareObject } from "../../src/pipeline/index.ts";
import { onFault } from "../../src/telemetry/isolate.ts";
import { ATTR_MIDDLEWARE } from "../../src/telemetry/semconv.ts";
import { MeasuredActivity } from "./activity.ts";
import { MeasuredEpisode } from "./episode.ts";
import { currentInstruments } from "./instruments.ts";
import { checkMetricsOptions, type MetricsOptions } from "./options.ts";

export type { MetricsOptions } from "./options.ts";

const defaultNameLimit = 200;

/**
 * Replay-aware metrics, through the `MeterProvider` that is registered when there is something to record: how long
 * orchestrations, episodes and activities take, how often they are retried, how late timers fire. Each history event is
 * recorded once, by the worker whose response made it one, and never while replaying. docs/metrics.md lists the
 * instruments. A fault in it costs measurements, and nothing else (telemetry.md K1).
 *
 * @param options how far attributes may spread.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @example
 * withDurableTelemetry(worker, { middlewares: () => [tracing(), metrics({ nameLimit: 50 })] });
 */
export function metrics(options: MetricsOptions = {}): MiddlewareObject {
  checkMetricsOptions(options);
  const { nameLimit = defaultNameLimit } = options;
  onFault(countFault);
  return {
    name: "metrics",
    workItem: (item) => {
      if (currentInstruments() === undefined) return undefined;
      return item.kind === "orchestration" ? new MeasuredEpisode(item, nameLimit) : new MeasuredActivity(item, nameLimit);
    },
  };
}

// Of all built-in middlewares of the process; their names are few.
function countFault(middleware: string): void {
  currentInstruments()?.record("durabletask.middleware.errors", 1, { [ATTR_MIDDLEWARE]: middleware }, defaultNameLimit);
}
