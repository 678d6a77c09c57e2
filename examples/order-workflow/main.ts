import {
  DurableTaskAttributes,
  NoOpLogger,
  OrchestrationStatus,
  TaskHubGrpcClient,
  TaskHubGrpcWorker,
  type OrchestrationState,
} from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { withDurableTelemetry } from "durable-telemetry";
import { setupOtlp } from "durable-telemetry/otlp";
import { renderTrace, renderTraceHtml, renderTraceSvg, startLocalSidecar } from "durable-telemetry/testing";
import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { parseArgs, styleText } from "node:util";
import {
  approvalDesk,
  chargeCard,
  releaseItems,
  requestApproval,
  reserveItem,
  shipOrder,
  type Order,
} from "./activities.ts";
import { approvalPolicy, auditTrail } from "./middlewares.ts";
import { payOrder, processOrder } from "./orchestrations.ts";
import { orders } from "./orders.ts";
import { ProgressLog } from "./progress.ts";
import { questionsAbout } from "./questions.ts";

// --html and --svg write pictures of the traces; --order limits them to that order's trace.
const {
  html,
  svg,
  order: pictured,
} = parseArgs({
  options: { html: { type: "string" }, svg: { type: "string" }, order: { type: "string" } },
}).values;

// Telemetry goes to a collector if there is one; else spans are kept here for the waterfalls.
const collector = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"];
const memory = new InMemorySpanExporter();
const telemetry = collector ? setupOtlp({ serviceName: "order-workflow" }) : keepSpans(memory);

function keepSpans(exporter: InMemorySpanExporter): NodeSDK {
  const sdk = new NodeSDK({
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return sdk;
}

const sidecar = await startLocalSidecar();
const hostAddress = sidecar.address;
const client = new TaskHubGrpcClient({ hostAddress, logger: new NoOpLogger() });
const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress, logger: new ProgressLog() }), {
  use: [auditTrail, approvalPolicy],
});
for (const orchestrator of [processOrder, payOrder]) worker.addOrchestrator(orchestrator);
for (const activity of [reserveItem, releaseItems, chargeCard, shipOrder]) worker.addActivity(activity);
worker.addActivity(requestApproval);

// Somebody approves what needs approval, after a look at it. The event carries on the trace of the request for it.
approvalDesk.on("request", (orderId) => void approve(orderId));

async function approve(orderId: string): Promise<void> {
  await setTimeout(350);
  await client.raiseOrchestrationEvent(orderId, "approval", "approved");
}

async function run(order: Order): Promise<OrchestrationState> {
  await client.scheduleNewOrchestration(processOrder, order, order.id);
  const state = await client.waitForOrchestrationCompletion(order.id, true, 15);
  if (state === undefined) throw new Error(`The task hub does not know ${order.id}.`);
  return state;
}

console.log(`${orders.length} orders. Middlewares, outermost first: ${worker.middlewares.join(", ")}.\n`);
await worker.start();
const states = await Promise.all(orders.map(run));
await Promise.all([worker.stop(), client.stop()]);
await sidecar.close();

for (const state of states) {
  console.log(`\n${outcomeOf(state)}`);
  if (!collector) console.log(renderTrace(traceOf(state.instanceId)));
}
if (!collector) {
  console.log(`\n${styleText("bold", "What somebody on call asks")}`);
  for (const { question, answers, lookup } of questionsAbout(memory.getFinishedSpans())) {
    console.log(`\n${question}`);
    for (const answer of answers) console.log(`  ${answer}`);
    console.log(styleText("dim", `  in a backend: ${lookup}`));
  }
}
const inPictures = states.filter(({ instanceId }) => pictured === undefined || pictured === instanceId);
const drawn = inPictures.flatMap(({ instanceId }) => traceOf(instanceId));
if (html !== undefined) writeFileSync(html, renderTraceHtml(drawn));
if (svg !== undefined) writeFileSync(svg, renderTraceSvg(drawn));
for (const file of [html, svg]) if (file !== undefined) console.log(`\n${drawn.length} spans are in ${file}.`);
console.log(
  collector
    ? `\nTraces, metrics and logs are sent to ${collector}; a line says so if they do not arrive.`
    : "\nSet OTEL_EXPORTER_OTLP_ENDPOINT to see them in a backend.",
);
await telemetry.shutdown();

function outcomeOf({ instanceId, runtimeStatus, serializedOutput, failureDetails }: OrchestrationState): string {
  const order = styleText("bold", instanceId);
  if (runtimeStatus === OrchestrationStatus.COMPLETED)
    return `${order} ${styleText("green", "completed")}: ${serializedOutput}`;
  return `${order} ${styleText("red", "failed")}: ${failureDetails?.message}`;
}

/** All spans of the trace that an orchestration's span is in. */
function traceOf(instanceId: string): ReadableSpan[] {
  const spans = memory.getFinishedSpans();
  const isOrchestration = ({ kind, attributes }: ReadableSpan): boolean =>
    kind === SpanKind.SERVER && attributes[DurableTaskAttributes.TASK_INSTANCE_ID] === instanceId;
  const traceId = spans.find(isOrchestration)?.spanContext().traceId;
  return spans.filter((span) => span.spanContext().traceId === traceId);
}
