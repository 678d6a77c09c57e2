import { isRuntimeSupported } from "../runtime.ts";

export { startLocalSidecar, type LocalSidecar, type LocalSidecarOptions } from "./sidecar/index.ts";
export {
  createTelemetryRecorder,
  TelemetryRecorderError,
  type EventSnapshot,
  type IdGenerator,
  type InstrumentationScope,
  type RecordedEvent,
  type RecordedLogRecord,
  type RecordedMetric,
  type RecordedPoint,
  type RecordedResource,
  type RecordedSpan,
  type RecordFilter,
  type Sampler,
  type SpanProcessor,
  type SpanSnapshot,
  type SpanTreeOptions,
  type TelemetryRecorder,
  type TelemetryRecorderErrorCode,
  type TelemetryRecorderOptions,
  type TraceProblem,
  type WaitOptions,
  type WholenessOptions,
} from "./recorder/index.ts";
export { renderTrace, type RenderTraceOptions } from "./waterfall/render-trace.ts";
export { renderTraceHtml, type RenderTraceHtmlOptions } from "./waterfall/trace-html.ts";
export { renderTraceSvg, type RenderTraceSvgOptions } from "./waterfall/trace-svg.ts";
export type { FinishedSpan } from "./waterfall/span-tree.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
