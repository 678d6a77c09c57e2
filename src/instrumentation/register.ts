/**
 * Telemetry for an application that knows nothing of it: sets OpenTelemetry up from the `OTEL_*` variables, as
 * `setupOtlp` does, and instruments every worker, as `DurableTaskInstrumentation` does. What was recorded is
 * delivered before the process ends.
 *
 * A fault in it is reported and never stops the application (telemetry.md K1). `OTEL_SDK_DISABLED=true` leaves
 * everything as it is, and so does a Node.js that is older than 22.15, with one line that says so.
 *
 * @example
 * ```sh
 * node --import durable-telemetry/register app.js
 * ```
 *
 * @module durable-telemetry/register
 */
import { createRequire } from "node:module";
import type { Ending } from "../ending/process-end.ts";
import { deliverAtTheEnd } from "./at-the-end.ts";

// Loaded here and not by import, so that what is missing can't stop the application.
const require = createRequire(import.meta.url);

// Process-wide: both copies of this file may be named on the command line.
const registered = Symbol.for("durable-telemetry.registered");

// All copies of OpenTelemetry's API 1.x in a process share this object.
const api = Symbol.for("opentelemetry.js.api.1");

// Where setupOtlp's result has what knows how much time is left.
const ending = Symbol.for("durable-telemetry.ending");

function setUpOtlp(): void {
  const { trace } = (Reflect.get(globalThis, api) ?? {}) as { readonly trace?: unknown };
  if (trace !== undefined) {
    // Nothing of it is loaded then, which other instrumentation might still wait for.
    const { diag } = require("@opentelemetry/api") as typeof import("@opentelemetry/api");
    diag.info("durable-telemetry/register: OpenTelemetry is set up already and stays as it is; only workers are instrumented.");
    return;
  }
  const { setupOtlp } = require("durable-telemetry/otlp") as typeof import("../otlp/index.ts");
  deliverAtTheEnd(Reflect.get(setupOtlp(), ending) as Ending);
}

function instrumentWorkers(): void {
  const { DurableTaskInstrumentation } = require("durable-telemetry/instrumentation") as typeof import("./index.ts");
  // It is enabled by that, and kept by the classes that it patches.
  void new DurableTaskInstrumentation();
}

function attempt(task: string, step: () => void): void {
  try {
    step();
  } catch (error) {
    // One that names the way out needs no stack.
    const shown: unknown = error instanceof Error && String(Reflect.get(error, "code")).startsWith("DURABLE_TELEMETRY_") ? error.message : error;
    console.warn(`durable-telemetry/register: cannot ${task}; the application runs on without it.`, shown);
  }
}

/** Why this runtime can't do what this file is for, if it can't. */
function unfit(): string | undefined {
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 15)) return undefined;
  return `Node.js ${node} is too old, 22.15 or later is needed; the application runs on without telemetry.`;
}

const isDisabled = process.env["OTEL_SDK_DISABLED"]?.trim().toLowerCase() === "true";

if (!isDisabled && !Reflect.has(globalThis, registered)) {
  Reflect.set(globalThis, registered, true);
  const problem = unfit();
  if (problem === undefined) {
    attempt("set up OpenTelemetry", setUpOtlp);
    attempt("instrument workers", instrumentWorkers);
  } else console.warn(`durable-telemetry/register: ${problem}`);
  if ("bun" in process.versions) {
    console.warn(
      "durable-telemetry/register: no worker is instrumented, since Bun does not say which modules it loads. Decorate workers in code, " +
        "with withDurableTelemetry() of \"durable-telemetry\".",
    );
  }
}
