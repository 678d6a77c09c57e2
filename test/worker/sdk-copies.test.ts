/** Projects that hold other copies of the SDK than the one that this package finds, or none, or a bundle. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import type { TraceContext } from "../../src/pipeline/index.ts";
import { orchestrationTraceContextMessage, scheduledBy } from "../../src/worker/messages.ts";
import { program, Workspace } from "../docs/workspace.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sdk = "@microsoft/durabletask-js";

/** A project with this package, and copies of the SDK at the paths in `copies`, each of its version. */
function project(copies: Readonly<Record<string, string>>): Workspace {
  const workspace = new Workspace();
  for (const each of ["dist", "package.json"]) {
    cpSync(join(root, each), join(workspace.path, "node_modules/durable-telemetry", each), { recursive: true });
  }
  workspace.link(["@opentelemetry/api", "@grpc/grpc-js", "google-protobuf", "lru-cache", "ms"]);
  for (const [path, version] of Object.entries(copies)) copySdk(workspace, path, version);
  workspace.write("package.json", JSON.stringify({ name: "app", version: "9.9.9", type: "commonjs" }));
  return workspace;
}

function copySdk(workspace: Workspace, path: string, version: string): void {
  const target = join(workspace.path, path);
  cpSync(join(root, "node_modules", sdk), target, { recursive: true, dereference: true });
  const manifest = JSON.parse(readFileSync(join(target, "package.json"), "utf8")) as object;
  writeFileSync(join(target, "package.json"), JSON.stringify({ ...manifest, version }));
  if (version !== "0.4.0") takeExecutionIds(target);
}

// What the next release does: an activity's response names the execution.
function takeExecutionIds(target: string): void {
  for (const [file, from, to] of [
    [
      "in-memory-backend.js",
      "completeActivity(instanceId, taskId, result, error) {",
      "completeActivity(instanceId, executionId, taskId, result, error) {",
    ],
    [
      "test-worker.js",
      "this.backend.completeActivity(instanceId, taskId, ",
      "this.backend.completeActivity(instanceId, workItem.executionId, taskId, ",
    ],
  ] as const) {
    const path = join(target, "dist/testing", file);
    const source = readFileSync(path, "utf8");
    const changed = source.replaceAll(from, to);
    if (changed === source) throw new Error(`${file} of the SDK is not as expected: this test must follow it.`);
    writeFileSync(path, changed);
  }
}

/** Decorates a worker of each copy, and says what became of it. */
const decorate = (...requires: readonly string[]): string => `
const { withDurableTelemetry } = require("durable-telemetry");
const quiet = { error() {}, warn: console.log, info() {}, debug() {} };
for (const worker of [${requires.map((each) => `() => new (require("${each}").TaskHubGrpcWorker)({ logger: quiet })`).join(", ")}]) {
  try {
    console.log(withDurableTelemetry(worker(), { startupCheck: false }).middlewares.length);
  } catch (error) {
    console.log(error.message);
  }
}`;

async function output(workspace: Workspace, source: string, file = "app.cjs"): Promise<string[]> {
  workspace.write(file, source);
  const { stdout, stderr, code } = await workspace.run(process.execPath, [file]);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout.trimEnd().split("\n");
}

const outOfRange = (version: string): string =>
  `withDurableTelemetry: the Durable Task SDK is out of range: found ${sdk} ${version}, supported is >=0.4.0 <1. Install a version in the range.`;

