/**
 * Runs workflows on Dapr's engine in all tracing modes, and writes the table in docs/dapr.md: `npm run engines` does. In a
 * process of its own, as Dapr's SDK and the Durable Task SDK break each other.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { DaprWorkflowClient, WorkflowRuntime } from "@dapr/dapr";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { withDurableTelemetry } from "../../src/index.ts";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { build } from "../go-programs.ts";
import { count, received, recorded } from "../engines/counts.ts";
import { startHub } from "../engines/dapr-durabletask-go/hub.ts";
import { startReceiver } from "../otlp/receiver.ts";
import { register, scenarios } from "./scenarios.ts";

const page = new URL("../../docs/dapr.md", import.meta.url);
const [begin, end] = ["<!-- engines: npm run engines -->", "<!-- /engines -->"];

/** How a set-up traces: without a value for `backendSpans`, without this package. */
interface Mode {
  readonly title: string;
  readonly engine: boolean;
  readonly backendSpans?: "beside" | "instead";
}
const modes: readonly Mode[] = [
  { title: "this package", engine: false, backendSpans: "beside" },
  { title: "the engine's spans beside this package's", engine: true, backendSpans: "beside" },
  { title: "the engine's spans instead of this package's", engine: true, backendSpans: "instead" },
  { title: "the engine's spans alone", engine: true },
];

const program = build("dapr-durabletask-go");
const spans = new RecordedSpans(() => undefined);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [spans] }));
// Orchestrations, and failures of activities, log to the console.
const { log } = console;
console.info = console.error = () => undefined;

const rows = new Map<string, string[]>(scenarios.map(({ title }) => [title, []]));
for (const mode of modes) await measure(mode);
const [before = "", rest = ""] = readFileSync(page, "utf8").split(begin);
const head = [`| workflow | ${modes.map(({ title }) => title).join(" | ")} |`, `|---${"|---".repeat(modes.length)}|`];
const table = [...head, ...[...rows].map(([title, cells]) => `| ${title} | ${cells.join(" | ")} |`)].join("\n");
log(table);
writeFileSync(page, `${before}${begin}\n${table}\n${rest.slice(rest.indexOf(end))}`);
process.exit(0);

async function measure({ title, engine, backendSpans }: Mode): Promise<void> {
  process.stderr.write(`${title} …\n`);
  await using receiver = await startReceiver();
  await using hub = await startHub(program, engine ? { otlp: receiver.url } : {});
  const options = { daprHost: "127.0.0.1", daprPort: String(hub.port) };
  const start = async (): Promise<WorkflowRuntime> => {
    const plain = new WorkflowRuntime(options);
    const runtime = backendSpans === undefined ? plain : withDurableTelemetry(plain, { tracing: { backendSpans } });
    register(runtime);
    await runtime.start();
    return runtime;
  };
  const [one, two] = [await start(), await start()];
  const plainClient = new DaprWorkflowClient(options);
  const client = backendSpans === undefined ? plainClient : withDurableTelemetry(plainClient);
  for (const { input, name, title: row } of scenarios) {
    const first = { ours: spans.ended.length, engine: receiver.spans.length };
    const id = await client.scheduleNewWorkflow(name, input);
    if (name === "nested") await client.raiseEvent(id, "go", "went");
    await client.waitForWorkflowCompletion(id, false, 60);
    // The last spans come a moment after the client knows.
    await setTimeout(600);
    const counts = count([
      ...spans.ended.slice(first.ours).map(recorded),
      ...receiver.spans.slice(first.engine).map(received),
    ]);
    rows
      .get(row)
      ?.push([counts.spans, counts.traces, counts.orphans, counts.doubled, counts["user spans nested"]].join(", "));
  }
  await Promise.all([one.stop(), two.stop(), client.stop()]);
}
