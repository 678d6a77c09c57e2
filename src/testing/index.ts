export { startLocalSidecar, type LocalSidecar, type LocalSidecarOptions } from "./sidecar/index.ts";
export {
  createTelemetryRecorder,
  TelemetryRecorderError,
  type EventSnapshot,
  type RecordedMetric,
  type RecordedPoint,
  type RecordFilter,
  type SpanSnapshot,
  type SpanTreeOptions,
  type TelemetryRecorder,
  type TelemetryRecorderErrorCode,
  type TelemetryRecorderOptions,
  type TraceProblem,
  type WaitOptions,
  type WholenessOptions,
} from "./recorder/index.ts";
export { renderTrace, type RenderTraceOptions } from "./render-trace.ts";
export type { FinishedSpan } from "./span-tree.ts";
