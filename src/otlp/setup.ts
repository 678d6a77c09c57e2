import { context, metrics as metricsApi, propagation, trace, type TextMapPropagator } from "@opentelemetry/api";
import type { LogRecordProcessor } from "@opentelemetry/sdk-logs";
import type { MetricReader } from "@opentelemetry/sdk-metrics";
import type { Resource } from "@opentelemetry/resources";
import type { Sampler, SpanProcessor } from "@opentelemetry/sdk-trace";
import { isRuntimeSupported } from "../runtime.ts";
import { noteTracersAndLoggers } from "../telemetry/api-copies.ts";
import { registerLoggers, registrations, unregister } from "../telemetry/api-globals.ts";
import { startupProblems } from "../telemetry/startup-check.ts";
import { version } from "../version.ts";
import { installLogger, LossReport, messageOf, OtlpSetupError, warn } from "./diagnostics.ts";
import { DurableIdGenerator } from "./durable-id-generator.ts";
import { Deadline, settledWithin } from "../ending/deadline.ts";
import { deliverAtSignals, type Ending, whenIdle } from "../ending/process-end.ts";
import { isolatedSampler, isolatedSpanProcessor } from "./isolation.ts";
import type { OtlpOptions } from "./options.ts";
import { load } from "./packages.ts";
import { describeSettings, type Found, leftOut, readSettings, type Settings } from "./settings.ts";
import { createLogExport, createMetricExport, createTraceExport, logRecordLimits, type Shared, type SignalExport, spanLimits } from "./signals.ts";

/** What {@link setupOtlp} started. */
export interface OtlpTelemetry extends AsyncDisposable {
  /**
   * Delivers the spans that have ended, the metrics and the log records. It never rejects: what can't be delivered is
   * reported as usual. It waits no longer than exports may take (the option `timeout`), and 30 seconds at most. After
   * `shutdown()` it does nothing.
   */
  forceFlush(): Promise<void>;
  /**
   * Delivers the same, stops, and takes back what was registered with the OpenTelemetry API, so that `setupOtlp` can
   * be called again (telemetry.md K3). The signals are delivered side by side: one that hangs costs the others nothing.
   *
   * It takes `shutdownTimeout` milliseconds at most, and never rejects. Calling it again returns the same promise.
   */
  shutdown(): Promise<void>;
}

/** Where the result has its {@link Ending}, for `durable-telemetry/register`. */
const endingKey: symbol = Symbol.for("durable-telemetry.ending");

const flushTimeout = 30_000;

// Process-wide, so that an ESM and a CJS copy of this package agree.
const runningKey = Symbol.for("durable-telemetry.otlp-running");

/**
 * Sets OpenTelemetry up for this process: traces, metrics and logs to an OTLP collector as JSON over HTTP, in batches,
 * with {@link DurableIdGenerator} in place (telemetry.md I6), W3C propagation, and an `AsyncLocalStorage` context. All
 * providers are registered with the OpenTelemetry API, so the middlewares deliver with no further code. It needs SDK 3.x
 * of OpenTelemetry: `npm install @opentelemetry/sdk-node`.
 *
 * Everything has a default, and every option an environment variable, which is read at this call: the standard one of
 * OpenTelemetry where there is one (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …), else `DURABLE_TELEMETRY_…`.
 * What is given in code wins. An empty variable is an unset one; a value that makes no sense is reported and ignored.
 * Each signal can be left out: `metrics: false`, or `OTEL_METRICS_EXPORTER=none`. A signal whose provider the program
 * has registered itself is left to that; only for traces this is refused.
 *
 * A collector that is down, slow or wrong never changes what the program does (telemetry.md K1): what waits to be sent
 * is bounded, and one line a minute for each signal and cause says what is lost and how much, through the `diag` logger
 * if the program has set one, else on the console.
 *
 * A tracer that was taken from the OpenTelemetry API before `shutdown()` belongs to what was shut down; after setting
 * up again, take it anew with `trace.getTracer()`.
 *
 * @param options see {@link OtlpOptions}; all are optional.
 * @throws TypeError that names an unknown or wrong option and what is allowed.
 * @throws Error with `code` `DURABLE_TELEMETRY_OTLP_RUNNING` if it is set up already and not shut down,
 * `DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED` if the process has another tracer provider and traces are not left out,
 * or `DURABLE_TELEMETRY_SDK_MISSING` if OpenTelemetry's SDK 3.x is not installed. Nothing is started then.
 *
 * @example
 * ```ts
 * import { setupOtlp } from "durable-telemetry/otlp";
 *
 * const telemetry = setupOtlp({ serviceName: "orders", endpoint: "http://collector:4318" });
 * // … start the worker, and at the end:
 * await telemetry.shutdown();
 * ```
 *
 * @example
 * ```ts
 * await using telemetry = setupOtlp(); // all from OTEL_* variables; shuts down at the end of the block
 * ```
 */
