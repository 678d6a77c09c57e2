import type grpc from "@grpc/grpc-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { TaskHubRefusal } from "../hub/errors.ts";
import type { TaskHub } from "../hub/task-hub.ts";
import { namedInstance } from "./client-operations.ts";
import { fail } from "./status.ts";

const EVENTS_PER_CHUNK = 100;

type HistoryStream = grpc.ServerWritableStream<pb.StreamInstanceHistoryRequest, pb.HistoryChunk>;

/** Sends the committed history of an instance, in chunks. */
export function streamHistory(hub: TaskHub, stream: HistoryStream): void {
  try {
    const instance = namedInstance(hub, stream.request.getInstanceid());
    const { executionId, history } = instance.generation;
    const asked = stream.request.getExecutionid()?.getValue() ?? "";
    if (asked !== "" && asked !== executionId) {
      throw new TaskHubRefusal(
        "NOT_FOUND",
        `The orchestration instance '${instance.id}' is at execution '${executionId}'; ` +
          `the history of execution '${asked}' is not kept.`,
      );
    }
    for (let start = 0; start < history.length; start += EVENTS_PER_CHUNK) {
      stream.write(new pb.HistoryChunk().setEventsList(history.slice(start, start + EVENTS_PER_CHUNK)));
    }
    stream.end();
  } catch (error) {
    fail(stream, error);
  }
}
