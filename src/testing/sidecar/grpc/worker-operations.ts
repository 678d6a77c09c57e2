import grpc from "@grpc/grpc-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { WorkerConnection } from "../dispatch/worker-connection.ts";
import { refuseProblem, TaskHubRefusal } from "../hub/errors.ts";
import { operationActionsProblem } from "../hub/ids.ts";
import type { TaskHub } from "../hub/task-hub.ts";
import type { Work } from "../hub/work.ts";

export type WorkItemStream = grpc.ServerWritableStream<pb.GetWorkItemsRequest, pb.WorkItem>;

/** Feeds work items to a worker until its stream ends, in whatever way. */
export function connectWorker(dispatcher: Dispatcher, stream: WorkItemStream): void {
  const worker = new WorkerConnection(stream.request, (item) => void stream.write(item));
  const disconnect = (): void => dispatcher.disconnect(worker);
  // `cancelled` also comes when the connection is lost, and after the end of a stream.
  for (const end of ["cancelled", "error", "close"]) stream.on(end, disconnect);
  if (stream.cancelled) return;
  // Without it the worker would not learn that it is connected before its first work item.
  stream.sendMetadata(new grpc.Metadata());
  dispatcher.connect(worker);
}

export function completeOrchestration(
  hub: TaskHub,
  dispatcher: Dispatcher,
  response: pb.OrchestratorResponse,
): pb.CompleteTaskResponse {
  const token = response.getCompletiontoken();
  const work = inFlight(dispatcher, token, "orchestration");
  if (response.getInstanceid() !== work.instance.id) throw wrongSubject(work.instance.id, response.getInstanceid());
  if (response.getIspartial() || response.getRequireshistory()) {
    throw new TaskHubRefusal("UNIMPLEMENTED", "The local sidecar takes an orchestrator's answer in one piece only.");
  }
  dispatcher.complete(token, () => hub.completeEpisode(work, response));
  return new pb.CompleteTaskResponse();
}

export function completeActivity(
  hub: TaskHub,
  dispatcher: Dispatcher,
  response: pb.ActivityResponse,
): pb.CompleteTaskResponse {
  const token = response.getCompletiontoken();
  const work = inFlight(dispatcher, token, "activity");
  const expected = `${work.instance.id}#${work.taskId}`;
  const actual = `${response.getInstanceid()}#${response.getTaskid()}`;
  if (expected !== actual) throw wrongSubject(expected, actual);
  dispatcher.complete(token, () => hub.completeActivity(work, response));
  return new pb.CompleteTaskResponse();
}

export function completeEntity(
  hub: TaskHub,
  dispatcher: Dispatcher,
  result: pb.EntityBatchResult,
): pb.CompleteTaskResponse {
  const token = result.getCompletiontoken();
  const work = inFlight(dispatcher, token, "entity");
  const operations = work.entity.batch?.length ?? 0;
  const results = result.getResultsList().length;
  if (!result.hasFailuredetails() && (results === 0 || results > operations)) {
    throw new TaskHubRefusal(
      "INVALID_ARGUMENT",
      `The batch of the entity '${work.entity.id}' has ${operations} operations, and the answer ${results} results.`,
    );
  }
  refuseProblem(operationActionsProblem(result.getActionsList()));
  dispatcher.complete(token, () => hub.entities.complete(work, result));
  return new pb.CompleteTaskResponse();
}

export function abandon(dispatcher: Dispatcher, token: string, kind: Work["kind"]): void {
  inFlight(dispatcher, token, kind);
  dispatcher.abandon(token);
}

function inFlight<K extends Work["kind"]>(dispatcher: Dispatcher, token: string, kind: K): Extract<Work, { kind: K }> {
  const work = dispatcher.peek(token, kind);
  if (work !== undefined) return work;
  throw new TaskHubRefusal(
    "NOT_FOUND",
    `The completion token '${token}' stands for no ${kind} work item that is running. ` +
      "The item was completed or abandoned before, or went to another worker when this one's stream ended.",
  );
}

function wrongSubject(expected: string, actual: string): TaskHubRefusal {
  return new TaskHubRefusal("INVALID_ARGUMENT", `The completion token is for '${expected}', not for '${actual}'.`);
}
