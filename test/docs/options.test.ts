import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { observeTaskHub, withDurableTelemetry } from "durable-telemetry";
import {
  caching,
  logging,
  metrics,
  tracing,
  type CachedActivity,
  type CachingOptions,
} from "durable-telemetry/middlewares";
import { setupOtlp } from "durable-telemetry/otlp";
import { createTelemetryRecorder, startLocalSidecar } from "durable-telemetry/testing";
import { describe, expect, it } from "vitest";
import { readSettings } from "../../src/otlp/settings.ts";
import { page, root, tableBelow } from "./markdown.ts";

// What an options object may have is what the code says when it gets something else.
const wrong = { "no such option": 1 } as object;
const decorate = (options: object): unknown =>
  withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), options);

const never: AsyncIterable<never> = (async function* () {})();

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

const columnOf = (marker: string, path: string): readonly string[] =>
  tableBelow(marker, page(path)).map(([name = ""]) => name);

describe("A table of options in the documentation has the options that the code has", () => {
  it.each<[owner: string, path: string, refuse: () => unknown]>([
    ["withDurableTelemetry", "docs/writing-middleware.md", () => decorate(wrong)],
    ["awaitGuard", "docs/writing-middleware.md", () => decorate({ awaitGuard: wrong })],
    ["propagate", "docs/writing-middleware.md", () => decorate({ propagate: wrong })],
    ["tracing", "docs/tracing.md", () => tracing(wrong)],
    ["metrics", "docs/metrics.md", () => metrics(wrong)],
    ["observeTaskHub", "docs/metrics.md", () => observeTaskHub({ getAllInstances: () => never }, wrong)],
    ["logging", "docs/logging.md", () => logging(wrong)],
    ["caching", "docs/caching.md", () => caching(wrong as CachingOptions)],
    ["activities", "docs/caching.md", () => caching({ activities: { quote: wrong as CachedActivity } })],
    ["createTelemetryRecorder", "docs/testing.md", () => createTelemetryRecorder(wrong)],
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
    expect(markers).toHaveLength(13);
    for (const { owner, path, line } of markers)
      expect(page(path).text).toContain(`<!-- options ${owner} -->\n${line}`);
  });
});

describe("The table of setupOtlp's options and environment variables in docs/otlp.md", () => {
  const cells = tableBelow("options setupOtlp", page("docs/otlp.md"));
  const documented = cells.flatMap(([option = "", variable = ""]) => {
    if (!option.startsWith("SIGNAL.")) return [[option, variable]];
    return ["traces", "metrics", "logs"].map((signal) => [
      option.replace("SIGNAL", signal),
      variable.replace("SIGNAL", signal.toUpperCase()),
    ]);
  });
  const alone = columnOf("variables", "docs/otlp.md");
  const variables = (pattern: string): ReadonlySet<string> => {
    const cwd = fileURLToPath(root);
    return new Set(
      globSync(pattern, { cwd }).flatMap((file) => {
        // Comments and templates also have patterns such as OTEL_BSP_*: those end in an underscore.
        return readFileSync(`${cwd}/${file}`, "utf8").match(/\bOTEL_[A-Z_]*[A-Z]\b/g) ?? [];
      }),
    );
  };

  it("has the options that the code has, and the variable of each", () => {
    const { places } = readSettings({});
    const known = places.map(({ option, variable }) => [option, variable ?? ""]);
    expect(known.length).toBeGreaterThan(60);
    expect(documented.map(String).toSorted()).toEqual(known.map(String).toSorted());
  });

  it("has the options that setupOtlp says that it has", async () => {
    const outermost = documented.map(([option = ""]) => option).filter((option) => !option.includes("."));
    expect(outermost.toSorted()).toEqual((await optionsOf(() => setupOtlp(wrong))).toSorted());
    for (const signal of ["traces", "metrics", "logs"]) {
      const members = documented.flatMap(([option = ""]) =>
        option.startsWith(`${signal}.`) ? [option.slice(signal.length + 1)] : [],
      );
      expect(members.toSorted()).toEqual((await optionsOf(() => setupOtlp({ [signal]: wrong }))).toSorted());
    }
  });

  it("leaves only to code what is an object, and says so", () => {
    const withoutVariable = cells
      .filter(([, variable]) => variable === "")
      .map(([option, , type = "", , what = ""]) => [option, type, what]);
    expect(withoutVariable.map(([option]) => option)).toEqual(["traces", "metrics", "logs"]);
    for (const [option, type] of withoutVariable) expect(type, option).toMatch(/\bOtlp\w+Options\b/);
  });

  it("has, with the variables that have no option, all variables that the sources name", () => {
    const named = variables("{src/otlp,src/telemetry,middlewares}/**/*.ts");
    expect(named.size).toBeGreaterThan(10);
    const all = [...documented.map(([, variable]) => variable), ...alone];
    expect([...named].filter((name) => !all.includes(name))).toEqual([]);
    expect([...alone].filter((name) => !named.has(name))).toEqual([]);
  });
});
