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
  ResourceAttributes,
  ResourceAttributeValue,
  ResourceDetectorName,
  SamplerName,
} from "./options.ts";
export { type OtlpTelemetry, setupOtlp } from "./setup.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
