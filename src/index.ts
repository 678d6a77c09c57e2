/**
 * OpenTelemetry observability and middleware for Durable Task workers.
 *
 * @packageDocumentation
 */
import { isRuntimeSupported } from "./runtime.ts";

export {
  ActivityCacheOutcome,
  type ActivityCache,
  type CachedActivity,
  type CacheOutcome,
  type CacheRequest,
  type CacheStore,
  type CachingOptions,
  type DeleteRequest,
  type Duration,
} from "../middlewares/caching/index.ts";
export type { LoggedPayloads, LoggingOptions, PayloadContext } from "../middlewares/logging/index.ts";
export type { MetricsOptions } from "../middlewares/metrics/index.ts";
export { ActivitySpan, OrchestrationSpan, type OrchestrationSpanHandle, type TracingOptions } from "../middlewares/tracing/index.ts";
export {
  createMiddlewareFeature,
  currentFeatures,
  currentLogger,
  defineMiddleware,
  MiddlewareContractError,
  MiddlewareFeatures,
  NonDurableAwaitError,
  runWithFeatures,
  type ActivityMiddleware,
  type ActivityMiddlewareContext,
  type ActivityNext,
  type AwaitGuardMode,
  type AwaitGuardOptions,
  type ContractRule,
  type DurableMiddleware,
  type DurableSteps,
  type Middleware,
  type MiddlewareContext,
  type MiddlewareFeature,
  type MiddlewareFunction,
  type MiddlewareLogger,
  type MiddlewareObject,
  type NextResult,
  type OrchestrationMiddleware,
  type OrchestrationMiddlewareContext,
  type OrchestrationNext,
  type ParentOrchestration,
  type Position,
  type SuspendReason,
} from "./pipeline/index.ts";
export {
  withDurableTelemetry,
  type DurableTelemetryOptions,
  type MiddlewareHost,
  type WithDurableTelemetry,
  type WorkerBuilder,
} from "./with-durable-telemetry.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
