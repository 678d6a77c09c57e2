export { startLocalSidecar, type LocalSidecar, type LocalSidecarOptions } from "./sidecar/index.ts";
export { renderTrace, type RenderTraceOptions } from "./render-trace.ts";
export type { FinishedSpan } from "./span-tree.ts";