export function setupOtlp(options: OtlpOptions = {}): OtlpTelemetry {
  if (!isRuntimeSupported()) return Object.assign(nothing, { [Symbol.asyncDispose]: nothing.shutdown });
  const read = readSettings(options);
  const { disabled, logLevel, diagnostics, shutdownTimeout, handleSigterm, handleSigint } = read.general;
  if (Reflect.has(globalThis, runningKey)) throw new OtlpSetupError("DURABLE_TELEMETRY_OTLP_RUNNING");
  const hasTraces = read.traces.exporter.value.length > 0 || read.spanProcessors.length > 0;
  if (!disabled.value && hasTraces && registrations().trace !== undefined) {
    throw new OtlpSetupError("DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED");
  }

  const shared = { deadline: new Deadline(shutdownTimeout.value), report: new LossReport() };
  const removeLogger = installLogger(logLevel.value);
  let running = nothing;
  try {
    for (const warning of read.warnings) warn(warning);
    const settings = disabled.value ? read : withoutTaken(read);
    if (diagnostics.value) console.error(describeSettings(settings));
    if (!disabled.value) running = start(settings, shared);
  } catch (error) {
    removeLogger();
    throw error;
  }
  Reflect.set(globalThis, runningKey, true);

  let ended: Promise<void> | undefined;
  const listeners: (() => void)[] = [];
  const shutdown = (): Promise<void> => {
    ended ??= running.shutdown().finally(() => {
      for (const stopListening of listeners) stopListening();
      removeLogger();
      Reflect.deleteProperty(globalThis, runningKey);
    });
    return ended;
  };
  const forceFlush = (): Promise<void> => ended ?? running.forceFlush();
  const deliver = async (): Promise<void> => void (await shared.deadline.spend(forceFlush));
  const ending: Ending = { timeout: shutdownTimeout.value, deliver, shutdown };
  const signals: NodeJS.Signals[] = [...(handleSigterm.value ? ["SIGTERM" as const] : []), ...(handleSigint.value ? ["SIGINT" as const] : [])];
  if (signals.length > 0 && !disabled.value) {
    // Where the program listens to the signal too, it works on after it.
    const deliverAndWait = (): Promise<void> => {
      listeners.push(whenIdle(shutdown));
      return deliver();
    };
    listeners.push(deliverAtSignals(signals, { ...ending, deliver: deliverAndWait }));
  }
  return Object.assign({ forceFlush, shutdown, [Symbol.asyncDispose]: shutdown }, { [endingKey]: ending });
}

/** Leaves metrics and logs to the providers that the program has registered: there can be one of each. */
function withoutTaken(settings: Settings): Settings {
  const taken = (provider: "MeterProvider" | "LoggerProvider", signal: "metrics" | "logs"): Partial<Settings> => {
    const { exporter } = settings[signal];
    const isWanted = exporter.value.length > 0 || (signal === "metrics" && settings.metricReaders.length > 0);
    if (registrations()[signal] === undefined || !isWanted) return {};
    warn(`${signal} are left to the ${provider} that is registered already; "${signal}: false" in setupOtlp's options says that this is meant`);
    return { [signal]: { ...settings[signal], exporter: leftOut(`the ${provider} of the program`) } };
  };
  const metrics = taken("MeterProvider", "metrics");
  return { ...settings, ...metrics, ...taken("LoggerProvider", "logs"), metricReaders: "metrics" in metrics ? [] : settings.metricReaders };
}

type Running = Pick<OtlpTelemetry, "forceFlush" | "shutdown">;

const nothing: Running = { forceFlush: async () => {}, shutdown: async () => {} };

/** What can be flushed, the name that lines give it, and whether its provider flushes it at shutdown. */
interface Flushable {
  readonly name: string;
  readonly byProvider?: boolean;
  forceFlush(): Promise<void>;
}

