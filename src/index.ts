/**
 * OpenTelemetry observability and middleware for Durable Task workers.
 *
 * @packageDocumentation
 */
import { isRuntimeSupported } from "./runtime.ts";

export type {
  ActivityCache,
  CachedActivity,
  CacheRequest,
  CacheStore,
  CachingOptions,
  DeleteRequest,
  Duration,
} from "../middlewares/caching/index.ts";
export type { LoggedPayloads, LoggedWaiting, LoggingOptions, PayloadContext } from "../middlewares/logging/index.ts";
export {
  observeTaskHub,
  type MetricsOptions,
  type ObservableClient,
  type ObservedInstance,
  type ObserveTaskHubOptions,
  type TaskHubObservation,
} from "../middlewares/metrics/index.ts";
export { baggageTags, type PropagateOptions } from "../middlewares/propagation/index.ts";
export type { TracingOptions } from "../middlewares/tracing/index.ts";
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
  type Acknowledgement,
  type ActivityMiddlewareContext,
  type ActivityNext,
  type ActivityOutcome,
  type ActivityResponse,
  type ActivityWorkItem,
  type AwaitGuardMode,
  type AwaitGuardOptions,
  type Continuation,
  type ContractRule,
  type CreatedTimer,
  type DurableMiddleware,
  type DurableSteps,
  type EpisodeHistory,
  type EpisodeOutcome,
  type EpisodeResponse,
  type EventWait,
  type GivenUpTask,
  type HistoryEvent,
  type Middleware,
  type MiddlewareContext,
  type MiddlewareFeature,
  type MiddlewareFunction,
  type MiddlewareLogger,
  type MiddlewareObject,
  type NextResult,
  type ObservedWaits,
  type OrchestrationMiddleware,
  type OrchestrationMiddlewareContext,
  type OrchestrationNext,
  type OrchestrationWorkItem,
  type ParentOrchestration,
  type PersistedSpan,
  type Position,
  type ReceivedEvent,
  type ScheduledTask,
  type SentMessage,
  type SuspendReason,
  type TaskFailure,
  type TimerWait,
  type TraceContext,
  type WorkItem,
  type WorkItemHooks,
  type WorkItemMiddleware,
} from "./pipeline/index.ts";
export {
  ActivityCacheOutcome,
  ActivitySpan,
  OrchestrationSpan,
  type CacheOutcome,
  type OrchestrationSpanHandle,
} from "./telemetry/handles.ts";
export {
  withDurableTelemetry,
  type DurableTelemetryOptions,
  type MiddlewareHost,
  type WithDurableTelemetry,
  type WorkerBuilder,
  type WorkflowClient,
} from "./with-durable-telemetry.ts";

// Warns at load if Node.js is too old.
isRuntimeSupported();
