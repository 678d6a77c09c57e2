import { EventEmitter } from "node:events";
import grpc from "@grpc/grpc-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { expect, it, vi } from "vitest";
import { Dispatcher } from "../../src/testing/sidecar/dispatch/dispatcher.ts";
import { sidecarService } from "../../src/testing/sidecar/grpc/service.ts";
import { TaskHub } from "../../src/testing/sidecar/hub/task-hub.ts";

function unused(): never {
  throw new Error("A wait has no use for this.");
}

/** A call as gRPC makes it, for an instance ID. */
function callFor(instanceId: string) {
  return Object.assign(new EventEmitter(), {
    request: new pb.GetInstanceRequest().setInstanceid(instanceId),
    cancelled: false,
    metadata: new grpc.Metadata(),
    getPeer: unused,
    sendMetadata: unused,
    getDeadline: unused,
    getPath: unused,
    getHost: unused,
    getAuthContext: unused,
    getMetricsRecorder: unused,
  });
}

it("A wait that its client gives up is forgotten, and the others go on", () => {
  const dispatcher: Dispatcher = new Dispatcher((work) => hub.begin(work));
  const hub = new TaskHub(dispatcher, { traceContexts: true });
  const { waitForInstanceCompletion } = sidecarService(hub, dispatcher).handlers;
  const seed = { name: "main", version: undefined, input: undefined, tags: new Map() };
  const instance = hub.start({ id: "waited-for", seed });
  const calls = [callFor(instance.id), callFor(instance.id)] as const;
  const answers = calls.map((call) => {
    const answer = vi.fn();
    waitForInstanceCompletion(call, answer);
    return answer;
  });
  calls[0].emit("cancelled");
  hub.terminate(instance, undefined, false);
  expect(answers.map((answer) => answer.mock.calls.length)).toEqual([0, 1]);
});