function start(settings: Settings, shared: Shared): Running {
  const { deadline, report } = shared;
  const before = registrations();
  const connectEarly = noteTracersAndLoggers();
  const exports: SignalExport<unknown>[] = [];
  const keep = <T>(made: SignalExport<T>): T => {
    exports.push(made);
    return made.part;
  };
  const providers: { shutdown(): Promise<void> }[] = [];
  const flushed: Flushable[] = [];
  let refused: boolean;
  try {
    refused = [
      startContext(settings, before),
      ...[startMetrics, startTraces, startLogs].map((startSignal) => startSignal(settings, { ...shared, resource: resourceOf(settings.general), keep, providers, flushed })),
    ].includes(false);
  } catch (error) {
    unregister(before, registrations());
    for (const each of exports) each.close();
    throw error;
  }
  connectEarly();
  const ours = registrations();
  if (refused) {
    const problems = startupProblems(["tracing", "metrics"]);
    for (const problem of problems.length === 0 ? ["the OpenTelemetry API does not take what setupOtlp registers"] : problems) {
      // The API's own logger may be of the other version too.
      console.warn(`durable-telemetry: ${problem}`);
    }
  }

  const flush = async (waiting: Set<string>, isLast: boolean): Promise<void> => {
    await Promise.all(
      flushed.map(async (each) => {
        if (isLast && each.byProvider === true) return;
        waiting.add(each.name);
        await settled(() => each.forceFlush());
        waiting.delete(each.name);
      }),
    );
  };
  return {
    forceFlush: async () => void (await settledWithin(flushTimeout, flush(new Set(), false))),
    shutdown: async () => {
      const waiting = new Set<string>();
      const isDone = await deadline.spendLast(async () => {
        // All data first: a provider stops waiting for it as soon as anything of it fails.
        await flush(waiting, true);
        waiting.add("OpenTelemetry");
        await Promise.all(providers.map((provider) => provider.shutdown().catch((error: unknown) => warn(`OpenTelemetry failed to shut down (${messageOf(error)})`))));
      });
      for (const each of exports) each.close();
      report.flush();
      const theirs = [...waiting].filter((name) => name !== "");
      if (!isDone && theirs.length > 0) warn(`shutdown did not wait longer for ${theirs.join(", ")}: what is there may be lost`);
      if (!waiting.has("OpenTelemetry")) void Promise.allSettled(providers.map((provider) => provider.shutdown()));
      unregister(before, ours);
    },
  };
}

async function settled(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch {
    // Whatever delivers has reported why it can't.
  }
}

interface Parts extends Shared {
  readonly resource: Resource;
  readonly keep: <T>(made: SignalExport<T>) => T;
  readonly providers: { shutdown(): Promise<void> }[];
  readonly flushed: Flushable[];
}

/** @returns whether the API accepts what there is to register; so do the next ones. */
function startContext({ general }: Settings, before: ReturnType<typeof registrations>): boolean {
  const propagator = propagatorOf(general.propagators.value);
  // What the program has registered stays.
  const isPropagating = before.propagation !== undefined || propagator === undefined || propagation.setGlobalPropagator(propagator);
  if (before.context !== undefined) return isPropagating;
  const { AsyncLocalStorageContextManager } = load("@opentelemetry/context-async-hooks");
  return context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()) && isPropagating;
}

function startTraces(settings: Settings, { resource, keep, providers, flushed, ...shared }: Parts): boolean {
  const { traces, general, spanProcessors } = settings;
  const processors: SpanProcessor[] = spanProcessors.map((processor, index) => isolatedSpanProcessor(processor, `spanProcessors[${index}]`, shared.report));
  flushed.push(...processors.map((processor, index) => ({ name: `spanProcessors[${index}]`, forceFlush: () => processor.forceFlush() })));
  if (processors.length + traces.exporter.value.length === 0) return true;
  const { ConsoleSpanExporter, SimpleSpanProcessor, TracerProvider } = load("@opentelemetry/sdk-trace");
  if (traces.exporter.value.includes("console")) processors.push(new SimpleSpanProcessor({ exporter: new ConsoleSpanExporter() }));
  if (traces.exporter.value.includes("otlp")) {
    const part = keep(createTraceExport(traces, shared));
    processors.push(part);
    flushed.push({ name: "", forceFlush: () => part.forceFlush() });
  }
  const sampler = samplerOf(general.sampler, general.samplerArg.value, shared);
  const provider = new TracerProvider({ resource, sampler, idGenerator: new DurableIdGenerator(), spanProcessors: processors, spanLimits: spanLimits() });
  providers.push(provider);
  return trace.setGlobalTracerProvider(provider);
}

