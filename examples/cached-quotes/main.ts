import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import {
  ActivityCacheOutcome,
  withDurableTelemetry,
  type ActivityCache,
  type MiddlewareObject,
} from "durable-telemetry";
import { caching } from "durable-telemetry/middlewares";
import { startLocalSidecar } from "durable-telemetry/testing";
import { bill, getQuote, valuePortfolio, type Position } from "./quotes.ts";
import { connectStore, startRedis } from "./redis.ts";

const redis = await startRedis();
const sidecar = await startLocalSidecar();
const logger = new NoOpLogger();
const client = new TaskHubGrpcClient({ hostAddress: sidecar.address, logger });

/** A worker with a cache and a Redis connection of its own, as each process of a fleet has. */
async function startWorker(name: string): Promise<{ readonly cache: ActivityCache; stop(): Promise<void> }> {
  const { store, close } = await connectStore(redis.url);
  const cache = caching({ activities: { getQuote: { ttl: "5m", jitter: 0.1, lockFor: "10s" } }, store });
  const show: MiddlewareObject = {
    name: "show",
    activity: async (ctx, next) => {
      await next(ctx);
      console.log(`  ${name}  ${JSON.stringify(ctx.input)}  ${ctx.features.get(ActivityCacheOutcome)}`);
    },
  };
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress: sidecar.address, logger }), {
    use: [show],
    caching: cache,
  });
  worker.addOrchestrator(valuePortfolio);
  worker.addActivity(getQuote);
  await worker.start();
  return {
    cache,
    async stop() {
      await worker.stop();
      await close();
    },
  };
}

const portfolio: readonly Position[] = [
  { symbol: "ACME", shares: 10 },
  { symbol: "UMBRELLA", shares: 5 },
  { symbol: "ACME", shares: 90 },
  { symbol: "INITECH", shares: 1 },
  { symbol: "UMBRELLA", shares: 45 },
  { symbol: "ACME", shares: 1 },
];

async function value(title: string): Promise<void> {
  console.log(`\n${title}`);
  bill.length = 0;
  const id = await client.scheduleNewOrchestration(valuePortfolio, portfolio);
  const state = await client.waitForOrchestrationCompletion(id, true, 30);
  console.log(`  worth ${state?.serializedOutput}; paid for ${bill.length} of ${portfolio.length} quotes`);
}

let fleet = await Promise.all([startWorker("worker 1"), startWorker("worker 2")]);
await value("Two workers that start with an empty cache, and get all calls at once:");

await Promise.all(fleet.map((worker) => worker.stop()));
fleet = await Promise.all([startWorker("worker 3"), startWorker("worker 4")]);
await value("Two new workers, after the old ones are gone:");

await fleet[0]?.cache.delete("getQuote", { symbol: "ACME" });
await value("After worker 3 has invalidated ACME:");

await Promise.all([...fleet.map((worker) => worker.stop()), client.stop()]);
await sidecar.close();
await redis.stop();
