import type * as Proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";

/**
 * The protocol's messages as every SDK has them. The classes of Dapr's SDKs are of an earlier release of the protocol: they
 * lack the members that are optional here, and drop those fields when they decode.
 */
type Lacking<T, TNames extends keyof T> = Omit<T, TNames> & Partial<Pick<T, TNames>>;

export type HistoryEvent = Lacking<
  Proto.HistoryEvent,
  | "hasExecutionrewound"
  | "getEntityoperationcalled"
  | "getEntityoperationcompleted"
  | "getEntityoperationfailed"
  | "getEntitylockrequested"
  | "getEntitylockgranted"
>;
export type ExecutionStartedEvent = Lacking<
  Proto.ExecutionStartedEvent,
  "getTagsMap" | "getParenttracecontext" | "setParenttracecontext" | "getOrchestrationspanid"
>;
export type TaskScheduledEvent = Lacking<Proto.TaskScheduledEvent, "getParenttracecontext">;
export type SubOrchestrationInstanceCreatedEvent = Lacking<
  Proto.SubOrchestrationInstanceCreatedEvent,
  "getParenttracecontext"
>;
export type OrchestratorAction = Lacking<
  Proto.OrchestratorAction,
  "getSendentitymessage" | "hasRewindorchestration" | "getRewindorchestration"
>;
export type OrchestratorRequest = Lacking<
  Proto.OrchestratorRequest,
  | "getRequireshistorystreaming"
  | "setRequireshistorystreaming"
  | "getOrchestrationtracecontext"
  | "setOrchestrationtracecontext"
>;
export type ActivityRequest = Lacking<
  Proto.ActivityRequest,
  "getTagsMap" | "getParenttracecontext" | "setParenttracecontext"
>;
export type {
  ActivityResponse,
  OrchestrationTraceContext,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
