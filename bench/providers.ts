import { getTracer as sdkTracer } from "@microsoft/durabletask-js/dist/tracing/trace-helper.js";
import {
  context,
  logs,
  metrics,
  ProxyTracerProvider,
  trace,
  type LoggerProvider as Loggers,
  type MeterProvider as Meters,
  type TracerProvider as Tracers,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { AlwaysOffSampler, TracerProvider } from "@opentelemetry/sdk-trace";

/** The providers of a process; those that it does not have are left out. */
export interface Providers {
  readonly tracers?: Tracers;
  readonly meters?: Meters;
  readonly loggers?: Loggers;
}

/** Collects nothing: measurements are aggregated, and that is all. */
class IdleReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

const nothing = (): undefined => undefined;
const drop = {
  onStart: nothing,
  onEnd: nothing,
  onEmit: nothing,
  forceFlush: async () => undefined,
  shutdown: async () => undefined,
};
const logged = {
  meters: new MeterProvider({ readers: [new IdleReader()] }),
  loggers: new LoggerProvider({ processors: [drop] }),
};

/** Providers of the OpenTelemetry SDK that drop each span and log record at its end, with every trace sampled. */
export const sampled: Required<Providers> = { ...logged, tracers: new TracerProvider({ spanProcessors: [drop] }) };

/** The same, with no trace sampled. */
export const notSampled: Required<Providers> = {
  ...logged,
  tracers: new TracerProvider({ spanProcessors: [drop], sampler: new AlwaysOffSampler() }),
};

/** A tracer provider alone, with no trace sampled: nothing is recorded. */
export const notSampledAlone: Providers = { tracers: notSampled.tracers };

const noTracers = new ProxyTracerProvider().getDelegate();
let current: Providers | undefined;

/** Registers providers globally in place of those before; without any, the process has none. */
export function useProviders(providers?: Providers): void {
  if (providers === current) return;
  for (const api of [trace, metrics, logs]) api.disable();
  if (providers?.tracers !== undefined) trace.setGlobalTracerProvider(providers.tracers);
  if (providers?.meters !== undefined) metrics.setGlobalMeterProvider(providers.meters);
  if (providers?.loggers !== undefined) logs.setGlobalLoggerProvider(providers.loggers);
  current = providers;
}

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

// The Durable Task SDK keeps the first tracer that it gets, so it gets one that follows the current providers.
trace.setGlobalTracerProvider({
  getTracer: (...scope) => ({
    startSpan: (...args) => (current?.tracers ?? noTracers).getTracer(...scope).startSpan(...args),
    startActiveSpan: () => {
      throw new Error("The Durable Task SDK does not call this.");
    },
  }),
});
sdkTracer()?.startSpan("first").end();
trace.disable();
