/** The built-in middlewares, for pipelines of one's own making. */
export { ActivitySpan, OrchestrationSpan, tracing, type OrchestrationSpanHandle, type TracingOptions } from "./tracing/index.ts";
