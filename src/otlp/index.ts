/**
 * OpenTelemetry for a durable worker: the OTLP set-up, and the ID generator for those who have a set-up of their own.
 * The only part of this package that loads an OpenTelemetry SDK.
 *
 * @module durable-telemetry/otlp
 */
import { isRuntimeSupported } from "../runtime.ts";

export { DurableIdGenerator, type SpanIdGenerator } from "./durable-id-generator.ts";
export type {
  OtlpBatchOptions,
  OtlpExporterName,
  OtlpExportOptions,
  OtlpMetricOptions,
  OtlpOptions,
  OtlpProtocol,
  OtlpSignalOptions,
  PropagatorName,
  ResourceDetectorName,
} from "./options.ts";
export type { ResourceAttributes, ResourceAttributeValue } from "./resource.ts";
export type { SamplerName } from "./samplers.ts";
export { type OtlpTelemetry, setupOtlp } from "./setup.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
