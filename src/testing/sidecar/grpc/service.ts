import type grpc from "@grpc/grpc-js";
import type { ITaskHubSidecarServiceServer } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { TaskHubRefusal } from "../hub/errors.ts";
import { hasFinished, hasStarted, type Instance } from "../hub/instance.ts";
import type { TaskHub } from "../hub/task-hub.ts";
import * as client from "./client-operations.ts";
import { streamHistory } from "./history-stream.ts";
import { fail, statusOf, unary } from "./status.ts";
import { abandon, completeActivity, completeOrchestration, connectWorker } from "./worker-operations.ts";
import type { WorkItemStream } from "./worker-operations.ts";

type WaitForInstance = grpc.handleUnaryCall<pb.GetInstanceRequest, pb.GetInstanceResponse>;

/** The gRPC service of a task hub, with the streams that are open on it. */
export interface SidecarService {
  readonly handlers: ITaskHubSidecarServiceServer;
  /** Ends the workers' streams with an error. */
  endStreams(reason: Error): void;
}

export function sidecarService(hub: TaskHub, dispatcher: Dispatcher): SidecarService {
  const streams = new Set<WorkItemStream>();

  const waitUntil = (reached: (instance: Instance) => boolean): WaitForInstance => {
    return (call, callback) => {
      const { request } = call;
      const instance = hub.find(request.getInstanceid());
      if (instance === undefined || reached(instance)) {
        callback(null, client.instanceResponse(request, instance));
        return;
      }
      const stopWaiting = hub.waiters.add(instance.id, {
        reached,
        resolve: (found) => callback(null, client.instanceResponse(request, found)),
        reject: (reason) => callback(statusOf(reason)),
      });
      call.on("cancelled", stopWaiting);
    };
  };

  const noEntities = unary((): never => {
    throw new TaskHubRefusal(
      "UNIMPLEMENTED",
      "The local sidecar has no entities. Use the Durable Task Scheduler or its emulator for them.",
    );
  });

  return {
    endStreams(reason) {
      for (const stream of streams) fail(stream, reason);
    },

    handlers: {
      hello: unary(() => new empty.Empty()),

      startInstance: unary((request) => client.startInstance(hub, request)),
      getInstance: unary((request) => client.instanceResponse(request, hub.find(request.getInstanceid()))),
      waitForInstanceStart: waitUntil(hasStarted),
      waitForInstanceCompletion: waitUntil(hasFinished),
      raiseEvent: unary((request) => client.raiseEvent(hub, request)),
      suspendInstance: unary((request) => client.suspendInstance(hub, request)),
      resumeInstance: unary((request) => client.resumeInstance(hub, request)),
      terminateInstance: unary((request) => client.terminateInstance(hub, request)),
      skipGracefulOrchestrationTerminations: unary((request) => client.skipGracefulTerminations(hub, request)),
      rewindInstance: unary((request) => client.rewindInstance(hub, request)),
      restartInstance: unary((request) => client.restartInstance(hub, request)),
      queryInstances: unary((request) => client.queryInstances(hub, request)),
      listInstanceIds: unary((request) => client.listInstanceIds(hub, request)),
      purgeInstances: unary((request) => client.purgeInstances(hub, request)),
      streamInstanceHistory: (call) => streamHistory(hub, call),

      createTaskHub: unary((request) => {
        if (request.getRecreateifexists()) hub.clear();
        return new pb.CreateTaskHubResponse();
      }),
      deleteTaskHub: unary(() => {
        hub.clear();
        return new pb.DeleteTaskHubResponse();
      }),

      getWorkItems: (stream) => {
        streams.add(stream);
        stream.on("cancelled", () => streams.delete(stream));
        connectWorker(dispatcher, stream);
      },
      completeOrchestratorTask: unary((response) => completeOrchestration(hub, dispatcher, response)),
      completeActivityTask: unary((response) => completeActivity(hub, dispatcher, response)),
      abandonTaskOrchestratorWorkItem: unary((request) => {
        abandon(dispatcher, request.getCompletiontoken(), "orchestration");
        return new pb.AbandonOrchestrationTaskResponse();
      }),
      abandonTaskActivityWorkItem: unary((request) => {
        abandon(dispatcher, request.getCompletiontoken(), "activity");
        return new pb.AbandonActivityTaskResponse();
      }),

      signalEntity: noEntities,
      getEntity: noEntities,
      queryEntities: noEntities,
      cleanEntityStorage: noEntities,
      completeEntityTask: noEntities,
      abandonTaskEntityWorkItem: noEntities,
    },
  };
}
