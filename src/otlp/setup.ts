import { diag } from "@opentelemetry/api";
import type { NodeSDK } from "@opentelemetry/sdk-node";
import { isRuntimeSupported } from "../runtime.ts";
import { noteTracersAndLoggers } from "../telemetry/api-copies.ts";
import { atSignal } from "./at-signal.ts";
import { exporterVariables } from "./collector.ts";
import { warn, withVisibleDiagnostics } from "./diagnostics.ts";
import { describeSettings } from "./diagnostics-report.ts";
import { DurableIdGenerator } from "./durable-id-generator.ts";
import { type Endable, Ending } from "./ending.ts";
import { withEnv } from "./environment.ts";
import { OtlpSetupError } from "./errors.ts";
import { registrations, unregister } from "../telemetry/api-globals.ts";
import { createLogExport } from "./log-export.ts";
import { createMetricExport } from "./metric-export.ts";
import type { OtlpOptions } from "./options.ts";
import { load } from "./packages.ts";
import { resourceDetectors } from "./resource.ts";
import { readSettings, type Settings } from "./settings.ts";
import { settledWithin } from "./settled-within.ts";
import type { SignalExport } from "./signal-export.ts";
import { createTraceExport } from "./trace-export.ts";
import { whenIdle } from "./when-idle.ts";

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

// The SDK takes null for this too, which its types don't say.
const noContextManager: object = { contextManager: null };

// Process-wide, so that an ESM and a CJS copy of this package agree.
const runningKey = Symbol.for("durable-telemetry.otlp-running");

/**
 * Sets OpenTelemetry up for this process: traces, metrics and logs to an OTLP collector as JSON over HTTP, in batches,
 * with {@link DurableIdGenerator} in place (telemetry.md I6), W3C propagation, and an `AsyncLocalStorage` context. All
 * providers are registered with the OpenTelemetry API, so the middlewares deliver with no further code.
 *
 * Everything has a default, and every option an environment variable, which is read at this call: the standard one of
 * OpenTelemetry where there is one (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …), else `DURABLE_TELEMETRY_…`.
 * What is given in code wins. An empty variable is an unset one; a value that makes no sense is reported and ignored.
 * Each signal can be left out: `metrics: false`, or `OTEL_METRICS_EXPORTER=none`. A signal whose provider the program
 * has registered itself is left to that; only for traces this is refused.
 *
 * A collector that is down, slow or wrong never changes what the program does (telemetry.md K1): what waits to be sent
 * is bounded, and one line a minute for each signal and cause says what is wrong, through the `diag` logger if the
 * program has set one, else on the console.
 *
 * A tracer that was taken from the OpenTelemetry API before `shutdown()` belongs to what was shut down; after setting
 * up again, take it anew with `trace.getTracer()`.
 *
 * @param options see {@link OtlpOptions}; all are optional.
 * @throws TypeError that names an unknown or wrong option and what is allowed.
 * @throws Error with `code` `DURABLE_TELEMETRY_OTLP_RUNNING` if it is set up already and not shut down, or
 * `DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED` if the process has another tracer provider and traces are not left out.
 * Nothing is started then.
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
  if (!isRuntimeSupported()) {
    const doNothing = async (): Promise<void> => {};
    return { forceFlush: doNothing, shutdown: doNothing, [Symbol.asyncDispose]: doNothing };
  }
  const read = readSettings(options);
  if (Reflect.has(globalThis, runningKey)) throw new OtlpSetupError("DURABLE_TELEMETRY_OTLP_RUNNING");
  const isDisabled = read.general.disabled.value;
  const hasTraces = read.traces.exporter.value.length > 0 || read.spanProcessors.length > 0;
  if (!isDisabled && hasTraces && registrations().trace !== undefined) {
    throw new OtlpSetupError("DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED");
  }

  const { result: running, removeLogger } = withVisibleDiagnostics(read.general.logLevel.value, () => {
    for (const warning of read.warnings) diag.warn(warning);
    const settings = isDisabled ? read : withoutTaken(read);
    if (settings.general.diagnostics.value) console.error(describeSettings(settings));
    return isDisabled ? nothing : start(settings);
  });
  Reflect.set(globalThis, runningKey, true);

  let ended: Promise<void> | undefined;
  const listeners: (() => void)[] = [];
  const shutdownWithin = (timeout: number): Promise<void> => {
    ended ??= running.shutdown(timeout).finally(() => {
      for (const stopListening of listeners) stopListening();
      removeLogger();
      Reflect.deleteProperty(globalThis, runningKey);
    });
    return ended;
  };
  const timeout = read.general.shutdownTimeout.value;
  const forceFlush = (): Promise<void> => ended ?? running.forceFlush();
  const ending = new Ending({ ...running, forceFlush, shutdown: shutdownWithin }, timeout);
  if (read.general.handleSigterm.value && !isDisabled) {
    const onSignal = (): Promise<void> => {
      listeners.push(whenIdle(() => void ending.shutdown()));
      return ending.deliver();
    };
    listeners.push(atSignal("SIGTERM", { deliver: onSignal, shutdown: () => ending.shutdown() }));
  }
  const shutdown = (): Promise<void> => shutdownWithin(timeout);
  return Object.assign(
    { forceFlush, shutdown, [Symbol.asyncDispose]: shutdown },
    { [endingKey]: ending },
  );
}

/** Leaves metrics and logs to the providers that the program has registered: there can be one of each. */
function withoutTaken(settings: Settings): Settings {
  const taken = (name: "MeterProvider" | "LoggerProvider", signal: "metrics" | "logs"): Partial<Settings> => {
    const { exporter } = settings[signal];
    const isWanted = exporter.value.length > 0 || (signal === "metrics" && settings.metricReaders.length > 0);
    if (registrations()[signal] === undefined || !isWanted) return {};
    diag.warn(`${signal} are left to the ${name} that is registered already; "${signal}: false" in setupOtlp's options says that this is meant`);
    const source = `the ${name} of the program`;
    return { [signal]: { ...settings[signal], exporter: { value: [], shown: "none", source } } };
  };
  const metrics = taken("MeterProvider", "metrics");
  const metricReaders = "metrics" in metrics ? [] : settings.metricReaders;
  return { ...settings, ...metrics, ...taken("LoggerProvider", "logs"), metricReaders };
}

