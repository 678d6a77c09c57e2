/**
 * OpenTelemetry observability and middleware for Durable Task workers.
 *
 * @packageDocumentation
 */
export { ActivitySpan, OrchestrationSpan, type OrchestrationSpanHandle, type TracingOptions } from "../middlewares/tracing/index.ts";
export type { AwaitGuardMode, AwaitGuardOptions } from "./pipeline/await-guard.ts";
export type { ActivityMiddlewareContext, OrchestrationMiddlewareContext, SuspendReason } from "./pipeline/context.ts";
export { MiddlewareContractError, NonDurableAwaitError, type ContractRule } from "./pipeline/errors.ts";
export {
  createMiddlewareFeature,
  currentFeatures,
  MiddlewareFeatures,
  runWithFeatures,
  type MiddlewareFeature,
} from "./pipeline/features.ts";
export type { MiddlewareLogger } from "./pipeline/logger.ts";
export {
  defineMiddleware,
  type ActivityMiddleware,
  type ActivityNext,
  type DurableMiddleware,
  type DurableSteps,
  type Middleware,
  type MiddlewareContext,
  type MiddlewareFunction,
  type MiddlewareObject,
  type NextResult,
  type OrchestrationMiddleware,
  type OrchestrationNext,
} from "./pipeline/middleware.ts";
export type { Position } from "./pipeline/pipeline.ts";
export type { ParentOrchestration } from "./pipeline/work-item.ts";
export {
  withDurableTelemetry,
  type DurableTelemetryOptions,
  type MiddlewareHost,
  type WithDurableTelemetry,
  type WorkerBuilder,
} from "./with-durable-telemetry.ts";
