import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Format } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLocalSidecar, type LocalSidecar } from "../../src/testing/index.ts";
import { page } from "../docs/markdown.ts";
import { Workspace, type Ended } from "../docs/workspace.ts";
import { startReceiver, type ReceivedSpan } from "../otlp/receiver.ts";

// The packed files of `dist`, the Durable Task SDK and OpenTelemetry in one file, in a directory without packages.

const banner = /--banner:js="([^"]+)"/.exec(page("docs/distributions.md").text)?.[1] ?? "";

/** The spans of the workflow, and the parent of each. */
const whole = [
  "activity:greet < activity:greet",
  "activity:greet < orchestration:greeting",
  "create_orchestration:greeting < -",
  "orchestration:greeting < create_orchestration:greeting",
];

const tree = (spans: readonly ReceivedSpan[]): readonly string[] => {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]));
  return spans.map(({ name, parentSpanId = "" }) => `${name} < ${names.get(parentSpanId) ?? "-"}`).toSorted();
};

describe.each<{ format: Format; extension: string }>([
  { format: "cjs", extension: "cjs" },
  { format: "esm", extension: "mjs" },
])("Bundled by esbuild to one $format file", ({ format, extension }) => {
  const workspace = new Workspace();
  let sidecar: LocalSidecar;
  beforeAll(async () => {
    sidecar = await startLocalSidecar();
  });
  afterAll(async () => {
    await sidecar.close();
    workspace[Symbol.dispose]();
  });

  /** What `esbuild fixtures/ENTRY.mjs --bundle --platform=node --format=FORMAT` makes of it, run. */
  async function run(entry: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const outfile = join(workspace.path, `${entry}.${extension}`);
    await build({
      entryPoints: [fileURLToPath(new URL(`fixtures/${entry}.mjs`, import.meta.url))],
      bundle: true,
      platform: "node",
      format,
      outfile,
      logLevel: "silent",
      ...(format === "esm" ? { banner: { js: banner } } : {}),
    });
    return workspace.run(process.execPath, [outfile], { HOST_ADDRESS: sidecar.address, ...env });
  }

  it.each(["root", "middlewares", "instrumentation"])("the %s entry loads and traces", async (entry) => {
    const ended = await run(entry);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(ended.stdout)).toEqual({ result: "Hello, Ada!", spans: whole });
  });

  it.each([
    ["otlp", {}],
    ["otlp", { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" }],
    ["register", {}],
  ])("the %s entry loads, traces and exports (%o)", async (entry, env) => {
    await using receiver = await startReceiver();
    const ended = await run(entry, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(tree(receiver.spans)).toEqual(whole);
    expect(receiver.logs.map(({ eventName }) => eventName)).toContain("durabletask.orchestration.finished");
    expect(receiver.metrics.map(({ name }) => name)).toContain("durabletask.orchestration.duration");
  });

  it("the testing entry loads, runs its task hub and records", async () => {
    const ended = await run("testing");
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    const { result, tree: text } = JSON.parse(ended.stdout) as { result: unknown; tree: string };
    expect(result).toBe("Hello, Ada!");
    expect(text.match(/activity:greet/g)).toHaveLength(2);
  });
});
