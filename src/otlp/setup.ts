import { context, metrics, propagation, trace, type TextMapPropagator } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import { Deadline, settledWithin } from "../ending/deadline.ts";
import { flushAtSignals, type Ending, whenIdle } from "../ending/process-end.ts";
import { isRuntimeSupported } from "../runtime.ts";
import { finishSlices } from "../telemetry/slices.ts";
import { noteTracersAndLoggers } from "../telemetry/api-copies.ts";
import { registerLoggers, type Registrations, registrations, unregister } from "../telemetry/api-globals.ts";
import { startupProblems } from "../telemetry/startup-check.ts";
import { installLogger, LossReport, OtlpSetupError, warn } from "./diagnostics.ts";
import type { Shared } from "./exporter.ts";
import type { OtlpOptions } from "./options.ts";
import { load } from "./packages.ts";
import { readSettings, type Settings, type Signal } from "./settings.ts";
import { createLoggerProvider, createMeterProvider, createTracerProvider } from "./signals.ts";

/** The telemetry that {@link setupOtlp} started. */
export interface OtlpTelemetry extends AsyncDisposable {
  /**
   * Exports the spans that have ended, the metrics and the log records. It never rejects: failures are reported as usual. It
   * waits as long as exports may take (the option `timeout`), and at most 30 seconds. After `shutdown()` it does nothing.
   */
  forceFlush(): Promise<void>;
  /**
   * Exports the same, stops, and unregisters the providers from the OpenTelemetry API, so that `setupOtlp` can be called
   * again (telemetry.md K3). The signals are exported in parallel: one that hangs does not delay the others.
   *
   * It takes at most `shutdownTimeout` milliseconds, and never rejects. Calling it again returns the same promise.
   */
  shutdown(): Promise<void>;
}

/** The key of the result's {@link Ending}, for `durable-telemetry/register`. */
const endingKey: symbol = Symbol.for("durable-telemetry.ending");

const flushTimeout = 30_000;

// Process-wide, so that an ESM and a CJS copy of this package agree.
const runningKey = Symbol.for("durable-telemetry.otlp-running");

