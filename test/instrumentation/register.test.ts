import { cpSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { installedPackages, Workspace } from "../docs/workspace.ts";
import { startHungCollector } from "../otlp/collectors.ts";
import type { OtlpReceiver } from "../otlp/receiver.ts";
import { register, startApp, startBackend, tree, wholeTrace, type AppOptions } from "./app.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const fixture = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).href;

const paths = ({ requests }: OtlpReceiver): readonly string[] =>
  [...new Set(requests.map(({ path }) => path))].toSorted();
const quiet = { code: 0, signal: null, stdout: "started\n", stderr: "" };

describe.concurrent("durable-telemetry/register instruments an unchanged application; its trace is whole", () => {
  const commandLines: readonly (readonly [string, AppOptions])[] = [
    ["--import", { nodeArgs: register }],
    ["--require", { nodeArgs: ["--require", "durable-telemetry/register"] }],
    ["NODE_OPTIONS", { nodeArgs: [], env: { NODE_OPTIONS: "--import=durable-telemetry/register" } }],
    ["both", { nodeArgs: [...register, "--require", "durable-telemetry/register"] }],
  ];
  const applications = [
    ["esm.mts", "ES module"],
    ["cjs.cts", "CommonJS module"],
    ["esm-deep.mts", "ES module that imports an inner file of the SDK"],
    ["cjs-deep.cts", "CommonJS module that requires an inner file of the SDK"],
  ] as const;

  // All applications in one way, and one of each module system in the others.
  const applicationsOf = (how: string): typeof applications | readonly (typeof applications)[number][] =>
    how === "--import" ? applications : applications.slice(0, 2);
  it.each(
    commandLines.flatMap(([how, options]) =>
      applicationsOf(how).map(([name, what]) => [how, what, name, options] as const),
    ),
  )("%s, %s", async (_how, _what, name, options) => {
    await using backend = await startBackend();
    await using app = await backend.start(name, options);
    await backend.run("main");
    expect(await app.end()).toEqual(quiet);
    expect(tree(backend.receiver.spans)).toEqual(wholeTrace);
  });

  it("with several copies of the SDK", async () => {
    using workspace = new Workspace();
    workspace.link(installedPackages().filter((name) => name !== "@microsoft/durabletask-js"));
    workspace.linkAs("durable-telemetry", root);
    for (const at of ["", "node_modules/tasks/"]) {
      cpSync(
        join(root, "node_modules/@microsoft/durabletask-js"),
        join(workspace.path, at, "node_modules/@microsoft/durabletask-js"),
        { recursive: true },
      );
    }
    workspace.write(
      "node_modules/tasks/index.js",
      'exports.Worker = require("@microsoft/durabletask-js").TaskHubGrpcWorker;',
    );
    const serve = JSON.stringify(fixture("serve.mts"));
    const file = workspace.write(
      "app.mjs",
      `import { TaskHubGrpcWorker } from "@microsoft/durabletask-js";
       import { Worker } from "tasks";
       import { options, serve } from ${serve};
       if (Worker === TaskHubGrpcWorker) throw new Error("There is one copy.");
       await serve(new (process.argv[3] === "own" ? TaskHubGrpcWorker : Worker)(options));`,
    );
    await using backend = await startBackend();
    for (const copy of ["own", "other"]) {
      await using app = await backend.start(`file://${file}`, { args: [copy], cwd: workspace.path });
      await backend.run("main");
      expect(await app.end()).toEqual(quiet);
    }
    expect(tree(backend.receiver.spans)).toEqual([...wholeTrace, ...wholeTrace].toSorted());
  });

  it("delivers all three signals, with the service's name", async () => {
    await using backend = await startBackend();
    await using app = await backend.start("esm.mts", { env: { OTEL_SERVICE_NAME: "orders" } });
    await backend.run("main");
    expect(await app.end()).toEqual(quiet);
    expect(paths(backend.receiver)).toEqual(["/v1/logs", "/v1/metrics", "/v1/traces"]);
    expect(new Set(backend.receiver.spans.map(({ resource }) => resource["service.name"]))).toEqual(
      new Set(["orders"]),
    );
  });
});

describe.concurrent("OTEL_SDK_DISABLED=true", () => {
  it.each(["true", " TRUE "])("(%j) leaves the application as it is without the package", async (value) => {
    await using backend = await startBackend();
    const looks: string[] = [];
    for (const nodeArgs of [[], register]) {
      await using app = await backend.start("looks.cts", { nodeArgs, env: { OTEL_SDK_DISABLED: value } });
      await app.printed("propagation");
      looks.push((await app.end()).stdout);
    }
    expect(looks[1]).toBe(looks[0]);
    expect(backend.receiver.requests).toEqual([]);
    // The same look sees the difference where it is not disabled.
    await using app = await backend.start("looks.cts");
    await app.printed("propagation");
    expect((await app.end()).stdout).not.toBe(looks[0]);
  });
});

describe.concurrent("K1 a fault in the set-up is reported, and the application runs on", () => {
  it.each<[string, Record<string, string>]>([
    ["an endpoint that is no URL", { OTEL_EXPORTER_OTLP_ENDPOINT: "no url" }],
    ["an exporter that nobody knows", { OTEL_TRACES_EXPORTER: "pigeon" }],
    ["a protocol that nobody knows", { OTEL_EXPORTER_OTLP_PROTOCOL: "pigeon" }],
  ])("%s", async (_, env) => {
    await using backend = await startBackend();
    await using app = await backend.start("esm.mts", { env });
    expect((await backend.run("main"))?.serializedOutput).toBe('"done"');
    const { code, stdout, stderr } = await app.end();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "started\n" });
    expect(stderr).toMatch(/durable-telemetry: OTEL_.*(ENDPOINT="\[redacted\]" is ignored|pigeon)/);
  });

  it("headers that gRPC can't carry: they are not shown, and the other signals are exported", async () => {
    await using backend = await startBackend();
    const env = {
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "grpc",
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-key=hunter2%C3%A9,token-bin=hunter2,x!key=hunter2",
      DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT: "500",
    };
    await using app = await backend.start("esm.mts", { env });
    await backend.run("main");
    const { code, stderr } = await app.end();
    expect(code).toBe(0);
    expect(stderr).toContain(
      "pair 1 of OTEL_EXPORTER_OTLP_METRICS_HEADERS is ignored: it must be key=value pairs, separated by commas, that make valid headers",
    );
    expect(stderr).not.toContain("hunter2");
    expect(tree(backend.receiver.spans)).toEqual(wholeTrace);
  });

  it.each(["client.js", "test-worker.js"])(
    "an application's own %s whose exports throw when they are read is left alone",
    async (name) => {
      using workspace = new Workspace();
      workspace.write(
        name,
        `const touch = () => { throw new Error("not connected"); };
         module.exports = new Proxy({}, { get: touch, getOwnPropertyDescriptor: touch });`,
      );
      const file = workspace.write("app.cjs", `require("./${name}"); process.stdout.write("runs\\n");`);
      await using app = startApp(`file://${file}`, {
        nodeArgs: register,
        env: { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
      });
      expect(await app.ended).toEqual({ code: 0, signal: null, stdout: "runs\n", stderr: "" });
    },
  );

  it.each(["--import", "--require"])(
    "%s where the Durable Task SDK is missing: there is nothing to instrument",
    async (option) => {
      using workspace = installedWithout("@microsoft/durabletask-js");
      const file = workspace.write("app.mjs", 'process.stdout.write("runs\\n");');
      await using app = startApp(`file://${file}`, {
        nodeArgs: [option, "durable-telemetry/register"],
        env: { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
        cwd: workspace.path,
      });
      const { code, stdout, stderr } = await app.ended;
      expect({ code, stdout }).toEqual({ code: 0, stdout: "runs\n" });
      expect(stderr).toBe("");
    },
  );

  it.each(["--import", "--require"])(
    "%s where OpenTelemetry's SDK is missing: one line says how to install it",
    async (option) => {
      using workspace = installedWithout("@opentelemetry/sdk-node");
      const file = workspace.write("app.mjs", 'process.stdout.write("runs\\n"); process.exitCode = 7;');
      await using app = startApp(`file://${file}`, {
        nodeArgs: [option, "durable-telemetry/register"],
        cwd: workspace.path,
      });
      const { code, stdout, stderr } = await app.ended;
      expect({ code, stdout }).toEqual({ code: 7, stdout: "runs\n" });
      expect(stderr.split("\n")).toEqual([
        expect.stringMatching(
          /^durable-telemetry\/register: cannot set up OpenTelemetry; the application runs on without it\. setupOtlp needs .* npm install @opentelemetry\/sdk-node@latest/,
        ),
        "",
      ]);
    },
  );

  it.each(["--import", "--require"])(
    "%s on Bun: one line says that no worker is instrumented, and the application runs as it would",
    async (option) => {
      using workspace = installedWithout();
      const file = workspace.write("app.mjs", 'process.stdout.write("runs\\n"); process.exitCode = 7;');
      const faked = workspace.write(
        "versions.cjs",
        'Object.defineProperty(process, "versions", { value: { ...process.versions, bun: "1.3.0" } });',
      );
      const env = { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" };
      await using app = startApp(`file://${file}`, {
        nodeArgs: ["--require", faked, option, "durable-telemetry/register"],
        env,
        cwd: workspace.path,
      });
      const stderr =
        "durable-telemetry/register: no worker is instrumented, since Bun does not say which modules it loads. Decorate workers in code, " +
        'with withDurableTelemetry() of "durable-telemetry".\n';
      expect(await app.ended).toEqual({ code: 7, signal: null, stdout: "runs\n", stderr });
    },
  );

  it.each(["--import", "--require"])("%s where OpenTelemetry's API is missing", async (option) => {
    using workspace = installedWithout("@opentelemetry/api");
    const file = workspace.write("app.mjs", 'process.stdout.write("runs\\n");');
    await using app = startApp(`file://${file}`, {
      nodeArgs: [option, "durable-telemetry/register"],
      cwd: workspace.path,
    });
    const { code, stdout, stderr } = await app.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: "runs\n" });
    expect(stderr).toContain(
      "durable-telemetry/register: cannot set up OpenTelemetry; the application runs on without it.",
    );
  });
});