function startMetrics({ metrics, metricReaders }: Settings, { resource, keep, providers, flushed, ...shared }: Parts): boolean {
  const readers: MetricReader[] = [...metricReaders];
  if (readers.length + metrics.exporter.value.length === 0) return true;
  const { ConsoleMetricExporter, MeterProvider, PeriodicExportingMetricReader } = load("@opentelemetry/sdk-metrics");
  const interval = metrics.exportInterval.value;
  if (metrics.exporter.value.includes("console")) {
    readers.push(new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter(), exportIntervalMillis: interval, exportTimeoutMillis: interval }));
  }
  flushed.push(...readers.map((reader, index) => ({ name: `metricReaders[${index}]`, byProvider: true, forceFlush: () => reader.forceFlush() })));
  if (metrics.exporter.value.includes("otlp")) {
    const reader = keep(createMetricExport(metrics, shared));
    readers.push(reader);
    flushed.push({ name: "", forceFlush: () => reader.forceFlush() });
  }
  const provider = new MeterProvider({ resource, readers });
  providers.push(provider);
  return metricsApi.setGlobalMeterProvider(provider);
}

function startLogs({ logs }: Settings, { resource, keep, providers, flushed, ...shared }: Parts): boolean {
  if (logs.exporter.value.length === 0) return true;
  const { ConsoleLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } = load("@opentelemetry/sdk-logs");
  const processors: LogRecordProcessor[] = [];
  if (logs.exporter.value.includes("console")) processors.push(new SimpleLogRecordProcessor({ exporter: new ConsoleLogRecordExporter() }));
  if (logs.exporter.value.includes("otlp")) processors.push(keep(createLogExport(logs, shared)));
  flushed.push(...processors.map((processor) => ({ name: "", forceFlush: () => processor.forceFlush() })));
  const provider = new LoggerProvider({ resource, processors, logRecordLimits: logRecordLimits() });
  providers.push(provider);
  return registerLoggers(provider);
}

/** What describes the service, the weakest first: what is detected, the environment, this package, code. */
function resourceOf({ resourceDetectors: { value: names }, resourceAttributes, serviceName }: Settings["general"]): Resource {
  const { defaultResource, detectResources, resourceFromAttributes, ...found } = load("@opentelemetry/resources");
  const byName = { serviceinstance: found.serviceInstanceIdDetector, process: found.processDetector, host: found.hostDetector, os: found.osDetector };
  const isAll = names.includes("all") || names.every((name) => name === "env");
  const detectors = names.includes("none") ? [] : Object.entries(byName).flatMap(([name, detector]) => (isAll || names.some((each) => each === name) ? [detector] : []));
  const from = (kind: string): Record<string, unknown> => {
    const attributes = Object.assign({}, ...resourceAttributes.toReversed().flatMap(({ source, value }) => (source.startsWith(kind) ? [value] : [])));
    return serviceName.source.startsWith(kind) ? { ...attributes, "service.name": serviceName.value } : attributes;
  };
  const ours = { "telemetry.distro.name": "durable-telemetry", "telemetry.distro.version": version };
  const given = { ...from("env"), ...ours, ...from("code") };
  return defaultResource().merge(detectResources({ detectors })).merge(resourceFromAttributes(given));
}

function samplerOf({ value }: Found<Sampler | string>, ratio: number, { report }: Shared): Sampler {
  if (typeof value !== "string") return isolatedSampler(value, report);
  const { AlwaysOffSampler, AlwaysOnSampler, ParentBasedSampler, TraceIdRatioBasedSampler } = load("@opentelemetry/sdk-trace");
  const isRatio = value.endsWith("traceidratio");
  const root = isRatio ? new TraceIdRatioBasedSampler(ratio) : value.endsWith("always_off") ? new AlwaysOffSampler() : new AlwaysOnSampler();
  return value.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}

function propagatorOf(names: readonly string[]): TextMapPropagator | undefined {
  if (names.includes("none")) return undefined;
  const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = load("@opentelemetry/core");
  const propagators = names.map((name): TextMapPropagator => {
    if (name === "tracecontext") return new W3CTraceContextPropagator();
    if (name === "baggage") return new W3CBaggagePropagator();
    const { B3InjectEncoding, B3Propagator } = load("@opentelemetry/propagator-b3");
    return new B3Propagator({ injectEncoding: name === "b3" ? B3InjectEncoding.SINGLE_HEADER : B3InjectEncoding.MULTI_HEADER });
  });
  return new CompositePropagator({ propagators });
}
