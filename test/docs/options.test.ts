import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { withDurableTelemetry } from "durable-telemetry";
import { logging, metrics, tracing } from "durable-telemetry/middlewares";
import { setupOtlp } from "durable-telemetry/otlp";
import { startLocalSidecar } from "durable-telemetry/testing";
import { describe, expect, it } from "vitest";
import { page, root, tableBelow } from "./markdown.ts";

// What an options object may have is what the code says when it gets something else.
const wrong = { "no such option": 1 } as object;
const decorate = (options: object): unknown => withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), options);

async function optionsOf(refuse: () => unknown): Promise<readonly string[]> {
  try {
    await refuse();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    const [, names = ""] = /(?:are|are:) ([\w, ]+)\.?$/.exec((error as TypeError).message) ?? [];
    return names.split(", ");
  }
  throw new Error("An unknown option was not refused.");
}

const columnOf = (marker: string, path: string): readonly string[] => tableBelow(marker, page(path)).map(([name = ""]) => name);

describe("A table of options in the documentation has the options that the code has", () => {
  it.each<[owner: string, path: string, refuse: () => unknown]>([
    ["withDurableTelemetry", "docs/writing-middleware.md", () => decorate(wrong)],
    ["awaitGuard", "docs/writing-middleware.md", () => decorate({ awaitGuard: wrong })],
    ["tracing", "docs/tracing.md", () => tracing(wrong)],
    ["metrics", "docs/metrics.md", () => metrics(wrong)],
    ["logging", "docs/logging.md", () => logging(wrong)],
    ["setupOtlp", "docs/otlp.md", () => setupOtlp(wrong)],
    ["startLocalSidecar", "docs/testing.md", () => startLocalSidecar(wrong)],
  ])("%s, in %s", async (owner, path, refuse) => {
    const documented = columnOf(`options ${owner}`, path);
    expect(documented.toSorted()).toEqual((await optionsOf(refuse)).toSorted());
  });

  it("renderTrace, in docs/testing.md", () => {
    // It takes what it is given, so its options are what its type says.
    const declarations = readFileSync(new URL("dist/testing.d.mts", root), "utf8");
    const [, members = ""] = /interface RenderTraceOptions \{(.*?)^\}/ms.exec(declarations) ?? [];
    const names = [...members.matchAll(/^ *readonly (\w+)\??:/gm)].map(([, name = ""]) => name);
    expect(names.length).toBeGreaterThan(0);
    expect(columnOf("options renderTrace", "docs/testing.md").toSorted()).toEqual(names.toSorted());
  });

  it("covers every table of options", () => {
    const markers = globSync("docs/*.md", { cwd: fileURLToPath(root) }).flatMap((path) =>
      [...page(path).text.matchAll(/^\| option of `(\w+)`.*$/gm)].map(([line, owner = ""]) => ({ owner, path, line })),
    );
    expect(markers).toHaveLength(8);
    for (const { owner, path, line } of markers) expect(page(path).text).toContain(`<!-- options ${owner} -->\n${line}`);
  });
});

describe("The table of environment variables in docs/otlp.md", () => {
  const documented = columnOf("variables", "docs/otlp.md");
  const variables = (pattern: string, options: { cwd: string }): ReadonlySet<string> =>
    new Set(
      globSync(pattern, options).flatMap((file) => {
        // Comments and templates also have patterns such as OTEL_BSP_*: those end in an underscore.
        return readFileSync(`${options.cwd}/${file}`, "utf8").match(/\bOTEL_[A-Z_]*[A-Z]\b/g) ?? [];
      }),
    );

  it("has each variable once", () => {
    expect(documented).toEqual([...new Set(documented)]);
  });

  it("has all variables that the sources name", () => {
    const named = variables("{src,middlewares}/**/*.ts", { cwd: fileURLToPath(root) });
    expect(named.size).toBeGreaterThan(10);
    expect([...named].filter((name) => !documented.includes(name))).toEqual([]);
  });

  it("has none that neither the sources nor the OpenTelemetry SDK know", () => {
    const sources = variables("{src,middlewares}/**/*.ts", { cwd: fileURLToPath(root) });
    const cwd = fileURLToPath(new URL("node_modules/@opentelemetry/", root));
    const sdk = globSync("{sdk-node,sdk-trace,core,resources,otlp-exporter-base,otlp-grpc-exporter-base}/dist/**/*.cjs", { cwd })
      .map((file) => readFileSync(`${cwd}/${file}`, "utf8"))
      .join("\n");
    // The exporters put some of the names together from their signal and setting.
    const known = (name: string): boolean => sources.has(name) || sdk.includes(name.replace("_TRACES_", "_")) || sdk.includes(name);
    expect(documented.filter((name) => !known(name))).toEqual([]);
  });
});
