/** Work items as a backend sends them, and workers that run one without a connection. */
import { NoOpLogger, TaskHubGrpcWorker, type TaskHubGrpcWorkerOptions } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { withDurableTelemetry, type DurableTelemetryOptions, type WithDurableTelemetry } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";

export const text = (value: string): wrappers.StringValue => new wrappers.StringValue().setValue(value);
export const timestamp = (at: Date): timestamps.Timestamp => timestamps.Timestamp.fromDate(at);

/** A worker without a connection. */
export const bareWorker = (options: TaskHubGrpcWorkerOptions = {}): TaskHubGrpcWorker =>
  new TaskHubGrpcWorker({ logger: new NoOpLogger(), ...options });

/** A decorated worker without a connection; tracing is off unless asked for. */
export const hostWorker = (
  options: DurableTelemetryOptions = {},
  workerOptions: TaskHubGrpcWorkerOptions = {},
): WithDurableTelemetry<TaskHubGrpcWorker> =>
  withDurableTelemetry(bareWorker(workerOptions), { ...customOnly, ...options });

/** What a backend may tell of the start of an orchestration; what is left out is not sent. */
export interface Start {
  readonly name: string;
  readonly instanceId?: string;
  readonly executionId?: string;
  readonly rawInput?: string;
  readonly version?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly traceparent?: string;
  readonly parent?: {
    readonly instanceId: string;
    readonly taskId: number;
    readonly name?: string;
    readonly executionId?: string;
  };
}

const instance = (instanceId: string, executionId: string | undefined): pb.OrchestrationInstance =>
  new pb.OrchestrationInstance()
    .setInstanceid(instanceId)
    .setExecutionid(executionId === undefined ? undefined : text(executionId));

export const at = (event: pb.HistoryEvent, time: Date, id = -1): pb.HistoryEvent =>
  event.setTimestamp(timestamp(time)).setEventid(id);

/** The events of a first episode. */
export function startEvents(start: Start, time: Date = new Date(0)): pb.HistoryEvent[] {
  const { instanceId = "instance", version, rawInput, parent, tags = {}, traceparent } = start;
  const started = new pb.ExecutionStartedEvent()
    .setName(start.name)
    .setOrchestrationinstance(instance(instanceId, start.executionId))
    .setVersion(version === undefined ? undefined : text(version))
    .setInput(rawInput === undefined ? undefined : text(rawInput))
    .setParenttracecontext(traceparent === undefined ? undefined : new pb.TraceContext().setTraceparent(traceparent));
  for (const [key, value] of Object.entries(tags)) started.getTagsMap().set(key, value);
  if (parent !== undefined) {
    started.setParentinstance(
      new pb.ParentInstanceInfo()
        .setTaskscheduledid(parent.taskId)
        .setName(parent.name === undefined ? undefined : text(parent.name))
        .setOrchestrationinstance(instance(parent.instanceId, parent.executionId)),
    );
  }
  return [
    at(new pb.HistoryEvent().setOrchestratorstarted(new pb.OrchestratorStartedEvent()), time),
    at(new pb.HistoryEvent().setExecutionstarted(started), time),
  ];
}

/** The work item of an episode. */
export function orchestratorRequest(
  fresh: readonly pb.HistoryEvent[],
  past: readonly pb.HistoryEvent[] = [],
  { instanceId = "instance", executionId }: { instanceId?: string | undefined; executionId?: string | undefined } = {},
): pb.OrchestratorRequest {
  return new pb.OrchestratorRequest()
    .setInstanceid(instanceId)
    .setExecutionid(executionId === undefined ? undefined : text(executionId))
    .setPasteventsList([...past])
    .setNeweventsList([...fresh]);
}

/** Runs a first episode through the worker's host entry. */
export async function firstEpisode(worker: TaskHubGrpcWorker, start: Start): Promise<pb.OrchestratorResponse> {
  const request = orchestratorRequest(startEvents(start), [], { instanceId: start.instanceId });
  return runEpisode(worker, request);
}

export async function runEpisode(
  worker: TaskHubGrpcWorker,
  request: pb.OrchestratorRequest,
): Promise<pb.OrchestratorResponse> {
  return pb.OrchestratorResponse.deserializeBinary(await worker.processOrchestratorRequest(request.serializeBinary()));
}

/** The result of an orchestration that a response completes. */
export function resultIn(response: pb.OrchestratorResponse): unknown {
  const complete = completionIn(response);
  if (complete.hasFailuredetails()) throw new Error(complete.getFailuredetails()?.getErrormessage());
  const result = complete.getResult()?.getValue();
  return result === undefined ? undefined : JSON.parse(result);
}

export function completionIn(response: pb.OrchestratorResponse): pb.CompleteOrchestrationAction {
  const complete = response
    .getActionsList()
    .find((action) => action.hasCompleteorchestration())
    ?.getCompleteorchestration();
  if (complete === undefined) throw new Error("The response does not complete the orchestration.");
  return complete;
}
