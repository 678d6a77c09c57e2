import { DaprWorkflowClient, WorkflowRuntime } from "@dapr/dapr";
import { SpanKind, trace } from "@opentelemetry/api";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { withDurableTelemetry } from "durable-telemetry";
import { setupOtlp } from "durable-telemetry/otlp";
import { build } from "../../test/go-programs.ts";
import { startHub } from "../../test/engines/dapr-durabletask-go/hub.ts";
import { registerOrders } from "./workflows.ts";

// Telemetry goes to a collector if there is one; else spans are kept here.
const memory = new InMemorySpanExporter();
const telemetry = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] ? setupOtlp({ serviceName: "orders" }) : keepSpans();

function keepSpans(): NodeSDK {
  const sdk = new NodeSDK({
    spanProcessors: [new SimpleSpanProcessor({ exporter: memory })],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return sdk;
}

const sidecar = process.env["DAPR_GRPC_PORT"];
const engine = sidecar === undefined ? await startHub(build("dapr-durabletask-go")) : undefined;
const options = { daprHost: "127.0.0.1", daprPort: sidecar ?? String(engine?.port) };

const runtime = withDurableTelemetry(new WorkflowRuntime(options));
registerOrders(runtime);
await runtime.start();
const client = withDurableTelemetry(new DaprWorkflowClient(options));

const state = await trace.getTracer("orders").startActiveSpan("POST /orders", async (span) => {
  const id = await client.scheduleNewWorkflow("order", "a teapot");
  span.end();
  return client.waitForWorkflowCompletion(id);
});
console.log(state?.serializedOutput);

await Promise.all([runtime.stop(), client.stop()]);
printTree(memory.getFinishedSpans());
await telemetry.shutdown();
await engine?.[Symbol.asyncDispose]();

function printTree(spans: readonly ReadableSpan[], parentId?: string, indent = ""): void {
  for (const span of spans) {
    if (span.parentSpanContext?.spanId !== parentId) continue;
    console.log(`${indent}${span.name} (${SpanKind[span.kind]})`);
    printTree(spans, span.spanContext().spanId, `${indent}  `);
  }
}
