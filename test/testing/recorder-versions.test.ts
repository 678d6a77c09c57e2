/** The recorder as it is installed: the packed package beside each version of OpenTelemetry's API. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../docs/markdown.ts";
import { program, Workspace, type Ended } from "../docs/workspace.ts";

/** Notes which packages are loaded, by `import` and by `require`. */
const noteLoaded = `
const loaded = new Set();
require("node:module").registerHooks({
  load(url, context, next) {
    const names = [...url.matchAll(/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//g)].map(([, name]) => name);
    if (names.length > 0) loaded.add(names.at(-1));
    return next(url, context);
  },
});
globalThis.loadedPackages = loaded;
`;

/** Records all signals twice: with what was taken before there was a recorder, and with what was taken after. */
const steps = (load: (name: string) => string): string => `
const { metrics, trace } = ${load("@opentelemetry/api")};
const { createTelemetryRecorder, startLocalSidecar } = ${load("durable-telemetry/testing")};
const { withDurableTelemetry } = ${load("durable-telemetry")};
const loaded = [...globalThis.loadedPackages].filter((name) => name.startsWith("@opentelemetry/"));
const { logs } = process.env.LOGS === "@opentelemetry/api" ? ${load("@opentelemetry/api")} : ${load("@opentelemetry/api-logs")};
const early = { tracer: trace.getTracer("early"), logger: logs.getLogger("early") };
const options = process.env.SDK === undefined ? {} : sdkOptions(${load("@opentelemetry/sdk-trace-base")});
const seen = [];
for (let time = 0; time < 2; time += 1) {
  const recorder = createTelemetryRecorder(options);
  const { tracer, logger } = time === 0 ? early : { tracer: trace.getTracer("late"), logger: logs.getLogger("late") };
  tracer.startActiveSpan("outer", (outer) => {
    tracer.startSpan("inner").end();
    logger.emit({ body: "line", attributes: { at: time } });
    outer.end();
  });
  const meter = metrics.getMeter("shop");
  meter.createCounter("orders").add(2);
  meter.createHistogram("size", { advice: { explicitBucketBoundaries: [1, 2] } }).record(2);
  meter.createObservableGauge("stock").addCallback((result) => result.observe(5 + time));
  const traceId = await recorder.waitForTrace("outer");
  recorder.assertWhole(traceId);
  const line = await recorder.waitForLog("line");
  seen.push({
    tree: recorder.treeText(traceId),
    log: [line.attributes, line.instrumentationScope.name, line.spanContext?.traceId === traceId],
    metrics: (await recorder.metrics()).map(({ name, points: [{ value, buckets }] }) => [name, value ?? buckets.counts.join()]),
    enabled: logger.enabled?.() ?? true,
  });
  await recorder.shutdown();
  logger.emit({ body: "nobody's" });
  if (recorder.logs().length !== 1) throw new Error("A record came after the end.");
}

const { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } = ${load("@microsoft/durabletask-js")};
const recorder = createTelemetryRecorder();
const sidecar = await startLocalSidecar();
const connection = { hostAddress: sidecar.address, logger: new NoOpLogger() };
const worker = withDurableTelemetry(new TaskHubGrpcWorker(connection));
const client = new TaskHubGrpcClient(connection);
worker.addNamedActivity("charge", () => "paid");
worker.addNamedOrchestrator("order", async function* (ctx) { return yield ctx.callActivity("charge"); });
await worker.start();
await client.scheduleNewOrchestration("order");
const traceId = await recorder.waitForTrace("orchestration:order");
recorder.assertWhole(traceId);
const { points } = await recorder.waitForMetric("durabletask.orchestration.duration");
const finished = await recorder.waitForLog("durabletask.orchestration.finished");
const workflow = { tree: recorder.treeText(traceId).split("\\n"), orchestrations: points[0].count, isLogged: finished.spanContext?.traceId === traceId };
await Promise.all([worker.stop(), client.stop()]);
await sidecar.close();
await recorder.shutdown();

const exported = options.exporter?.getFinishedSpans().map(({ name, resource }) => [name, resource.attributes["service.name"]]);
console.log(JSON.stringify({ loaded, seen, workflow, exported }));
`;

const sdkOptions = `
function sdkOptions({ AlwaysOnSampler, InMemorySpanExporter, ParentBasedSampler, RandomIdGenerator, SimpleSpanProcessor }) {
  const exporter = new InMemorySpanExporter();
  exporter.shutdown = async () => undefined;
  const options = { sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }), idGenerator: new RandomIdGenerator(), spanProcessors: [new SimpleSpanProcessor(exporter)] };
  return Object.defineProperty(options, "exporter", { value: exporter });
}
`;

