/**
 * Durable telemetry for every worker of a process, as an OpenTelemetry instrumentation.
 *
 * @module durable-telemetry/instrumentation
 */
export { DurableTaskInstrumentation, type DurableTaskInstrumentationConfig } from "./instrumentation.ts";
