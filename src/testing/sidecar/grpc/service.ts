import type grpc from "@grpc/grpc-js";
import type { ITaskHubSidecarServiceServer } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { hasFinished, hasStarted, type Instance } from "../hub/instance.ts";
import type { TaskHub } from "../hub/task-hub.ts";
import * as client from "./client-operations.ts";
import * as entities from "./entity-operations.ts";
import { streamHistory } from "./history-stream.ts";
import { fail, statusOf, unary } from "./status.ts";
import * as worker from "./worker-operations.ts";

type WaitForInstance = grpc.handleUnaryCall<pb.GetInstanceRequest, pb.GetInstanceResponse>;

/** The gRPC service of a task hub, with the streams that are open on it. */
export interface SidecarService {
  readonly handlers: ITaskHubSidecarServiceServer;
  /** Ends the workers' streams with an error. */
  endStreams(reason: Error): void;
}

export function sidecarService(hub: TaskHub, dispatcher: Dispatcher): SidecarService {
  const streams = new Set<worker.WorkItemStream>();

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
        worker.connectWorker(dispatcher, stream);
      },
      completeOrchestratorTask: unary((response) => worker.completeOrchestration(hub, dispatcher, response)),
      completeActivityTask: unary((response) => worker.completeActivity(hub, dispatcher, response)),
      abandonTaskOrchestratorWorkItem: unary((request) => {
        worker.abandon(dispatcher, request.getCompletiontoken(), "orchestration");
        return new pb.AbandonOrchestrationTaskResponse();
      }),
      abandonTaskActivityWorkItem: unary((request) => {
        worker.abandon(dispatcher, request.getCompletiontoken(), "activity");
        return new pb.AbandonActivityTaskResponse();
      }),
      completeEntityTask: unary((result) => worker.completeEntity(hub, dispatcher, result)),
      abandonTaskEntityWorkItem: unary((request) => {
        worker.abandon(dispatcher, request.getCompletiontoken(), "entity");
        return new pb.AbandonEntityTaskResponse();
      }),

      signalEntity: unary((request) => entities.signalEntity(hub, request)),
      getEntity: unary((request) => entities.getEntity(hub, request)),
      queryEntities: unary((request) => entities.queryEntities(hub, request)),
      cleanEntityStorage: unary((request) => entities.cleanEntityStorage(hub, request)),
    },
  };
}