describe("The SDK's version", () => {
  it("R1 is that of the worker's own copy, nested in a dependency, whichever this package finds", async () => {
    using workspace = project({
      [`node_modules/${sdk}`]: "0.4.0",
      [`node_modules/newer/node_modules/${sdk}`]: "1.2.0",
      [`node_modules/next/node_modules/${sdk}`]: "0.9.7",
    });
    for (const name of ["newer", "next"])
      workspace.write(`node_modules/${name}/index.js`, `module.exports = require("${sdk}");`);
    expect(await output(workspace, decorate(sdk, "newer", "next"))).toEqual(["3", outOfRange("1.2.0"), "3"]);
  });

  it("R1 one out of range that this package finds is no hindrance to a worker of a copy in range", async () => {
    using workspace = project({ [`node_modules/${sdk}`]: "1.2.0", [`node_modules/own/node_modules/${sdk}`]: "0.4.0" });
    workspace.write("node_modules/own/index.js", `module.exports = require("${sdk}");`);
    expect(await output(workspace, decorate("own", sdk))).toEqual(["3", outOfRange("1.2.0")]);
  });

  it("R1 is found through links, as pnpm makes them, under another name, and where this package finds no copy at all", async () => {
    using workspace = project({
      [`node_modules/.pnpm/sdk@0.3.9/node_modules/${sdk}`]: "0.3.9",
      [`node_modules/.pnpm/sdk@0.4.0/node_modules/${sdk}`]: "0.4.0",
    });
    workspace.linkAs("old", join(workspace.path, `node_modules/.pnpm/sdk@0.3.9/node_modules/${sdk}`));
    workspace.linkAs("right", join(workspace.path, `node_modules/.pnpm/sdk@0.4.0/node_modules/${sdk}`));
    expect(await output(workspace, decorate("old", "right"))).toEqual([outOfRange("0.3.9"), "3"]);
  });

  it("R1 is the SDK's for a subclass of an application, and where the application exports the class itself", async () => {
    using workspace = project({ [`node_modules/${sdk}`]: "1.2.0" });
    workspace.write(
      "sdk.js",
      `const { TaskHubGrpcWorker } = require("${sdk}"); module.exports = { TaskHubGrpcWorker };`,
    );
    workspace.write(
      "own.js",
      `const { TaskHubGrpcWorker } = require("./sdk.js"); exports.TaskHubGrpcWorker = class Own extends TaskHubGrpcWorker {};`,
    );
    expect(await output(workspace, decorate("./own.js", "./sdk.js"))).toEqual([
      outOfRange("1.2.0"),
      outOfRange("1.2.0"),
    ]);
  });

  it("R1 is found for a worker that an ES module imports", async () => {
    using workspace = project({ [`node_modules/${sdk}`]: "1.2.0" });
    const source = `import { withDurableTelemetry } from "durable-telemetry";
import { TaskHubGrpcWorker } from "${sdk}";
try { withDurableTelemetry(new TaskHubGrpcWorker({})); } catch (error) { console.log(error.message); }`;
    expect(await output(workspace, source, "app.mjs")).toEqual([outOfRange("1.2.0")]);
  });

  it("R1 is unknown in a bundle: the shape of the worker decides, and the error says so", async () => {
    using workspace = project({ [`node_modules/${sdk}`]: "1.2.0" });
    const source = `${decorate(sdk)}
const { _executeActivityInternal, ...rest } = Object.getOwnPropertyDescriptors(require("${sdk}").TaskHubGrpcWorker.prototype);
try { withDurableTelemetry(Object.assign(Object.create({}, rest), { _registry: {} })); } catch (error) { console.log(error.message); }`;
    workspace.write("app.cjs", source);
    const bundled = await workspace.run(program("rolldown"), [
      "app.cjs",
      "--platform",
      "node",
      "--format",
      "cjs",
      "--file",
      "bundle.cjs",
    ]);
    expect([bundled.code, bundled.stderr.includes("rror")]).toEqual([0, false]);
    using elsewhere = new Workspace();
    const lines = await output(elsewhere, readFileSync(join(workspace.path, "bundle.cjs"), "utf8"));
    expect(lines).toEqual([
      "3",
      expect.stringMatching(
        /lacks _executeActivityInternal, .* found @microsoft\/durabletask-js of an unknown version/,
      ),
    ]);
  });
});

