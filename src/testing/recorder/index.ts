export { createTelemetryRecorder } from "./create-recorder.ts";
export { TelemetryRecorderError, type TelemetryRecorderErrorCode } from "./errors.ts";
export type { SpanTreeOptions, TelemetryRecorderOptions, WaitOptions, WholenessOptions } from "./options.ts";
export type { RecordedLogRecord } from "./recorded-logs.ts";
export type { RecordedMetric, RecordedPoint } from "./recorded-metrics.ts";
export type {
  InstrumentationScope,
  RecordedEvent,
  RecordedResource,
  RecordedSpan,
  IdGenerator,
  SpanProcessor,
  Sampler,
} from "./recorded-span.ts";
export type { EventSnapshot, SpanSnapshot } from "./span-snapshot.ts";
export type { RecordFilter, TelemetryRecorder } from "./telemetry-recorder.ts";
export type { TraceProblem } from "./trace-problems.ts";
