import { context, metrics, propagation, trace } from "@opentelemetry/api";
import { noteTracersAndLoggers } from "../../telemetry/api-copies.ts";
import { registerLoggers, registrations, unregister, type Slot } from "../../telemetry/api-globals.ts";
import { AsyncContextManager } from "./context-manager.ts";
import { TelemetryRecorderError } from "./errors.ts";
import { forwardingTracers } from "./forwarding-tracers.ts";
import { checkOptions, type TelemetryRecorderOptions } from "./options.ts";
import { w3cPropagator } from "./propagators.ts";
import { recordingLoggers } from "./recorded-logs.ts";
import { Recorder } from "./recorder.ts";
import { currentRecording, setRecording } from "./recording.ts";
import { recordingMeters } from "./recording-meters.ts";
import type { TelemetryRecorder } from "./telemetry-recorder.ts";

/**
 * Collects the spans, metrics and logs of this process, in a test: registers a tracer provider (whose spans get their
 * durable identity, telemetry.md I6), a meter provider and a logger provider with the OpenTelemetry API and with
 * `@opentelemetry/api-logs`, and a context manager and the W3C propagators if there are none. It needs no SDK.
 * `shutdown()`, or `await using`, unregisters all of it, and the next test can create another recorder. Tracers, loggers
 * and instruments from one recorder's providers continue with the next one.
 *
 * @param options see {@link TelemetryRecorderOptions}; all are optional.
 * @throws TypeError that names an unknown or wrong option and what is allowed.
 * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_RECORDER_RUNNING` if another recorder is not shut
 * down, `DURABLE_TELEMETRY_PROVIDER_REGISTERED` if the process has another provider, or
 * `DURABLE_TELEMETRY_API_REFUSED` if it has another version of the OpenTelemetry API. Nothing is registered then.
 *
 * @example
 * ```ts
 * import { createTelemetryRecorder } from "durable-telemetry/testing";
 *
 * await using recorder = createTelemetryRecorder();
 * // … run an orchestration, then:
 * const traceId = await recorder.waitForTrace("orchestration:order");
 * recorder.assertWhole(traceId);
 * assert.equal(recorder.spans("activity:charge").length, 2);
 * ```
 */
export function createTelemetryRecorder(options: TelemetryRecorderOptions = {}): TelemetryRecorder {
  const checked = checkOptions(options);
  const running = currentRecording();
  if (running !== undefined) {
    throw new TelemetryRecorderError(
      "DURABLE_TELEMETRY_RECORDER_RUNNING",
      "createTelemetryRecorder: another recorder is there. Call and await its shutdown() first, at the end of each test, " +
        "or declare it with `await using`. The error's cause has the stack of its creation.",
      { cause: running.created },
    );
  }
  const before = registrations();
  const taken = providers.filter((slot) => before[slot] !== undefined);
  if (taken.length > 0) {
    const names = [...new Set(taken.map((slot) => providerNames[slot]))].join(" and a ");
    throw new TelemetryRecorderError(
      "DURABLE_TELEMETRY_PROVIDER_REGISTERED",
      `createTelemetryRecorder: this process has a ${names} registered, so not everything would come here. Leave that ` +
        `set-up out of the test, or shut it down first (and call ${taken.map((slot) => disabling[slot]).join(", ")}).`,
    );
  }

  const recorder = new Recorder(checked, () => {
    unregister(before, ours);
    setRecording(undefined);
  });
  const serveEarlyOnes = noteTracersAndLoggers();
  setRecording(recorder.recording);
  const registered = [
    trace.setGlobalTracerProvider(forwardingTracers),
    metrics.setGlobalMeterProvider(recordingMeters()),
    registerLoggers(recordingLoggers),
  ];
  serveEarlyOnes();
  if (before.context === undefined) context.setGlobalContextManager(new AsyncContextManager());
  if (before.propagation === undefined) propagation.setGlobalPropagator(w3cPropagator);
  const ours = registrations();
  if (registered.includes(false)) {
    void recorder.shutdown();
    throw new TelemetryRecorderError(
      "DURABLE_TELEMETRY_API_REFUSED",
      `createTelemetryRecorder: the OpenTelemetry API took no provider, since version ${String(Reflect.get(ours, "version"))} of it was there first. ` +
        "Have one version of @opentelemetry/api only; `npm ls @opentelemetry/api` says which package brings another.",
    );
  }
  return recorder;
}

const providers = ["trace", "metrics", "logs", "apiLogs"] as const satisfies readonly Slot[];
const providerNames = {
  trace: "TracerProvider",
  metrics: "MeterProvider",
  logs: "LoggerProvider",
  apiLogs: "LoggerProvider",
};
const disabling = {
  trace: "trace.disable()",
  metrics: "metrics.disable()",
  logs: "logs.disable()",
  apiLogs: "logs.disable() of @opentelemetry/api-logs",
};
