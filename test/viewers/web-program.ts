/**
 * The operator's shop: a task hub, two workers and the card network, and a web service that starts workflows. One worker is
 * killed. It prints the instance IDs by workflow as JSON: once while an order waits for its approval, and, after a line of
 * input, once when all have finished and everybody has exported.
 */
import { NoOpLogger, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { SpanKind, trace } from "@opentelemetry/api";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { setupOtlp } from "../../src/otlp/index.ts";
import { startLocalSidecar } from "../../src/testing/sidecar/index.ts";
import { start } from "./programs.ts";

const telemetry = setupOtlp({ serviceName: "shop-web" });
const tracer = trace.getTracer("shop-web");
const sidecar = await startLocalSidecar();
const client = new TaskHubGrpcClient({ hostAddress: sidecar.address, logger: new NoOpLogger() });
const ids: Record<string, string> = {};

/** A request to the web service that starts a workflow. */
async function request(workflow: string, input: unknown): Promise<string> {
  return tracer.startActiveSpan(`POST /${workflow}`, { kind: SpanKind.SERVER }, async (span) => {
    const id = await client.scheduleNewOrchestration(workflow, input);
    span.end();
    ids[workflow] = id;
    return id;
  });
}
const finished = (id: string) => client.waitForOrchestrationCompletion(id, true, 60);
async function untilCustomStatus(id: string): Promise<void> {
  while (!(await client.getOrchestrationState(id))?.serializedCustomStatus) await setTimeout(10);
}

const cardNetwork = start("card-network-program.ts", []);
const url = await cardNetwork.line();
const doomed = start("worker-program.ts", [sidecar.address, url, "hang"]);
await doomed.line();

// The first worker runs the first steps of these, and is killed in the middle of a move.
const order = await request("fulfil", "order-1");
await untilCustomStatus(order);
const move = await request("move", undefined);
await doomed.line();
// Spans that die unexported with their process are lost to any tracing.
await setTimeout(1000);
await doomed.kill();

const worker = start("worker-program.ts", [sidecar.address, url]);
await worker.line();
await finished(move);
await finished(await request("refund", undefined));
await finished(await request("poll", 3));
console.log(JSON.stringify(ids));

// Somebody looks at the order that still runs.
const input = createInterface({ input: process.stdin });
await once(input, "line");
await client.suspendOrchestration(order);
await client.resumeOrchestration(order);
await finished(await request("approve", order));
await finished(order);
console.log(JSON.stringify(ids));

await Promise.all([worker.end(), cardNetwork.end(), client.stop()]);
await sidecar.close();
await telemetry.shutdown();