const nothing: Endable = { forceFlush: async () => {}, shutdown: async () => {}, hurry: () => {}, relax: () => {} };

function start(settings: Settings): Endable {
  const before = registrations();
  const { sdk, ways } = withEnv(variablesForSdk(settings), () => startSdk(settings));
  const ours = registrations();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= sdk.shutdown());

  return {
    forceFlush: async () => {
      await settledWithin(flushTimeout, Promise.all(ways.map((way) => way.forceFlush())));
    },
    hurry: (timeout) => {
      for (const way of ways) way.hurry(timeout);
    },
    relax: () => {
      for (const way of ways) way.relax();
    },
    shutdown: async (timeout) => {
      // All data first: the SDK would stop waiting for it as soon as anything of it fails.
      let isFlushed = false;
      const flushed = Promise.all(ways.map((way) => way.flushLast(timeout))).then(() => {
        isFlushed = true;
        return stop();
      });
      const isComplete = await settledWithin(timeout, flushed);
      for (const way of ways) way.endShutdown();
      if (isFlushed && !isComplete) warn(`shutdown stopped waiting for OpenTelemetry to stop after ${Math.round(timeout)} ms; all was delivered`);
      stop().catch((error: unknown) => warn(`OpenTelemetry failed to shut down (${error instanceof Error ? error.message : String(error)})`));
      unregister(before, ours);
    },
  };
}

/** What the SDK shall see of the environment: what is settled here already it must not read, and report, once more. */
function variablesForSdk(settings: Settings): Readonly<Record<string, string | undefined>> {
  const { sampler, samplerArg, propagators } = settings.general;
  return {
    ...Object.fromEntries(settings.places.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, undefined]]))),
    OTEL_TRACES_SAMPLER: typeof sampler.value === "string" ? sampler.value : undefined,
    OTEL_TRACES_SAMPLER_ARG: String(samplerArg.value),
    OTEL_PROPAGATORS: propagators.value.join(","),
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: settings.metrics.temporality.value,
    // It would make exporters of its own where it is given no processors.
    OTEL_LOGS_EXPORTER: "none",
    ...exporterVariables("traces", settings.traces),
    ...exporterVariables("metrics", settings.metrics),
    ...exporterVariables("logs", settings.logs),
  };
}

function startSdk(settings: Settings): { readonly sdk: NodeSDK; readonly ways: readonly SignalExport[] } {
  const { NodeSDK } = load("@opentelemetry/sdk-node");
  const before = registrations();
  const connectEarly = noteTracersAndLoggers();
  const traces = createTraceExport(settings);
  const metrics = createMetricExport(settings);
  const logs = createLogExport(settings);
  const ways = [traces.way, metrics.way, logs.way];
  const sdk = new NodeSDK({
    idGenerator: new DurableIdGenerator(),
    spanProcessors: [...traces.processors],
    metricReaders: [...metrics.readers],
    ...(logs.processors.length === 0 ? {} : { logRecordProcessors: [...logs.processors] }),
    resourceDetectors: resourceDetectors(settings.general),
    ...(traces.sampler === undefined ? {} : { sampler: traces.sampler }),
    // What the program has registered stays.
    ...(before.propagation === undefined ? {} : { textMapPropagator: null }),
    ...(before.context === undefined ? {} : noContextManager),
  });
  try {
    sdk.start();
    connectEarly();
    return { sdk, ways };
  } catch (error) {
    unregister(before, registrations());
    for (const way of ways) way.abandon();
    throw error;
  }
}
