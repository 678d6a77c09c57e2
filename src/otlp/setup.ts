import { context, metrics, propagation, trace, type TextMapPropagator } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import { Deadline, settledWithin } from "../ending/deadline.ts";
import { deliverAtSignals, type Ending, whenIdle } from "../ending/process-end.ts";
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
  const deliver = async (): Promise<void> => void (await deadline.spend(forceFlush));
  const ending: Ending = { timeout: shutdownTimeout, deliver, shutdown };
  const signals: NodeJS.Signals[] = [...(handleSigterm ? ["SIGTERM" as const] : []), ...(handleSigint ? ["SIGINT" as const] : [])];
  if (signals.length > 0 && !disabled) {
    // Where the program listens to the signal too, it works on after it.
    const deliverAndWait = (): Promise<void> => {
      listeners.push(whenIdle(shutdown));
      return deliver();
    };
    listeners.push(deliverAtSignals(signals, { ...ending, deliver: deliverAndWait }));
  }
  return Object.assign({ forceFlush, shutdown, [Symbol.asyncDispose]: shutdown }, { [endingKey]: ending });
}

type Running = Pick<OtlpTelemetry, "forceFlush" | "shutdown">;

const nothing: Running = { forceFlush: async () => {}, shutdown: async () => {} };

function start(settings: Settings, deadline: Deadline): Running {
  const before = registrations();
  const connectEarly = noteTracersAndLoggers();
  const resource = resourceOf(settings);
  const shared: Shared = { deadline, report: new LossReport(), ready: resource.waitForAsyncAttributes?.(), closing: [] };
  const close = (): void => {
    for (const each of shared.closing) each.close();
    unregister(before, ours);
  };
  let ours = before;
  const providers: Running[] = [];
  const add = <T extends Running>(signal: Signal, create: (...args: [Settings, Resource, Shared]) => T, register: (made: T) => boolean): boolean => {
    if (settings[signal].exporter.length === 0) return true;
    const made = create(settings, resource, shared);
    providers.push(made);
    return register(made);
  };
  try {
    const isAccepted = [
      startContext(settings, before),
      add("metrics", createMeterProvider, (made) => metrics.setGlobalMeterProvider(made)),
      add("traces", createTracerProvider, (made) => trace.setGlobalTracerProvider(made)),
      add("logs", createLoggerProvider, registerLoggers),
    ];
    ours = registrations();
    if (isAccepted.includes(false)) sayWhyRefused();
  } catch (error) {
    ours = registrations();
    close();
    throw error;
  }
  connectEarly();
  const all = (method: keyof Running): Promise<unknown> => {
    // What an episode with very many spans still has to emit belongs to the flush.
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

function sayWhyRefused(): void {
  const problems = startupProblems(["tracing", "metrics"]);
  for (const problem of problems.length === 0 ? ["the OpenTelemetry API does not take what setupOtlp registers"] : problems) {
    // The API's own logger may be of the other version too.
    console.warn(`durable-telemetry: ${problem}`);
  }
}

/** @returns whether the API accepts what there is to register. */
function startContext({ propagators }: Settings, before: Registrations): boolean {
  const propagator = propagatorOf(propagators);
  // What the program has registered stays.
  const isPropagating = before.propagation !== undefined || propagator === undefined || propagation.setGlobalPropagator(propagator);
  if (before.context !== undefined) return isPropagating;
  const { AsyncLocalStorageContextManager } = load("@opentelemetry/context-async-hooks");
  return context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()) && isPropagating;
}

/** What describes the service: what is detected, and, stronger, what the settings say. */
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
  const detectors = [...new Set(Object.entries(byName).flatMap(([name, detector]) => (isDetected(name) ? [detector] : [])))];
  return defaultResource().merge(detectResources({ detectors })).merge(resourceFromAttributes({ ...resourceAttributes }));
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