/**
 * Sets OpenTelemetry up for this process: traces, metrics and logs to an OTLP collector as JSON over HTTP, in batches,
 * with {@link DurableIdGenerator} in place (telemetry.md I6), W3C propagation, and an `AsyncLocalStorage` context. All
 * providers are registered with the OpenTelemetry API, where the middlewares find them. It needs OpenTelemetry SDK 3.x:
 * `npm install @opentelemetry/sdk-node`.
 *
 * Every option has a default and an environment variable, which is read at this call: OpenTelemetry's standard variable if
 * there is one (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …), otherwise `DURABLE_TELEMETRY_…`. Options override
 * variables. An empty variable is unset; an invalid value is reported and ignored. Each signal can be turned off:
 * `metrics: false`, or `OTEL_METRICS_EXPORTER=none`. If the program has registered a meter or logger provider itself, that
 * one is used; another tracer provider is an error.
 *
 * A collector that is down, slow or faulty never changes what the program does (telemetry.md K1). Queues are limited, and
 * one line per minute, signal and cause reports how much is lost: through the `diag` logger if the program has set one,
 * otherwise on the console.
 *
 * A tracer that was obtained before `shutdown()` stays shut down. After another set-up, get a new one with
 * `trace.getTracer()`.
 *
 * @param options see {@link OtlpOptions}; all are optional.
 * @throws TypeError for an unknown or invalid option; it names the option and what is allowed.
 * @throws Error with the `code` `DURABLE_TELEMETRY_OTLP_RUNNING` if it is already set up and not shut down,
 * `DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED` if the process has another tracer provider and traces are not turned off,
 * or `DURABLE_TELEMETRY_SDK_MISSING` if OpenTelemetry SDK 3.x is not installed. Nothing is started then.
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
  if (!isRuntimeSupported()) return { ...nothing, [Symbol.asyncDispose]: nothing.shutdown };
  const settings = readSettings(options);
  const { disabled, shutdownTimeout, handleSigterm, handleSigint } = settings;
  if (Reflect.has(globalThis, runningKey)) throw new OtlpSetupError("DURABLE_TELEMETRY_OTLP_RUNNING");
  if (!disabled && settings.traces.exporter.length > 0 && registrations().trace !== undefined) {
    throw new OtlpSetupError("DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED");
  }

  const deadline = new Deadline(shutdownTimeout);
  const removeLogger = installLogger(settings.logLevel);
  let running = nothing;
  try {
    for (const warning of settings.warnings) warn(warning);
    if (settings.diagnostics) console.error(settings.description);
    if (!disabled) running = start(settings, deadline);
  } catch (error) {
    removeLogger();
    throw error;
  }
  Reflect.set(globalThis, runningKey, true);

  let ended: Promise<void> | undefined;
  const listeners = [removeLogger, () => void Reflect.deleteProperty(globalThis, runningKey)];
  const shutdown = (): Promise<void> => {
    ended ??= running.shutdown().finally(() => {
      for (const takeBack of listeners) takeBack();
    });
    return ended;
  };
  const forceFlush = (): Promise<void> => ended ?? running.forceFlush();
  const flush = async (): Promise<void> => void (await deadline.spend(forceFlush));
  const ending: Ending = { timeout: shutdownTimeout, flush, shutdown };
  const signals: NodeJS.Signals[] = [
    ...(handleSigterm ? ["SIGTERM" as const] : []),
    ...(handleSigint ? ["SIGINT" as const] : []),
  ];
  if (signals.length > 0 && !disabled) {
    // If the program listens to the signal too, it continues to work.
    const flushAndWait = (): Promise<void> => {
      listeners.push(whenIdle(shutdown));
      return flush();
    };
    listeners.push(flushAtSignals(signals, { ...ending, flush: flushAndWait }));
  }
  return Object.assign({ forceFlush, shutdown, [Symbol.asyncDispose]: shutdown }, { [endingKey]: ending });
}

type Running = Pick<OtlpTelemetry, "forceFlush" | "shutdown">;

const nothing: Running = { forceFlush: async () => {}, shutdown: async () => {} };

function start(settings: Settings, deadline: Deadline): Running {
  const before = registrations();
  const connectEarly = noteTracersAndLoggers();
  const resource = resourceOf(settings);
  const shared: Shared = {
    deadline,
    report: new LossReport(),
    ready: resource.waitForAsyncAttributes?.(),
    closing: [],
  };
  const close = (): void => {
    for (const each of shared.closing) each.close();
    unregister(before, ours);
  };
  let ours = before;
  const providers: Running[] = [];
  const add = <T extends Running>(
    signal: Signal,
    create: (...args: [Settings, Resource, Shared]) => T,
    register: (provider: T) => boolean,
  ): boolean => {
    if (settings[signal].exporter.length === 0) return true;
    const provider = create(settings, resource, shared);
    providers.push(provider);
    return register(provider);
  };
  try {
    const isAccepted = [
      startContext(settings, before),
      add("metrics", createMeterProvider, (provider) => metrics.setGlobalMeterProvider(provider)),
      add("traces", createTracerProvider, (provider) => trace.setGlobalTracerProvider(provider)),
      add("logs", createLoggerProvider, registerLoggers),
    ];
    ours = registrations();
    if (isAccepted.includes(false)) reportRefused();
  } catch (error) {
    ours = registrations();
    close();
    throw error;
  }
  connectEarly();
  const all = (method: keyof Running): Promise<unknown> => {
    // Finish the spans that a large episode has not emitted yet.
    finishSlices();
    return Promise.allSettled(providers.map((provider) => provider[method]()));
  };
  return {
    forceFlush: async () => void (await settledWithin(flushTimeout, all("forceFlush"))),
    shutdown: async () => {
      await deadline.spendLast(() => all("shutdown"));
      close();
      shared.report.flush();
    },
  };
}

function reportRefused(): void {
  const problems = startupProblems(["tracing", "metrics"]);
  for (const problem of problems.length === 0
    ? ["the OpenTelemetry API does not accept the providers of setupOtlp"]
    : problems) {
    // Not through `diag`: that may be the other version's too.
    console.warn(`durable-telemetry: ${problem}`);
  }
}

/** @returns whether the API accepts the propagator and the context manager. */
function startContext({ propagators }: Settings, before: Registrations): boolean {
  const propagator = propagatorOf(propagators);
  // Keep what the program has registered.
  const isPropagating =
    before.propagation !== undefined || propagator === undefined || propagation.setGlobalPropagator(propagator);
  if (before.context !== undefined) return isPropagating;
  const { AsyncLocalStorageContextManager } = load("@opentelemetry/context-async-hooks");
  return context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()) && isPropagating;
}

/** The resource: detected attributes, overridden by those of the settings. */
function resourceOf({ resourceDetectors: names, resourceAttributes }: Settings): Resource {
  const { defaultResource, detectResources, resourceFromAttributes, ...found } = load("@opentelemetry/resources");
  // The names of SDK 3.x (`service`, and `host` with the operating system), and those of SDK 2.x.
  const { hostDetector, osDetector, processDetector, serviceInstanceIdDetector } = found;
  const byName = {
    service: serviceInstanceIdDetector,
    serviceinstance: serviceInstanceIdDetector,
    process: processDetector,
    host: hostDetector,
    os: osDetector,
  };
  const isAll = names.includes("all") || names.every((name) => name === "env");
  const asked = new Set<string>([...names, ...(names.includes("host") ? ["os"] : [])]);
  const isDetected = (name: string): boolean => (isAll || asked.has(name)) && !asked.has("none");
  const detectors = [
    ...new Set(Object.entries(byName).flatMap(([name, detector]) => (isDetected(name) ? [detector] : []))),
  ];
  return defaultResource()
    .merge(detectResources({ detectors }))
    .merge(resourceFromAttributes({ ...resourceAttributes }));
}

function propagatorOf(names: readonly string[]): TextMapPropagator | undefined {
  if (names.includes("none")) return undefined;
  const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = load("@opentelemetry/core");
  const propagators = names.map((name): TextMapPropagator => {
    if (name === "tracecontext") return new W3CTraceContextPropagator();
    if (name === "baggage") return new W3CBaggagePropagator();
    const { B3InjectEncoding, B3Propagator } = load("@opentelemetry/propagator-b3");
    return new B3Propagator({
      injectEncoding: name === "b3" ? B3InjectEncoding.SINGLE_HEADER : B3InjectEncoding.MULTI_HEADER,
    });
  });
  return new CompositePropagator({ propagators });
}