const types = `
import { createTelemetryRecorder, type RecordedLogRecord, type RecordedMetric, type RecordedSpan } from "durable-telemetry/testing";
const recorder = createTelemetryRecorder({ sampler: undefined });
export const spans: readonly RecordedSpan[] = recorder.spans(({ attributes, events, links }) => attributes["a"] === 1 && events.length + links.length === 0);
export const logs: readonly RecordedLogRecord[] = recorder.logs(({ severityNumber = 0, body }) => severityNumber > 9 && body === "line");
export const metrics: Promise<readonly RecordedMetric[]> = recorder.metrics("orders");
`;
const sdkTypes = `
import { AlwaysOnSampler, InMemorySpanExporter, RandomIdGenerator, SimpleSpanProcessor, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
createTelemetryRecorder({ sampler: new AlwaysOnSampler(), idGenerator: new RandomIdGenerator(), spanProcessors: [new SimpleSpanProcessor(new InMemorySpanExporter())] });
export const readable: ReadableSpan[] = [...recorder.spans()];
`;

const workspace = new Workspace();
afterAll(() => workspace[Symbol.dispose]());
let packed: string;
beforeAll(async () => {
  // Without the scripts: `dist` is built already, and other tests may be reading it.
  const ended = await workspace.run("npm", [
    "pack",
    fileURLToPath(root),
    "--ignore-scripts",
    "--offline",
    "--silent",
    "--pack-destination",
    workspace.path,
  ]);
  expect(ended).toMatchObject({ code: 0 });
  packed = join(workspace.path, ended.stdout.trim());
});

describe.each(["api@1.9.0 sdk-trace-base@2.12.0 api-logs@0.223.0", "api@1.9.1 api-logs@0.57.2", "api@1.10.0"])(
  "Beside %s, a recorder",
  (names) => {
    const installed = names.split(" ").map((name) => `@opentelemetry/${name}`);
    const sdk = installed.some((name) => name.includes("sdk"));
    const logsApi = installed.some((name) => name.includes("api-logs"))
      ? "@opentelemetry/api-logs"
      : "@opentelemetry/api";
    const project = new Workspace();
    afterAll(() => project[Symbol.dispose]());
    beforeAll(async () => {
      project.write("package.json", JSON.stringify({ type: "module" }));
      const flags = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
      expect(
        await project.run("npm", ["install", ...flags, packed, "@microsoft/durabletask-js@0.4.0", ...installed]),
      ).toMatchObject({ code: 0 });
      const before = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;
      project.write("note.cjs", noteLoaded);
      project.write("program.mjs", `${before}${sdkOptions}${steps((name) => `(await import("${name}"))`)}`);
      project.write("program.cjs", `${sdkOptions}(async () => {${steps((name) => `require("${name}")`)}})();`);
    });

    const result = (ended: Ended): unknown => {
      expect(ended).toMatchObject({ code: 0, stderr: "" });
      return JSON.parse(ended.stdout) as unknown;
    };
    const signals = (time: number, scope: string): unknown => ({
      tree: "outer internal\n└─ inner internal",
      log: [{ at: time }, scope, true],
      metrics: [
        ["orders", 2],
        ["size", "0,1,0"],
        ["stock", 5 + time],
      ],
      enabled: true,
    });

    it.each(["program.mjs", "program.cjs"])(
      "records all three signals of a program and of a workflow, in %s, and loads no package of OpenTelemetry but the API",
      async (file) => {
        const env = { LOGS: logsApi, ...(sdk ? { SDK: "2" } : {}) };
        const { loaded, seen, workflow, exported } = result(
          await project.run(process.execPath, ["--require", "./note.cjs", file], env),
        ) as Record<string, unknown>;
        expect(loaded).toEqual(["@opentelemetry/api"]);
        expect(seen).toMatchObject([signals(0, "early"), signals(1, "late")]);
        expect(workflow).toEqual({
          tree: [
            "create_orchestration:order producer ok",
            '└─ orchestration:order server {durabletask.task.status="Completed"}',
            "   └─ activity:charge client",
            "      └─ activity:charge server",
          ],
          orchestrations: 1,
          isLogged: true,
        });
        // The processor was shut down with the first recorder.
        expect(exported).toEqual(sdk ? ["inner", "outer"].map((name) => [name, "unknown_service:node"]) : undefined);
      },
    );

    it("has types that compile with those of the API, without skipLibCheck", async () => {
      project.write("types.ts", types + (sdk ? sdkTypes : ""));
      const flags = [
        "--noEmit",
        "--strict",
        "--exactOptionalPropertyTypes",
        "--module",
        "nodenext",
        "--target",
        "es2023",
        "--lib",
        "es2023,esnext.disposable,dom",
        "--types",
        "",
        "types.ts",
      ];
      expect(await project.run(program("tsc"), flags)).toEqual({ code: 0, stdout: "", stderr: "" });
    });
  },
);
