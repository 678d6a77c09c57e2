/** The engine, as the SDK adapters, the built-in middlewares and the public entry see it. */
export { runActivity, type Activity } from "./activity-run.ts";
export type { AwaitGuardMode, AwaitGuardModes, AwaitGuardOptions } from "./await-guard.ts";
export type { ActivityMiddlewareContext, OrchestrationMiddlewareContext, SuspendReason } from "./context.ts";
export { currentFeatures, currentLogger, currentWorkItem, runInWorkItem } from "./current-work-item.ts";
export { MiddlewareContractError, NonDurableAwaitError, type ContractRule } from "./errors.ts";
export {
  createMiddlewareFeature,
  MiddlewareFeatures,
  runWithFeatures,
  sharedFeature,
  type MiddlewareFeature,
} from "./features.ts";
export { ActivityExecution, Episode, type WorkItemHost } from "./execution.ts";
export type {
  CreatedTimer,
  EpisodeHistory,
  HistoryEvent,
  ReceivedEvent,
  ScheduledTask,
  SentMessage,
} from "./history.ts";
export { isolate } from "./isolate.ts";
export { WorkItemLogger, type MiddlewareLogger } from "./logger.ts";
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
} from "./middleware.ts";
export { OrchestrationRun, type Orchestrator } from "./orchestration-run.ts";
export { OrchestratorRun } from "./orchestrator-run.ts";
export { Pipeline, type Position } from "./pipeline.ts";
export type * from "./task-info.ts";
export type * from "./waits.ts";
export type * from "./work-item.ts";
