import { diag } from "@opentelemetry/api";
import { getBooleanFromEnv } from "@opentelemetry/core";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { withVisibleDiagnostics } from "./diagnostics.ts";
import { DurableIdGenerator } from "./durable-id-generator.ts";
import { textFromEnv, withEnv } from "./environment.ts";
import { OtlpSetupError } from "./errors.ts";
import { registrations, type Slot, unregister } from "./global-api.ts";
import { type CheckedOptions, checkOptions, type OtlpOptions } from "./options.ts";
import { resourceDetectors } from "./resource.ts";
import { settledWithin } from "./settled-within.ts";
import { onSigterm } from "./sigterm.ts";
import { createTraceExport, type TraceExport } from "./trace-export.ts";

/** What {@link setupOtlp} started. */
export interface OtlpTelemetry extends AsyncDisposable {
  /**
   * Delivers the spans that have ended. It never rejects: what can't be delivered is reported as usual. It waits no
   * longer than exports may take (`OTEL_EXPORTER_OTLP_TIMEOUT`), and 30 seconds at most. After `shutdown()` it does nothing.
   */
  forceFlush(): Promise<void>;
  /**
   * Delivers the spans that have ended, stops, and takes back what was registered with the OpenTelemetry API, so that
   * `setupOtlp` can be called again (telemetry.md K3).
   *
   * It takes `shutdownTimeout` milliseconds at most, and never rejects. Calling it again returns the same promise.
   */
  shutdown(): Promise<void>;
}

const flushTimeout = 30_000;

// Process-wide, so that an ESM and a CJS copy of this package agree.
const runningKey = Symbol.for("durable-telemetry.otlp-running");

/**
 * Sets OpenTelemetry up for this process: traces to an OTLP collector as JSON over HTTP, batched, with
 * {@link DurableIdGenerator} in place (telemetry.md I6), W3C propagation, and an `AsyncLocalStorage` context.
 *
 * Everything has a default and can be set with the `OTEL_*` variables, which are read at this call; what is given in
 * code wins over them, and an empty variable is an unset one. `OTEL_EXPORTER_OTLP_PROTOCOL` selects `http/json` (the
 * default), `http/protobuf` or `grpc`; `OTEL_TRACES_EXPORTER` selects `otlp` (the default), `console` or `none`;
 * `OTEL_SDK_DISABLED=true` leaves everything off. Metrics and logs are exported only if `OTEL_METRICS_EXPORTER` or
 * `OTEL_LOGS_EXPORTER` asks for it.
 *
 * A collector that is down, slow or wrong never changes what the program does (telemetry.md K1): spans wait in a
 * bounded queue (`OTEL_BSP_MAX_QUEUE_SIZE`), and one line a minute for each cause says what is wrong, through the
 * `diag` logger if the program has set one, else on the console.
 *
 * A tracer that was taken from the OpenTelemetry API before `shutdown()` belongs to what was shut down; after setting
 * up again, take it anew with `trace.getTracer()`.
 *
 * @param options see {@link OtlpOptions}; all are optional.
 * @throws TypeError that names an unknown or wrong option and what is allowed.
 * @throws Error with `code` `DURABLE_TELEMETRY_OTLP_RUNNING` if it is set up already and not shut down, or
 * `DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED` if the process has another tracer provider. Nothing is started then.
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
  const checked = checkOptions(options);
  if (Reflect.has(globalThis, runningKey)) throw new OtlpSetupError("DURABLE_TELEMETRY_OTLP_RUNNING");
  const isDisabled = getBooleanFromEnv("OTEL_SDK_DISABLED");
  if (!isDisabled && registrations().trace !== undefined) {
    throw new OtlpSetupError("DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED");
  }

  const running = isDisabled ? nothing : start(checked);
  Reflect.set(globalThis, runningKey, true);

  let ended: Promise<void> | undefined;
  let stopListening: (() => void) | undefined;
  const shutdown = (): Promise<void> => {
    ended ??= running.shutdown().finally(() => {
      stopListening?.();
      Reflect.deleteProperty(globalThis, runningKey);
    });
    return ended;
  };
  if (checked.handleSigterm && !isDisabled) stopListening = onSigterm(shutdown);
  return {
    forceFlush: () => ended ?? running.forceFlush(),
    shutdown,
    [Symbol.asyncDispose]: shutdown,
  };
}

interface Running {
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}

const nothing: Running = { forceFlush: async () => {}, shutdown: async () => {} };

function start(options: CheckedOptions): Running {
  const before = registrations();
  const { result, removeLogger } = withVisibleDiagnostics(() => {
    const traces = createTraceExport(options);
    return { traces, sdk: startSdk(options, traces) };
  });
  const { traces, sdk } = result;
  const ours = registrations();
  const started = (slot: Slot): unknown => (ours[slot] === before[slot] ? undefined : ours[slot]);
  const others = [started("metrics"), started("logs")].filter(canFlush);

  const flush = async (): Promise<void> => {
    await Promise.allSettled([traces.forceFlush(), ...others.map((provider) => provider.forceFlush())]);
  };
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= sdk.shutdown());

  return {
    forceFlush: async () => {
      await settledWithin(flushTimeout, flush());
    },
    shutdown: async () => {
      traces.beginShutdown();
      // The spans first: the SDK would stop waiting for them as soon as anything else of it fails.
      const isComplete = await settledWithin(options.shutdownTimeout, traces.forceFlush().then(stop));
      traces.endShutdown(isComplete);
      stop().catch((error: unknown) => diag.warn("durable-telemetry: OpenTelemetry failed to shut down", error));
      unregister(before, ours);
      removeLogger();
    },
  };
}

function startSdk(options: CheckedOptions, traces: TraceExport): NodeSDK {
  const environment = {
    // Unset, they would start exporters of metrics and logs.
    OTEL_METRICS_EXPORTER: textFromEnv("OTEL_METRICS_EXPORTER") ?? "none",
    OTEL_LOGS_EXPORTER: textFromEnv("OTEL_LOGS_EXPORTER") ?? "none",
    // It would replace a `diag` logger that the program has set.
    OTEL_LOG_LEVEL: undefined,
  };
  return withEnv(environment, () => {
    const before = registrations();
    const sdk = new NodeSDK({
      idGenerator: new DurableIdGenerator(),
      spanProcessors: [...traces.processors],
      resourceDetectors: resourceDetectors(options.resourceAttributes),
      ...(options.serviceName === undefined ? {} : { serviceName: options.serviceName }),
      ...(options.sampler === undefined ? {} : { sampler: options.sampler }),
      // A propagator that the program has registered stays.
      ...(before.propagation === undefined ? {} : { textMapPropagator: null }),
    });
    try {
      sdk.start();
      return sdk;
    } catch (error) {
      unregister(before, registrations());
      traces.endShutdown(true);
      throw error;
    }
  });
}

interface Flushable {
  forceFlush(): Promise<void>;
}

function canFlush(provider: unknown): provider is Flushable {
  return typeof provider === "object" && provider !== null && "forceFlush" in provider && typeof provider.forceFlush === "function";
}
