/**
 * Instruments an application without changing its code: sets up OpenTelemetry from the `OTEL_*` variables, like
 * `setupOtlp`, and instruments every worker, like `DurableTaskInstrumentation`. Recorded telemetry is exported before
 * the process ends.
 *
 * A fault in it is reported and never stops the application (telemetry.md K1). `OTEL_SDK_DISABLED=true` turns it off.
 *
 * @example
 * ```sh
 * node --import durable-telemetry/register app.js
 * ```
 *
 * @module durable-telemetry/register
 */
import type { DiagLogger } from "@opentelemetry/api";
import type { Ending } from "../ending/process-end.ts";
import { isRuntimeSupported } from "../runtime.ts";
import { flushAtTheEnd } from "./at-the-end.ts";
// Loaded when needed, so that what is missing can't stop the application.
import { instrumentation, otlp } from "./lazy.cjs";

// Process-wide: both copies of this file may be named on the command line.
const registered = Symbol.for("durable-telemetry.registered");

// All copies of OpenTelemetry's API 1.x in a process share this object.
const api = Symbol.for("opentelemetry.js.api.1");

// Where setupOtlp's result has what knows how much time is left.
const ending = Symbol.for("durable-telemetry.ending");

function setUpOtlp(): void {
  const { trace, diag } = (Reflect.get(globalThis, api) ?? {}) as {
    readonly trace?: unknown;
    readonly diag?: DiagLogger;
  };
  if (trace !== undefined) {
    diag?.info(
      "durable-telemetry/register: OpenTelemetry is set up already and stays as it is; only workers are instrumented.",
    );
    return;
  }
  flushAtTheEnd(Reflect.get(otlp().setupOtlp(), ending) as Ending);
}

function instrumentWorkers(): void {
  const { DurableTaskInstrumentation } = instrumentation();
  // It is enabled by that, and kept by the classes that it patches.
  void new DurableTaskInstrumentation();
}

function attempt(task: string, step: () => void): void {
  try {
    step();
  } catch (error) {
    // One that names the way out needs no stack.
    const shown: unknown =
      error instanceof Error && String(Reflect.get(error, "code")).startsWith("DURABLE_TELEMETRY_")
        ? error.message
        : error;
    console.warn(`durable-telemetry/register: cannot ${task}; the application runs on without it.`, shown);
  }
}

const isDisabled = process.env["OTEL_SDK_DISABLED"]?.trim().toLowerCase() === "true";

if (!isDisabled && isRuntimeSupported() && !Reflect.has(globalThis, registered)) {
  Reflect.set(globalThis, registered, true);
  attempt("set up OpenTelemetry", setUpOtlp);
  attempt("instrument workers", instrumentWorkers);
  if ("bun" in process.versions) {
    console.warn(
      "durable-telemetry/register: no worker is instrumented, since Bun does not say which modules it loads. Decorate workers in code, " +
        'with withDurableTelemetry() of "durable-telemetry".',
    );
  }
}
