import { context, logs, metrics, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { AlwaysOffSampler, TracerProvider, type Sampler } from "@opentelemetry/sdk-trace";

/** Which providers the process has: ones whose spans are sampled, ones whose spans are not, or none. */
export type ProvidersMode = "sampled" | "not sampled" | "none";

/** Reads nothing unless asked to: measurements are aggregated, and nobody collects them. */
class IdleReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

const drop = { onStart: () => undefined, onEnd: () => undefined, onEmit: () => undefined, forceFlush: async () => undefined, shutdown: async () => undefined };

/** A tracer provider of the OpenTelemetry SDK that drops each span when it ends. */
const tracerProvider = (sampler?: Sampler): TracerProvider => new TracerProvider({ spanProcessors: [drop], ...(sampler === undefined ? {} : { sampler }) });

const tracers = { sampled: tracerProvider(), "not sampled": tracerProvider(new AlwaysOffSampler()) };
// One of each for the process: what is kept for a provider, as tracers and instruments are, is kept over all batches.
const loggers = new LoggerProvider({ processors: [drop] });
const meters = new MeterProvider({ readers: [new IdleReader()] });

let current: ProvidersMode = "none";

/** Registers the providers of `mode` globally, in place of those before. */
export function useProviders(mode: ProvidersMode): void {
  if (mode === current) return;
  for (const api of [trace, metrics, logs]) api.disable();
  if (mode !== "none") {
    trace.setGlobalTracerProvider(tracers[mode]);
    metrics.setGlobalMeterProvider(meters);
    logs.setGlobalLoggerProvider(loggers);
  }
  current = mode;
}

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
