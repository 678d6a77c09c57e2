/**
 * Durable telemetry for every worker of a process, as an OpenTelemetry instrumentation.
 *
 * @module durable-telemetry/instrumentation
 */
import { isRuntimeSupported } from "../runtime.ts";

export { DurableTaskInstrumentation, type DurableTaskInstrumentationConfig } from "./instrumentation.ts";

// Says at load that Node.js is too old, where it is.
isRuntimeSupported();
