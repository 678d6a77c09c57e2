import { cpSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { installedPackages, program, Workspace, type Ended } from "../docs/workspace.ts";
import { startReceiver, type ReceivedSpan } from "../otlp/receiver.ts";
import { DaprHub } from "./hub.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A project with Dapr's SDK and this package as they are published: without the Durable Task SDK, if asked. */
function project({ microsoft = false } = {}): Workspace {
  const workspace = new Workspace();
  workspace.link(installedPackages().filter((name) => microsoft || !name.startsWith("@microsoft/")));
  for (const part of ["dist", "package.json"]) {
    cpSync(join(root, part), join(workspace.path, "node_modules/durable-telemetry", part), { recursive: true });
  }
  workspace.write("package.json", JSON.stringify({ type: "module" }));
  return workspace;
}

/** An application that knows nothing of this package, but for what `setup` does before and with its runtime. */
const application = (before = "", decorate = "(each) => each"): string => `
  ${before}
  import { DaprWorkflowClient, WorkflowRuntime } from "@dapr/dapr";
  const decorate = ${decorate};
  const options = { daprHost: "127.0.0.1", daprPort: process.env.PORT };
  const runtime = decorate(new WorkflowRuntime(options));
  runtime.registerActivityWithName("hello", async (ctx, name) => "Hello " + name);
  runtime.registerWorkflowWithName("greet", async function* (ctx, name) {
    return yield ctx.callActivity("hello", name);
  });
  await runtime.start();
  const client = decorate(new DaprWorkflowClient(options));
  const state = await client.waitForWorkflowCompletion(await client.scheduleNewWorkflow("greet", "you"), true, 5);
  console.log("RESULT", state.serializedOutput);
  await Promise.all([runtime.stop(), client.stop()]);
`;

async function runIn(
  workspace: Workspace,
  hub: DaprHub,
  code: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const file = workspace.write("app.mjs", code);
  return workspace.run(process.execPath, [...args, file], { PORT: String(hub.port), ...env });
}

const names = (spans: readonly ReceivedSpan[]): readonly string[] => spans.map(({ name }) => name).toSorted();
const expected = ["activity:hello", "activity:hello", "create_orchestration:greet", "orchestration:greet"];

describe.concurrent("An application of Dapr Workflow without @microsoft/durabletask-js", () => {
  it("S1 with --import durable-telemetry/register sends one whole trace over OTLP", async () => {
    using workspace = project();
    await using hub = await DaprHub.start();
    await using receiver = await startReceiver();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
    // Dapr's SDK has Node.js warn of a deprecated module.
    const { code, stdout, stderr } = await runIn(
      workspace,
      hub,
      application(),
      ["--no-deprecation", "--import", "durable-telemetry/register"],
      env,
    );
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain('RESULT "Hello you"');
    expect(names(receiver.spans)).toEqual(expected);
    expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
    const ids = new Set(receiver.spans.map(({ spanId }) => spanId));
    expect(
      receiver.spans.filter(({ parentSpanId }) => !parentSpanId || !ids.has(parentSpanId)).map(({ name }) => name),
    ).toEqual(["create_orchestration:greet"]);
  });

  it("R1 loads the entries that it needs: the root, /middlewares, /otlp and /instrumentation, as ES modules and as CommonJS", async () => {
    using workspace = project();
    const entries = ["", "/middlewares", "/otlp", "/instrumentation"].map((each) =>
      JSON.stringify(`durable-telemetry${each}`),
    );
    const file = workspace.write(
      "load.mjs",
      `import { createRequire } from "node:module";
       const require = createRequire(import.meta.url);
       for (const entry of [${entries.join()}]) await Promise.all([import(entry), require(entry)]);
       try { require.resolve("@microsoft/durabletask-js"); } catch { console.log("absent"); }`,
    );
    expect(await workspace.run(process.execPath, [file])).toMatchObject({ code: 0, stdout: "absent\n", stderr: "" });
  });

  it("R1 has types there: the runtime's and the client's own, and those of middleware", async () => {
    using workspace = project();
    workspace.write(
      "app.ts",
      `import { DaprWorkflowClient, WorkflowRuntime } from "@dapr/dapr";
       import { withDurableTelemetry } from "durable-telemetry";
       const runtime = withDurableTelemetry(new WorkflowRuntime(), { tracing: { tags: ["tenant"] } });
       runtime.registerWorkflowWithName("w", async () => 1).registerActivityWithName("a", () => 1);
       runtime.use({ name: "audit", activity: async (ctx, next) => { const id: string = ctx.instanceId; await next(ctx); console.log(id); } });
       const list: readonly string[] = runtime.middlewares;
       const id: Promise<string> = withDurableTelemetry(new DaprWorkflowClient()).scheduleNewWorkflow("w");
       // @ts-expect-error A client has no middleware.
       withDurableTelemetry(new DaprWorkflowClient()).use(() => undefined);
       console.log(list, id);`,
    );
    const options = [
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--types",
      "node",
      "--skipLibCheck",
      "--noEmit",
    ];
    expect(await workspace.run(program("tsc"), [...options, "app.ts"])).toMatchObject({ code: 0, stdout: "" });
  });
});

describe.concurrent("Dapr's SDK and @microsoft/durabletask-js in one process", () => {
  const decorated = 'import { withDurableTelemetry } from "durable-telemetry";\n  ';

  it("R1 where the other one was loaded last, the worker's logger says once what is broken, and what to do", async () => {
    using workspace = project({ microsoft: true });
    await using hub = await DaprHub.start();
    const load =
      'import { createRequire } from "node:module";\n  createRequire(import.meta.url)("@microsoft/durabletask-js");';
    const { stderr, stdout } = await runIn(workspace, hub, application(decorated + load, "withDurableTelemetry"), []);
    expect(stdout).not.toContain("RESULT");
    const warned = stderr
      .split("\n")
      .filter((line) => line.includes("durable-telemetry: this worker can't run work items"));
    expect(warned).toHaveLength(1);
    expect(warned[0]).toMatch(
      /\[DurableTask, Worker\] .*@microsoft\/durabletask-js was loaded after Dapr's SDK and replaced its protobuf classes, .* Load only one of them in a process/,
    );
  });

  it("R1 where Dapr's was loaded last, its worker runs; the Durable Task SDK's says what is broken", async () => {
    using workspace = project({ microsoft: true });
    await using hub = await DaprHub.start();
    const load = 'import { TaskHubGrpcWorker } from "@microsoft/durabletask-js";\n  ';
    const other = `const other = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress: "127.0.0.1:" + process.env.PORT })); await other.start(); await other.stop();`;
    const { stderr, stdout } = await runIn(
      workspace,
      hub,
      application(decorated + load, "withDurableTelemetry") + other,
      [],
    );
    expect(stdout).toContain('RESULT "Hello you"');
    expect(`${stdout}${stderr}`.match(/this worker can't run work items: .*/g)).toEqual([
      expect.stringContaining(
        "Dapr's SDK (@dapr/dapr or @dapr/durabletask-js) was loaded after @microsoft/durabletask-js",
      ) as string,
    ]);
  });
});
