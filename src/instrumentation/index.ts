/**
 * Durable telemetry for every worker of a process, as an OpenTelemetry instrumentation.
 *
 * @module durable-telemetry/instrumentation
 */
import { isRuntimeSupported } from "../runtime.ts";

export { DurableTaskInstrumentation, type DurableTaskInstrumentationConfig } from "./instrumentation.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
