// A worker in a process of its own, which hangs in the middle of a work item until it is killed.
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";

const [hostAddress = "", hangIn] = process.argv.slice(2);
const worker = new TaskHubGrpcWorker({ hostAddress, logger: new NoOpLogger() });

async function hang(kind: string): Promise<never> {
  process.stdout.write(`in ${kind}\n`);
  return new Promise(() => undefined);
}

worker.addNamedActivity("work", async () => (hangIn === "activity" ? hang("activity") : "child"));
worker.addNamedOrchestrator("main", async function* (ctx): AsyncGenerator {
  if (hangIn === "orchestration") await hang("orchestration");
  return yield ctx.callActivity("work");
});
await worker.start();
