import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";

// Why not the SDK's `pb-helper.util`: it leaves the timestamp of nearly every event at 1970, and drops empty strings.

/** Text of a protobuf field that can be absent, which is not the same as empty. */
export type OptionalText = wrappers.StringValue | undefined;

export type Tags = ReadonlyMap<string, string>;

/** A task of an execution: where its result belongs. */
export interface TaskAddress {
  readonly instanceId: string;
  readonly executionId: string;
  readonly taskId: number;
}

/** Who waits for the result of a sub-orchestration. */
export interface Parent extends TaskAddress {
  readonly name: string;
  readonly version: OptionalText;
}

export interface ExecutionStart {
  readonly instanceId: string;
  readonly executionId: string;
  readonly name: string;
  readonly version: OptionalText;
  readonly input: OptionalText;
  readonly tags: Tags;
  readonly parent: Parent | undefined;
  readonly parentTraceContext: pb.TraceContext | undefined;
  readonly scheduledStart: Date | undefined;
}

// The ID of events that answer no action of the orchestrator.
const NO_ACTION = -1;
// That of the first event of an execution, in the Durable Task Scheduler.
const START = 0;

export function text(value: string): wrappers.StringValue {
  const message = new wrappers.StringValue();
  message.setValue(value);
  return message;
}

export function timestamp(at: Date): timestamps.Timestamp {
  const message = new timestamps.Timestamp();
  message.fromDate(at);
  return message;
}

export function tagsOf(map: { getEntryList(): [string, string][] }): Tags {
  return new Map(map.getEntryList());
}

export function copyTags(from: Tags, to: { set(key: string, value: string): unknown }): void {
  for (const [key, value] of from) to.set(key, value);
}

export function orchestratorStarted(at: Date): pb.HistoryEvent {
  return event(at).setOrchestratorstarted(new pb.OrchestratorStartedEvent());
}

export function executionStarted(at: Date, start: ExecutionStart): pb.HistoryEvent {
  const started = new pb.ExecutionStartedEvent()
    .setName(start.name)
    .setVersion(start.version)
    .setInput(start.input)
    .setOrchestrationinstance(orchestrationInstance(start.instanceId, start.executionId))
    .setParenttracecontext(start.parentTraceContext);
  copyTags(start.tags, started.getTagsMap());
  if (start.scheduledStart !== undefined) started.setScheduledstarttimestamp(timestamp(start.scheduledStart));
  if (start.parent !== undefined) {
    const { parent } = start;
    started.setParentinstance(
      new pb.ParentInstanceInfo()
        .setTaskscheduledid(parent.taskId)
        .setName(text(parent.name))
        .setVersion(parent.version)
        .setOrchestrationinstance(orchestrationInstance(parent.instanceId, parent.executionId)),
    );
  }
  return event(at, START).setExecutionstarted(started);
}

export function executionCompleted(
  at: Date,
  actionId: number,
  outcome: { status: pb.OrchestrationStatus; output: OptionalText; failure: pb.TaskFailureDetails | undefined },
): pb.HistoryEvent {
  const completed = new pb.ExecutionCompletedEvent()
    .setOrchestrationstatus(outcome.status)
    .setResult(outcome.output)
    .setFailuredetails(outcome.failure);
  return event(at, actionId).setExecutioncompleted(completed);
}

export function executionTerminated(at: Date, output: OptionalText, recursive: boolean): pb.HistoryEvent {
  return event(at).setExecutionterminated(new pb.ExecutionTerminatedEvent().setInput(output).setRecurse(recursive));
}

export function executionSuspended(at: Date, reason: OptionalText): pb.HistoryEvent {
  return event(at).setExecutionsuspended(new pb.ExecutionSuspendedEvent().setInput(reason));
}

export function executionResumed(at: Date, reason: OptionalText): pb.HistoryEvent {
  return event(at).setExecutionresumed(new pb.ExecutionResumedEvent().setInput(reason));
}

export function executionRewound(at: Date, reason: OptionalText, parentExecutionId: OptionalText): pb.HistoryEvent {
  const rewound = new pb.ExecutionRewoundEvent().setReason(reason).setParentexecutionid(parentExecutionId);
  return event(at).setExecutionrewound(rewound);
}

export function eventRaised(at: Date, name: string, input: OptionalText): pb.HistoryEvent {
  return event(at).setEventraised(new pb.EventRaisedEvent().setName(name).setInput(input));
}

export function timerFired(at: Date, timerId: number, fireAt: timestamps.Timestamp | undefined): pb.HistoryEvent {
  return event(at).setTimerfired(new pb.TimerFiredEvent().setTimerid(timerId).setFireat(fireAt));
}

export function taskCompleted(at: Date, taskId: number, result: OptionalText): pb.HistoryEvent {
  return event(at).setTaskcompleted(new pb.TaskCompletedEvent().setTaskscheduledid(taskId).setResult(result));
}

export function taskFailed(at: Date, taskId: number, failure: pb.TaskFailureDetails): pb.HistoryEvent {
  return event(at).setTaskfailed(new pb.TaskFailedEvent().setTaskscheduledid(taskId).setFailuredetails(failure));
}

export function subOrchestrationCompleted(at: Date, taskId: number, result: OptionalText): pb.HistoryEvent {
  const completed = new pb.SubOrchestrationInstanceCompletedEvent().setTaskscheduledid(taskId).setResult(result);
  return event(at).setSuborchestrationinstancecompleted(completed);
}

export function subOrchestrationFailed(at: Date, taskId: number, failure: pb.TaskFailureDetails): pb.HistoryEvent {
  const failed = new pb.SubOrchestrationInstanceFailedEvent().setTaskscheduledid(taskId).setFailuredetails(failure);
  return event(at).setSuborchestrationinstancefailed(failed);
}

export function entityOperationCompleted(at: Date, requestId: string, output: OptionalText): pb.HistoryEvent {
  const completed = new pb.EntityOperationCompletedEvent().setRequestid(requestId).setOutput(output);
  return event(at).setEntityoperationcompleted(completed);
}

export function entityOperationFailed(
  at: Date,
  requestId: string,
  failure: pb.TaskFailureDetails | undefined,
): pb.HistoryEvent {
  const failed = new pb.EntityOperationFailedEvent().setRequestid(requestId).setFailuredetails(failure);
  return event(at).setEntityoperationfailed(failed);
}

export function entityLockGranted(at: Date, criticalSectionId: string): pb.HistoryEvent {
  return event(at).setEntitylockgranted(new pb.EntityLockGrantedEvent().setCriticalsectionid(criticalSectionId));
}

export function failureDetails(
  errorType: string,
  message: string,
  options?: { retriable: boolean },
): pb.TaskFailureDetails {
  return new pb.TaskFailureDetails()
    .setErrortype(errorType)
    .setErrormessage(message)
    .setIsnonretriable(options?.retriable === false);
}

/** An event of the given action, without its type yet. */
export function event(at: Date, actionId: number = NO_ACTION): pb.HistoryEvent {
  return new pb.HistoryEvent().setEventid(actionId).setTimestamp(timestamp(at));
}

export function orchestrationInstance(instanceId: string, executionId: string): pb.OrchestrationInstance {
  return new pb.OrchestrationInstance().setInstanceid(instanceId).setExecutionid(text(executionId));
}
