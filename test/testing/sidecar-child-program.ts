// A program that uses a sidecar, closes it with work still open, and has nothing left to do.
import { EntityInstanceId, NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { startLocalSidecar } from "../../src/testing/sidecar/index.ts";

const logger = new NoOpLogger();
const sidecar = await startLocalSidecar();
const hostAddress = sidecar.address;
const worker = new TaskHubGrpcWorker({ hostAddress, logger });
worker.addNamedOrchestrator("sleep", async function* (ctx, seconds: number): AsyncGenerator {
  yield ctx.createTimer(seconds);
});
await worker.start();
const client = new TaskHubGrpcClient({ hostAddress, logger });
await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("sleep", 0.01));
await client.waitForOrchestrationStart(await client.scheduleNewOrchestration("sleep", 3_600));
await client.scheduleNewOrchestration("sleep", 1, { startAt: new Date("2999-01-01") });
await client.signalEntity(new EntityInstanceId("account", "a"), "close", undefined, {
  signalTime: new Date("2999-01-01"),
});
await Promise.all([worker.stop(), client.stop()]);
await sidecar.close();