describe.concurrent("K3 what was recorded is exported before the process ends", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("by %s, as the process would have ended without", async (signal) => {
    await using backend = await startBackend();
    await using app = await backend.start("at-signal.mts");
    await backend.run("main");
    app.kill(signal);
    expect(await app.ended).toEqual({ code: null, signal, stdout: "started\n", stderr: "" });
    expect(tree(backend.receiver.spans)).toEqual(wholeTrace);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("by its own listener to %s", async (signal) => {
    await using backend = await startBackend();
    await using app = await backend.start("at-signal.mts", { args: ["graceful"] });
    await backend.run("main");
    app.kill(signal);
    expect(await app.ended).toEqual({ code: 0, signal: null, stdout: "started\nstopped\n", stderr: "" });
    expect(tree(backend.receiver.spans)).toEqual(wholeTrace);
  });

  it("a listener that ends the process if it is the only one still does", async () => {
    await using backend = await startBackend();
    await using app = await backend.start("at-signal.mts", { args: ["sole"] });
    app.kill("SIGTERM");
    expect(await app.ended).toMatchObject({ code: null, signal: "SIGTERM" });
  });

  it("by process.exit(), once the worker has stopped", async () => {
    await using backend = await startBackend();
    await using app = await backend.start("at-signal.mts", {
      args: ["exit"],
      env: { OTEL_BSP_SCHEDULE_DELAY: "60000" },
    });
    await backend.run("main");
    // The listener ends the process; so what a signal has delivered at once is not all that there is.
    app.kill("SIGTERM");
    expect(await app.ended).toEqual({ code: 3, signal: null, stdout: "started\n", stderr: "" });
    expect(tree(backend.receiver.spans)).toEqual(["after the worker's stop INTERNAL < root", ...wholeTrace].toSorted());
  });

  // Telemetry would wait longer than the test does, and no export starts before the signal.
  const hung = {
    DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT: "25000",
    OTEL_EXPORTER_OTLP_TIMEOUT: "25000",
    OTEL_BSP_SCHEDULE_DELAY: "60000",
  };

  it("a second signal ends the process at once, though the collector hangs", async () => {
    await using backend = await startBackend();
    await using collector = await startHungCollector();
    await using app = await backend.start("at-signal.mts", {
      env: { ...hung, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    });
    await backend.run("main");
    app.kill("SIGINT");
    await collector.connected;
    const asked = performance.now();
    app.kill("SIGINT");
    expect(await app.ended).toMatchObject({ code: null, signal: "SIGINT" });
    expect(performance.now() - asked).toBeLessThan(3000);
  });
});

describe.concurrent("Exactly one orchestration span, whatever is combined", () => {
  const sdk = ["--import", fixture("node-sdk.mts")];
  const required = ["--require", "durable-telemetry/register"];
  const combinations: readonly (readonly [string, readonly string[]])[] = [
    ["register", register],
    ["register, required", required],
    ["NodeSDK with DurableTaskInstrumentation", sdk],
    ["NodeSDK, then register", [...sdk, ...register]],
    ["register, then NodeSDK", [...register, ...sdk]],
    ["register as CommonJS, then NodeSDK", [...required, ...sdk]],
  ];

  it.each(
    combinations.flatMap(([how, nodeArgs]) =>
      ["esm.mts", "decorated.mts", "decorated.cts"].map((name) => [how, name, nodeArgs] as const),
    ),
  )("%s, with %s", async (_, name, nodeArgs) => {
    await using backend = await startBackend();
    await using app = await backend.start(name, {
      nodeArgs,
      env: { SETUP: '{"durable":{"tracing":{"tags":["any"]}}}' },
    });
    await backend.run("main");
    expect(await app.end()).toEqual(quiet);
    const spans = backend.receiver.spans.filter((span) => !span.name.startsWith("grpc."));
    expect(tree(spans)).toEqual(wholeTrace);
    const decorated = spans.find((span) => span.name === "orchestration:main")?.attributes["decorated"];
    expect(decorated).toBe(name.startsWith("decorated") ? "in code" : undefined);
  });

  it("where OpenTelemetry is set up already, register says through diag that it left that alone", async () => {
    await using backend = await startBackend();
    await using app = await backend.start("esm.mts", {
      nodeArgs: [...sdk, ...register],
      env: { OTEL_LOG_LEVEL: "info", SETUP: '{"durable":false}' },
    });
    await backend.run("main");
    const { code, stdout } = await app.end();
    expect(code).toBe(0);
    expect(stdout).toContain(
      "durable-telemetry/register: OpenTelemetry is set up already and stays as it is; only workers are instrumented.",
    );
    expect(tree(backend.receiver.spans)).toEqual(wholeTrace);
  });
});

/** This package and what it needs, copied so that one package is missing. */
function installedWithout(missing?: string): Workspace {
  const workspace = new Workspace();
  workspace.link(installedPackages().filter((name) => name !== missing && name !== "durable-telemetry"));
  for (const name of ["package.json", "dist"]) {
    cpSync(join(root, name), join(workspace.path, "node_modules/durable-telemetry", name), { recursive: true });
  }
  return workspace;
}
