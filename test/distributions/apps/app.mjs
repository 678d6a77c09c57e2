// A worker and a client of the lab's workflow, as an application has them. It knows nothing of the distribution, which
// `--import` starts before. BARE=1: without durable telemetry. UNDECORATED=1: `durable-telemetry/register` decorates.
// ORCHESTRATIONS: how many, four at a time.
import { writeFileSync } from "node:fs";
import { NoOpLogger, RetryPolicy, TaskHubGrpcClient, TaskHubGrpcWorker, whenAll } from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";

const { BARE, HOST_ADDRESS, ORCHESTRATIONS = "1", UNDECORATED } = process.env;
const { currentLogger, withDurableTelemetry } = BARE === undefined ? await import("durable-telemetry") : {};
const nothing = () => {};
// What the worker warns of, a line each.
const logger = {
  error: (text) => console.error(text),
  warn: (text) => console.error(text),
  info: nothing,
  debug: nothing,
};
const options = { hostAddress: HOST_ADDRESS, logger };

const worker = new TaskHubGrpcWorker(options);
if (UNDECORATED === undefined) withDurableTelemetry?.(worker);

const failed = new Set();
worker.addNamedActivity("quick", async (_, name) => {
  const greeting = trace.getTracer("app").startActiveSpan("user work", (span) => {
    currentLogger?.()?.info("greeting");
    span.end();
    return `Hello, ${name}!`;
  });
  return greeting;
});
worker.addNamedActivity("slow", () => new Promise((resolve) => setTimeout(resolve, 300, "late")));
worker.addNamedActivity("flaky", (_, id) => {
  if (failed.has(id)) return "done";
  failed.add(id);
  throw new Error("not yet");
});
const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 20 });
worker.addNamedOrchestrator("lab", async function* (ctx, name) {
  // Side by side, so that a span of the trace ends while another is open.
  const [greeting, slow] = yield whenAll([ctx.callActivity("quick", name), ctx.callActivity("slow")]);
  const flaky = yield ctx.callActivity("flaky", ctx.instanceId, { retry });
  const child = yield ctx.callSubOrchestrator("lab-child", name);
  return [greeting, slow, flaky, child];
});
worker.addNamedOrchestrator("lab-child", async function* (ctx, name) {
  return yield ctx.callActivity("quick", name);
});
await worker.start();

const client = new TaskHubGrpcClient({ ...options, logger: new NoOpLogger() });
const results = [];
const runOne = async () => {
  const id = await client.scheduleNewOrchestration("lab", "Ada");
  const state = await client.waitForOrchestrationCompletion(id, true, 30);
  results.push(JSON.parse(state?.serializedOutput ?? "null"));
};
for (let left = Number(ORCHESTRATIONS); left > 0; left -= 4) {
  await Promise.all(Array.from({ length: Math.min(4, left) }, runOne));
}
await worker.stop();
await client.stop();
writeFileSync("results.json", JSON.stringify(results));
// What the distribution's own start file knows of ending.
await globalThis.endTelemetry?.();
