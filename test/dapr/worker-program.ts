// A worker in a process of its own, `worker-program.ts PORT BACKEND_SPANS [HANG_AT]`, whose spans go to a collector. It hangs in
// that activity.
import { WorkflowRuntime, type WorkflowActivityContext, type WorkflowContext } from "@dapr/dapr";
import { trace } from "@opentelemetry/api";
import { withDurableTelemetry } from "../../src/index.ts";
import { setupOtlp } from "../../src/otlp/index.ts";
import type { Steps } from "./fixture.ts";

const [daprPort = "", backendSpans = "", hangAt] = process.argv.slice(2);
const telemetry = setupOtlp({ serviceName: "worker", metrics: false, logs: false });
const runtime = withDurableTelemetry(new WorkflowRuntime({ daprHost: "127.0.0.1", daprPort }), {
  tracing: { backendSpans: backendSpans as "beside" | "instead" },
  metrics: false,
  logging: false,
});
runtime.registerActivityWithName("step", async (_: WorkflowActivityContext, step: number) => {
  trace.getTracer("user").startSpan("in activity").end();
  if (String(step) !== hangAt) return step;
  await telemetry.forceFlush();
  process.stdout.write("hangs\n");
  return new Promise(() => undefined);
});
runtime.registerWorkflowWithName("steps", async function* (ctx: WorkflowContext, steps: number): Steps {
  let last: unknown;
  for (let step = 1; step <= steps; step += 1) last = yield ctx.callActivity("step", step);
  return last;
});
await runtime.start();
process.stdin.resume().once("end", () => {
  void runtime.stop().then(() => telemetry.shutdown());
});
