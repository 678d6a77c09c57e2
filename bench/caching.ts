/**
 * What the activity cache costs beside a pipeline without it, in microseconds of CPU time for one activity, and what
 * memory it takes. `node --expose-gc bench/caching.ts`
 */
import { NoOpLogger, TaskHubGrpcWorker, type ActivityContext } from "@microsoft/durabletask-js";
import pb, { type ActivityRequest } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { withDurableTelemetry, type CacheStore, type Middleware } from "durable-telemetry";
import { caching } from "durable-telemetry/middlewares";
import { compare, type Comparison } from "./paired.ts";

interface Internals {
  _executeActivityInternal(request: ActivityRequest, token: string, stub: unknown): Promise<void>;
}

const stub = { completeActivityTask: (_: unknown, __: unknown, done: (error: null) => void): void => done(null) };

/** A worker with nothing in its pipeline but `innermost`; returns what runs an activity with an input in JSON. */
function workerWith(innermost: Middleware): (json: string) => Promise<void> {
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), { middlewares: () => [innermost] });
  worker.addNamedActivity("quote", (_: ActivityContext, { id }: { id: number }) => ({ id, price: 42.5, currency: "EUR" }));
  const internals = worker as unknown as Internals;
  return (json) => {
    const request = new pb.ActivityRequest()
      .setName("quote")
      .setTaskid(1)
      .setInput(new wrappers.StringValue().setValue(json))
      .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("bench"));
    return internals._executeActivityInternal(request, "", stub);
  };
}

/** An input of `size` bytes: some members, a list, and a long text. */
function inputOf(size: number, id: number): string {
  const input = {
    symbol: "ACME",
    id,
    exchange: { name: "Xetra", country: "DE", open: true },
    lines: Array.from({ length: 8 }, (_, line) => ({ line, quantity: line * 2, note: `line ${line}` })),
    text: "",
  };
  input.text = "x".repeat(Math.max(0, size - JSON.stringify(input).length));
  return JSON.stringify(input);
}

const options = { activities: { quote: { ttl: "1h" } } };
const entries = new Map<string, string>();
const promising: CacheStore = {
  get: async (key) => entries.get(key),
  set: async (key, value) => void entries.set(key, value),
  delete: async (key) => entries.delete(key),
};

const { gc } = globalThis;
const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
const memory = (): { heap: number; rss: number } => {
  gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, rss };
};
console.log("1,000,000 distinct inputs through the default store (10,000 entries, 64 MiB)");
const filled = workerWith(caching(options));
for (let count = 0; count <= 1_000_000; count += 1) {
  if (count % 200_000 === 0 || count === 10_000) {
    const { heap, rss } = memory();
    console.log(`  after ${count.toLocaleString("en").padStart(9)}: heap ${megabytes(heap)}, resident ${megabytes(rss)}`);
  }
  await filled(`{"id":${count}}`);
}
console.log();

const bare = workerWith({ name: "none", activity: async (ctx, next) => void (await next(ctx)) });
// As many as the default store takes: a cache that is of use has more than one entry.
const distinct = 10_000;
const rounds = 60;

async function measure(title: string, inputs: readonly string[]): Promise<void> {
  const inMemory = workerWith(caching(options));
  const promised = workerWith(caching({ ...options, store: promising }));
  entries.clear();
  for (const json of inputs) await Promise.all([inMemory(json), promised(json)]);
  // Each walks through all inputs, in the same order as the others.
  const over = (run: (json: string) => Promise<void>): (() => Promise<void>) => {
    let next = 0;
    return () => run(inputs[(next += 1) % inputs.length] ?? "");
  };
  const results = await compare(
    { name: "no cache", run: over(bare) },
    [
      { name: "no cache again (noise)", run: over(bare) },
      { name: "a hit, store in memory", run: over(inMemory) },
      { name: "a hit, store that answers with promises", run: over(promised) },
    ],
    200,
    rounds,
  );
  print(title, results);
}

function print(title: string, results: readonly Comparison[]): void {
  console.log(`${title} (no cache: ${results[0]?.baseline.toFixed(1)} µs for an activity)`);
  for (const { name, ratio, baseline } of results) {
    console.log(`  ${name.padEnd(42)} x${ratio.toFixed(2)}  ${((ratio - 1) * baseline).toFixed(1).padStart(6)} µs more`);
  }
}

for (const size of [512, 1024, 16 * 1024]) {
  const inputs = Array.from({ length: distinct }, (_, id) => inputOf(size, id));
  await measure(`One input of ${size} bytes`, inputs.slice(0, 1));
  await measure(`${distinct.toLocaleString("en")} distinct inputs of ${size} bytes`, inputs);
  const missing = workerWith(caching(options));
  let next = distinct;
  const make = (): string => inputOf(size, (next += 1));
  print(
    `A new input of ${size} bytes each time`,
    await compare({ name: "no cache", run: () => bare(make()) }, [{ name: "a miss, store in memory", run: () => missing(make()) }], 200, rounds),
  );
}

process.exit(0);
