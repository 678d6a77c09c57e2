import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page, root, snippets, tableBelow } from "../docs/markdown.ts";
import { installedPackages, program, Workspace } from "../docs/workspace.ts";
import { createTelemetryRecorder } from "../../src/testing/index.ts";

// The recorder as its users have it: built, in a test of theirs, under Node's own test runner.

const workspace = new Workspace();
afterAll(() => workspace[Symbol.dispose]());
const documented = snippets(page("docs/testing.md")).find(({ code }) => code.includes('from "node:test"'))?.code ?? "";
beforeAll(() => {
  workspace.link(installedPackages());
  workspace.linkAs("durable-telemetry", fileURLToPath(root));
  workspace.write("package.json", JSON.stringify({ type: "module" }));
  workspace.write("passes.test.ts", documented);
  workspace.write("fails.test.ts", documented.replace("activity:charge server", "activity:charge nowhere"));
  // A program of CommonJS gets the other bundle.
  workspace.write(
    "required.test.cjs",
    `const { trace } = require("@opentelemetry/api");
const { createTelemetryRecorder } = require("durable-telemetry/testing");
require("node:test")("a recorder in CommonJS", async () => {
  const first = createTelemetryRecorder();
  const other = await import("durable-telemetry/testing");
  // One process has one recorder, whichever copy of the package made it.
  require("node:assert").throws(() => other.createTelemetryRecorder(), { code: "DURABLE_TELEMETRY_RECORDER_RUNNING" });
  const tracer = trace.getTracer("kept");
  await first.shutdown();
  const second = other.createTelemetryRecorder();
  tracer.startSpan("work").end();
  second.assertWhole((await second.waitForSpan("work")).spanContext().traceId);
  await second.shutdown();
});`,
  );
});

describe("The test in docs/testing.md", () => {
  it("passes with node:test, and fails if the trace is another one", async () => {
    const run = async (file: string): Promise<number | null> =>
      (await workspace.run(program("node"), ["--test", file])).code;
    expect(await Promise.all([run("passes.test.ts"), run("fails.test.ts"), run("required.test.cjs")])).toEqual([
      0, 1, 0,
    ]);
  });
});

describe("The tables in docs/testing.md", () => {
  it("have the options that createTelemetryRecorder has", () => {
    const names = tableBelow("options createTelemetryRecorder", page("docs/testing.md")).map(([name]) => name);
    const wrong: object = { "no such option": 1 };
    expect(() => createTelemetryRecorder(wrong)).toThrow(`the options are ${names.join(", ")}.`);
  });
});
