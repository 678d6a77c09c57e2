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
  /** Where it listens, in the form of the SDK's `hostAddress`: `127.0.0.1:4001`. */
  readonly address: string;
  /** The TCP port that it listens on. */
  readonly port: number;
  /**
   * Ends all streams and waits with gRPC status `UNAVAILABLE`, and deletes all state. Can be called again.
   *
   * @returns Resolves when the port is free.
   */
  close(): Promise<void>;
}

/**
 * Starts a Durable Task sidecar in this process: the gRPC service that a `TaskHubGrpcWorker` and a `TaskHubGrpcClient`
 * connect to, in front of a task hub in memory. Orchestrations run end to end without Docker and without a cloud. Use it
 * for development, tests and examples; in production the same code runs against the Durable Task Scheduler.
 *
 * It behaves like a task hub. Several workers share the work. If a worker disappears, another one gets its work items, and
 * an activity or an entity operation can run twice. The history has real timestamps, versions, tags and execution IDs.
 * Trace contexts are persisted, or dropped on request (telemetry.md I8). Entities run their operations one after the
 * other, scheduled ones included, and critical sections lock them. External events, suspensions and terminations for a
 * finished orchestration are ignored.
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