describe("Messages that are created for a worker", () => {
  class OwnTraceContext extends pb.TraceContext {}
  class OwnTask extends pb.ScheduleTaskAction {
    static override deserializeBinary(bytes: Uint8Array): pb.ScheduleTaskAction {
      const decoded = pb.ScheduleTaskAction.deserializeBinary(bytes).getParenttracecontext();
      return new OwnTask().setParenttracecontext(
        decoded && new OwnTraceContext().setTracestate(decoded.getTracestate()),
      );
    }
  }

  it.each<[string, TraceContext]>([
    [
      "with a trace state",
      { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "vendor=1" },
    ],
    ["without one", { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00" }],
  ])("I8 a trace context %s is of the class that the worker's own copy of the SDK decodes", (_, context) => {
    for (const task of [new OwnTask(), new OwnTask(), new pb.ScheduleTaskAction()]) {
      scheduledBy([new pb.OrchestratorAction().setId(1).setScheduletask(task)], undefined)[0]?.setTraceContext?.(
        context,
      );
      const message = task.getParenttracecontext();
      expect(message instanceof OwnTraceContext).toBe(task instanceof OwnTask);
      expect(message?.toObject()).toEqual({
        traceparent: context.traceparent,
        spanid: "b7ad6b7169203331",
        tracestate: context.tracestate === undefined ? undefined : { value: context.tracestate },
      });
    }
  });

  it("I8 a span's identity is too, to the millisecond, before 1970 as well", () => {
    for (const time of [new Date(1_700_000_000_123), new Date(0), new Date(-1)]) {
      const message = orchestrationTraceContextMessage(new pb.OrchestratorResponse(), "b7ad6b7169203331", time);
      const read = pb.OrchestrationTraceContext.deserializeBinary(message?.serializeBinary() ?? new Uint8Array());
      expect(read.getSpanid()?.getValue()).toBe("b7ad6b7169203331");
      expect(read.getSpanstarttime()?.toDate()).toEqual(time);
    }
  });
});

describe("Two copies of the SDK in one process", () => {
  const requests = `
const { withDurableTelemetry } = require("durable-telemetry");
const off = { tracing: false, metrics: false, logging: false };
for (const level of ["error", "info", "debug"]) console[level] = () => {};

async function inMemory(name) {
  const { InMemoryOrchestrationBackend, TestOrchestrationClient, TestOrchestrationWorker } = require(name);
  const backend = new InMemoryOrchestrationBackend();
  const outcomes = [];
  const observer = {
    name: "observer",
    orchestration: async (ctx, next) => void (await next(ctx)),
    activity: async (ctx, next) => void (await next(ctx)),
    workItem: () => ({ onResponse: ({ outcome }) => outcomes.push(outcome.failure?.message ?? outcome.status) }),
  };
  const worker = withDurableTelemetry(new TestOrchestrationWorker(backend), { ...off, use: [observer] });
  worker.addNamedActivity("work", () => "Error: not really");
  worker.addNamedActivity("fail", () => { throw new RangeError("no"); });
  worker.addNamedOrchestrator("main", async function* (ctx) {
    yield ctx.callActivity("work");
    try { yield ctx.callActivity("fail"); } catch { return "caught"; }
  });
  await worker.start();
  const client = new TestOrchestrationClient(backend);
  const state = await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("main"), true, 10);
  await worker.stop();
  return [state.serializedOutput, ...outcomes].join(" ");
}

async function traced(name) {
  const { TaskHubGrpcWorker } = require(name);
  const pb = require(name + "/dist/proto/orchestrator_service_pb.js");
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: { error() {}, warn: console.log, info() {}, debug() {} } }), { startupCheck: false });
  worker.addNamedOrchestrator("main", async function* (ctx) { yield ctx.callActivity("work"); });
  const context = new pb.TraceContext().setTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  const started = new pb.ExecutionStartedEvent().setName("main").setParenttracecontext(context);
  const request = new pb.OrchestratorRequest().setInstanceid("i").setNeweventsList([
    new pb.HistoryEvent().setOrchestratorstarted(new pb.OrchestratorStartedEvent()),
    new pb.HistoryEvent().setExecutionstarted(started),
  ]);
  const response = pb.OrchestratorResponse.deserializeBinary(await worker.processOrchestratorRequest(request.serializeBinary()));
  const task = response.getActionsList()[0].getScheduletask();
  return [task.getParenttracecontext().getTraceparent().slice(0, 36), response.getOrchestrationtracecontext().getSpanid().getValue().length].join(" ");
}

const names = ["older", "next"];
const run = async (of) => { for (const name of names) console.log(await of(name)); };
run(inMemory).then(() => run(traced));
`;

  it("I4 of different releases: outcomes, trace contexts and span identities are right on both", async () => {
    using workspace = project({ "node_modules/older": "0.4.0", "node_modules/next": "0.9.7" });
    expect(await output(workspace, requests)).toEqual([
      '"caught" waiting completed waiting no completed',
      '"caught" waiting completed waiting no completed',
      "00-0af7651916cd43dd8448eb211c80319c- 16",
      "00-0af7651916cd43dd8448eb211c80319c- 16",
    ]);
  });
});
