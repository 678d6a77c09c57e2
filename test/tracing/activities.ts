/** Single activities, as a backend hands them out. */
import type { TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type { ActivityResponse, TraceContext } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";

/** What a backend asks of a worker for one activity. */
export interface ActivityRequestOptions {
  readonly name: string;
  readonly taskId?: number;
  /** `""` for a request that names no orchestration, which the SDK refuses. */
  readonly instanceId?: string;
  readonly executionId?: string;
  readonly traceContext?: TraceContext | undefined;
  /** Takes the response in the backend's place; what it throws is thrown by the call, and what it returns is the call's error. */
  readonly complete?: (response: ActivityResponse) => unknown;
}

/** Runs one activity on `worker`. */
export async function runActivity(worker: TaskHubGrpcWorker, options: ActivityRequestOptions): Promise<void> {
  const { name, taskId = 1, instanceId = "instance-1", executionId, traceContext, complete } = options;
  const instance = new proto.OrchestrationInstance().setInstanceid(instanceId);
  if (executionId !== undefined) {
    const message = new wrappers.StringValue();
    message.setValue(executionId);
    instance.setExecutionid(message);
  }
  const request = new proto.ActivityRequest()
    .setName(name)
    .setTaskid(taskId)
    .setOrchestrationinstance(instance)
    .setParenttracecontext(traceContext?.cloneMessage());
  // The SDK has no public entry for one activity.
  const internal = worker as unknown as {
    _executeActivityInternal(request: unknown, token: string, stub: unknown): Promise<void>;
  };
  await internal._executeActivityInternal(request, "", {
    completeActivityTask: (response: ActivityResponse, _: unknown, done: (error: unknown) => void): void =>
      done(complete?.(response) ?? null),
  });
}
