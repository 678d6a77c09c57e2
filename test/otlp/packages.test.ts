import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { Workspace } from "../docs/workspace.ts";
import { startReceiver } from "./receiver.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A project that has this package, and of OpenTelemetry the API and what is named. */
function project(...packages: readonly string[]): Workspace {
  const workspace = new Workspace();
  for (const each of ["dist", "package.json"]) {
    cpSync(join(root, each), join(workspace.path, "node_modules/durable-telemetry", each), { recursive: true });
  }
  workspace.link(["@opentelemetry/api", ...packages]);
  workspace.write("app.cjs", `const { DurableIdGenerator, setupOtlp } = require("durable-telemetry/otlp");${app}`);
  workspace.write(
    "app.mjs",
    `import { DurableIdGenerator, setupOtlp } from "durable-telemetry/otlp";\nimport { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);${app}`,
  );
  return workspace;
}

const app = `
const { trace } = require("@opentelemetry/api");
console.log(new DurableIdGenerator().generateTraceId().length, new DurableIdGenerator().generateSpanId().length);
try {
  const telemetry = setupOtlp({ metrics: false, logs: false });
  trace.getTracer("app").startSpan("order").end();
  telemetry.shutdown();
} catch ({ code, message }) {
  console.log(code + " " + message);
}
`;

it.each(["app.cjs", "app.mjs"])(
  "%s: without the OpenTelemetry SDK, DurableIdGenerator works, and setupOtlp names the command that installs what is missing",
  async (file) => {
    using workspace = project();
    const { stdout, stderr, code } = await workspace.run(process.execPath, [file]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(
      "32 16\nDURABLE_TELEMETRY_SDK_MISSING setupOtlp needs OpenTelemetry's SDK 3.x. Install it with: npm install " +
        "@opentelemetry/sdk-node@latest. (A program that has SDK 2.x keeps its own set-up and leaves setupOtlp out.) The cause: " +
        "@opentelemetry/sdk-node is not installed.\n",
    );
  },
);

it.each(["otlp.d.mts", "otlp.d.cts"])("%s names no package that a project without the SDK lacks", (file) => {
  const declarations = readFileSync(join(root, "dist", file), "utf8").replaceAll(/\/\*.*?\*\//gs, "");
  expect(declarations).toContain("interface OtlpOptions");
  expect([...declarations.matchAll(/(?:from|import\(|require\() ?"([^"]*)"/g)].map(([, name]) => name)).toEqual([]);
});

it.each(["app.cjs", "app.mjs"])(
  "%s: an SDK 2.x in its place is named with its version and where it lies",
  async (file) => {
    using workspace = project();
    workspace.write(
      "node_modules/@opentelemetry/sdk-node/package.json",
      JSON.stringify({ name: "@opentelemetry/sdk-node", version: "0.223.0", main: "index.js" }),
    );
    workspace.write("node_modules/@opentelemetry/sdk-node/index.js", "");
    const { stdout, stderr } = await workspace.run(process.execPath, [file]);
    expect(stderr).toBe("");
    expect(stdout).toContain("DURABLE_TELEMETRY_SDK_MISSING");
    expect(stdout).toContain(`npm install @opentelemetry/sdk-node@latest`);
    expect(stdout).toContain(
      `@opentelemetry/sdk-node 0.223.0 in ${join(workspace.path, "node_modules/@opentelemetry/sdk-node")} belongs to SDK 2.x`,
    );
  },
);

it.each(["app.cjs", "app.mjs"])(
  "%s: @opentelemetry/sdk-node brings all that setupOtlp needs, in a strict node_modules too",
  async (file) => {
    await using receiver = await startReceiver();
    using workspace = project("@opentelemetry/sdk-node");
    const { stdout, stderr } = await workspace.run(process.execPath, [file], {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    });
    expect([stdout, stderr]).toEqual(["32 16\n", ""]);
    expect(receiver.spans.map(({ name }) => name)).toEqual(["order"]);
  },
);
