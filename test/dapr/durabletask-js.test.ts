import { TaskHubGrpcClient, TaskHubGrpcWorker } from "@dapr/durabletask-js";
import { afterAll, describe, expect, it, vi } from "vitest";
import { withDurableTelemetry } from "../../src/index.ts";
import { createTelemetryRecorder } from "../../src/testing/recorder/index.ts";
import { startDaprHub, type Steps } from "./fixture.ts";

const [, warn] = (["log", "warn", "error"] as const).map((level) =>
  vi.spyOn(console, level).mockImplementation(() => undefined),
);

describe("The worker and the client of @dapr/durabletask-js", () => {
  const recorder = createTelemetryRecorder();
  const stops: (() => Promise<unknown>)[] = [() => recorder.shutdown()];
  afterAll(() => Promise.all(stops.map((stop) => stop())));

  it("R1 S1 are decorated as those of @dapr/dapr are: an orchestration is one whole trace", async () => {
    const hub = await startDaprHub();
    const address = `127.0.0.1:${hub.port}`;
    const worker = withDurableTelemetry(new TaskHubGrpcWorker(address));
    expect(worker.middlewares).toEqual(["tracing", "metrics", "logging"]);
    worker.addNamedActivity("hello", (_: unknown, name: unknown) => `Hello ${String(name)}`);
    worker.addNamedOrchestrator("greet", async function* (ctx: {
      callActivity(name: string, input: unknown): unknown;
    }): Steps {
      return yield ctx.callActivity("hello", "you");
    } as never);
    await worker.start();
    const client = withDurableTelemetry(new TaskHubGrpcClient(address));
    stops.push(
      () => worker.stop(),
      () => client.stop(),
    );
    const { status, result } = await hub.ended(await client.scheduleNewOrchestration("greet"));
    expect([status, result]).toEqual([1, '"Hello you"']);
    await recorder.waitForTrace("orchestration:greet");
    recorder.assertWhole();
    expect(
      recorder
        .spans()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["activity:hello", "activity:hello", "create_orchestration:greet", "orchestration:greet"]);
    expect(warn).not.toHaveBeenCalled();
  });

  it("K2 a worker that connects again with the client that it was given has it observed once", async () => {
    const worker = new TaskHubGrpcWorker("127.0.0.1:1");
    const clients: unknown[] = [];
    // As the worker does when its stream breaks.
    const internalRunWorker = async (client: object): Promise<void> => {
      clients.push(client);
      if (clients.length < 3)
        await (worker as unknown as { internalRunWorker: typeof internalRunWorker }).internalRunWorker(client);
    };
    Object.assign(worker, { internalRunWorker });
    withDurableTelemetry(worker);
    const client = { stub: {} };
    await (worker as unknown as { internalRunWorker: typeof internalRunWorker }).internalRunWorker(client);
    expect(clients[0]).not.toBe(client);
    expect(new Set(clients).size).toBe(1);
  });
});
