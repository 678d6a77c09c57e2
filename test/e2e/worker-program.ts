/**
 * A worker as a user would run it: in a process of its own, exporting over OTLP. Its arguments are the hub's address
 * and, if it must hang there until it is killed, the step of the workflow. It ends well when its input ends.
 */
import {
  NoOpLogger,
  TaskHubGrpcWorker,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import { withDurableTelemetry } from "../../src/index.ts";
import { setupOtlp } from "../../src/otlp/index.ts";

const [hostAddress = "", hangAt] = process.argv.slice(2);
const telemetry = setupOtlp({ serviceName: "killed-worker" });
const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress, logger: new NoOpLogger() }));

worker.addNamedActivity("step", async (_: ActivityContext, step: number) => {
  trace.getTracer("user").startSpan("in activity").end();
  if (String(step) === hangAt) {
    process.stdout.write(`hangs at ${step}\n`);
    await new Promise(() => undefined);
  }
  return step;
});
worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): AsyncGenerator {
  trace.getTracer("user").startSpan("in orchestrator").end();
  return yield ctx.callActivity("step", 100);
});
worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, steps: number): AsyncGenerator {
  trace.getTracer("user").startSpan("in orchestrator").end();
  for (let step = 1; step <= steps; step += 1) yield ctx.callActivity("step", step);
  yield ctx.createTimer(0.01);
  yield ctx.callSubOrchestrator("child");
  return "done";
});
await worker.start();
process.stdout.write("started\n");
process.stdin.on("end", () => {
  void worker.stop().then(() => telemetry.shutdown());
});
process.stdin.resume();
