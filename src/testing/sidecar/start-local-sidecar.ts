import grpc from "@grpc/grpc-js";
import services from "@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js";
import { Dispatcher } from "./dispatch/dispatcher.ts";
import { hostAndPort, listen } from "./grpc/listen.ts";
import { sidecarService } from "./grpc/service.ts";
import { TaskHubRefusal } from "./hub/errors.ts";
import { TaskHub } from "./hub/task-hub.ts";
import { checkOptions, type LocalSidecarOptions } from "./options.ts";

/** A running local sidecar. */
export interface LocalSidecar extends AsyncDisposable {
  /** Where it listens, as the SDK's `hostAddress` wants it: `127.0.0.1:4001`. */
  readonly address: string;
  /** The TCP port that it listens on. */
  readonly port: number;
  /**
   * Ends all streams and waits with gRPC status `UNAVAILABLE`, and forgets everything. Can be called again.
   *
   * @returns Resolves when the port is free.
   */
  close(): Promise<void>;
}

/**
 * Starts a Durable Task sidecar in this process: the gRPC service that a `TaskHubGrpcWorker` and a `TaskHubGrpcClient`
 * talk to, in front of a task hub in memory. With it orchestrations run end to end without Docker and without a cloud.
 * It is for development, tests and examples; in production the same code runs against the Durable Task Scheduler.
 *
 * It does what a task hub does: several workers share the work, and the work items of a worker that vanishes go to
 * another one (so an activity, or an entity's operations, can run twice); history has true timestamps, versions, tags
 * and execution IDs; trace contexts are carried, or dropped on request (telemetry.md I8). Entities do their operations
 * one after the other, also scheduled ones, and critical sections lock them. External events, suspensions and
 * terminations for an orchestration that has finished are ignored.
 *
 * @param options - See {@link LocalSidecarOptions}.
 * @returns Resolves when it listens.
 * @throws {TypeError} when an option is unknown or has a value it can't have.
 * @throws {Error} when it can't listen on the port, with the system's error as `cause`.
 *
 * @example
 * ```ts
 * await using sidecar = await startLocalSidecar();
 * const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress: sidecar.address }));
 * const client = new TaskHubGrpcClient({ hostAddress: sidecar.address });
 * ```
 */
export async function startLocalSidecar(options: LocalSidecarOptions = {}): Promise<LocalSidecar> {
  const { port, host, traceContext } = checkOptions(options);
  const dispatcher: Dispatcher = new Dispatcher((work) => hub.begin(work));
  const hub = new TaskHub(dispatcher, { traceContexts: traceContext === "carry" });
  const service = sidecarService(hub, dispatcher);
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
  server.addService(services.TaskHubSidecarServiceService, service.handlers);
  const listener = await listen(server, host, port);

  const end = async (): Promise<void> => {
    const reason = new TaskHubRefusal("UNAVAILABLE", "The local sidecar has been closed.");
    dispatcher.stop();
    hub.waiters.rejectEveryone(reason);
    service.endStreams(reason);
    await listener.close();
    // Last, and again: a call that was under way may have set a timer.
    dispatcher.stop();
    hub.stop();
  };
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= end());
  return { address: hostAndPort(host, listener.port), port: listener.port, close, [Symbol.asyncDispose]: close };
}
