import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type { Task, TaskHubGrpcWorkerOptions } from "@microsoft/durabletask-js";
import { afterAll } from "vitest";
import { startLocalSidecar, type LocalSidecar, type LocalSidecarOptions } from "../../src/testing/sidecar/index.ts";
import { RawClient, RawWorker } from "./sidecar-raw.ts";
import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";

/** What an orchestrator of the tests is. `never` lets each `yield` have the type that its variable says. */
export type Steps<Result> = AsyncGenerator<Task<unknown>, Result, never>;

export interface Sidecars {
  start(options?: LocalSidecarOptions): Promise<LocalSidecar>;
  worker(
    sidecar: LocalSidecar,
    register: (worker: TaskHubGrpcWorker) => void,
    options?: TaskHubGrpcWorkerOptions,
  ): Promise<TaskHubGrpcWorker>;
  client(sidecar: LocalSidecar): TaskHubGrpcClient;
  rawWorker(sidecar: LocalSidecar, request?: pb.GetWorkItemsRequest): Promise<RawWorker>;
  rawClient(sidecar: LocalSidecar): RawClient;
}

/** Starts what the tests of a file need, and stops all of it after them: at once, since the SDK takes a second for each. */
export function sidecars(): Sidecars {
  const stops: (() => unknown)[] = [];
  afterAll(async () => {
    await Promise.all(stops.map((stop) => stop()));
  });
  const logger = new NoOpLogger();
  return {
    async start(options) {
      const sidecar = await startLocalSidecar(options);
      stops.push(() => sidecar.close());
      return sidecar;
    },
    async worker({ address: hostAddress }, register, options) {
      const worker = new TaskHubGrpcWorker({ hostAddress, logger, shutdownTimeoutMs: 100, ...options });
      register(worker);
      await worker.start();
      stops.push(() => worker.stop());
      return worker;
    },
    client({ address: hostAddress }) {
      const client = new TaskHubGrpcClient({ hostAddress, logger });
      stops.push(() => client.stop());
      return client;
    },
    async rawWorker(sidecar, request) {
      const worker = await RawWorker.connect(sidecar, request);
      stops.push(() => worker.close());
      return worker;
    },
    rawClient(sidecar) {
      const client = new RawClient(sidecar);
      stops.push(() => client.close());
      return client;
    },
  };
}
