import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import * as internals from "../../src/worker/sdk-internals.ts";
import { cyclesOf, grouped, importGraph, importsOf } from "./import-graph.ts";

const root = new URL("../../", import.meta.url);
const graph = importGraph(root, ["src", "middlewares"]);

/** A folder; a file that is directly in `src` or `middlewares` counts on its own. */
const folderOf = (file: string): string | undefined => {
  const folder = dirname(file);
  return folder === "src" || folder === "middlewares"
    ? file
    : folder.startsWith("src/") || folder.startsWith("middlewares/")
      ? folder
      : undefined;
};
const folders = grouped(graph, folderOf);

/** The layers that a folder imports: its subfolders belong to it, and files that import nothing of ours are left out. */
const layerOf = (file: string): string | undefined => {
  const [top = "", name = "", ...rest] = file.split("/");
  return rest.length > 0 && (top === "src" || top === "middlewares") ? `${top}/${name}` : undefined;
};
const layers = grouped(graph, layerOf);

describe("The modules of the package", () => {
  it("have no import cycle, types included", () => {
    expect(graph.size).toBeGreaterThan(100);
    expect(cyclesOf(graph)).toEqual([]);
  });

  it("have no import cycle between folders", () => {
    expect(cyclesOf(folders)).toEqual([]);
  });

  it.each([
    ["src/pipeline", []],
    ["src/telemetry", ["src/pipeline"]],
    ["src/worker", ["src/pipeline", "src/telemetry"]],
    ["src/ending", []],
    ["src/otlp", ["src/ending", "src/telemetry"]],
    ["src/testing", ["src/telemetry"]],
    ["src/instrumentation", ["src/ending", "src/otlp", "src/worker"]],
    ["middlewares/tracing", ["src/pipeline", "src/telemetry"]],
    ["middlewares/metrics", ["src/pipeline", "src/telemetry"]],
    ["middlewares/logging", ["src/pipeline", "src/telemetry"]],
    ["middlewares/propagation", ["src/pipeline", "src/telemetry"]],
    ["middlewares/caching", ["src/pipeline", "src/telemetry"]],
  ])("%s imports no folder but %j", (layer, allowed) => {
    const imported = layers.get(layer) ?? [];
    expect(imported.filter((target) => !allowed.includes(target))).toEqual([]);
  });

  it("of the pipeline import nothing of ours", () => {
    const imports = [...graph].filter(([file]) => file.startsWith("src/pipeline/")).flatMap(([, targets]) => targets);
    expect(imports.filter((target) => !target.startsWith("src/pipeline/"))).toEqual([]);
  });

  it("have a rule for each folder", () => {
    expect([...layers.keys()].toSorted()).toEqual([
      ...["caching", "logging", "metrics", "propagation", "tracing"].map((name) => `middlewares/${name}`),
      ...["ending", "instrumentation", "otlp", "pipeline", "telemetry", "testing", "worker"].map(
        (name) => `src/${name}`,
      ),
    ]);
  });

  it("that folders share beside src/index.ts import no folder", () => {
    const shared = [...folders.keys()].filter((file) =>
      [...folders].some(([from, to]) => from.split("/").length > 2 && to.includes(file)),
    );
    const files = shared.filter((name) => name.endsWith(".ts") && name !== "src/with-durable-telemetry.ts");
    expect(files).toContain("src/options.ts");
    for (const file of files) expect([file, folders.get(file)]).toEqual([file, []]);
  });
});

describe("Non-public members of the Durable Task SDK", () => {
  const tables = Object.values(internals).filter((value) => typeof value === "object");
  const names = tables.flatMap((table) => Object.values(table).map(({ name }) => name));
  // Members whose names are words that other code uses too, such as `registry`, are left out.
  const unmistakable = [...new Set(names)].filter((name) => /^_|^internal|^process[A-Z]/.test(name));
  const others = [...graph.keys()].filter((file) => file !== "src/worker/sdk-internals.ts");

  it("stand in one table", () => {
    expect(unmistakable).toContain("_executeOrchestratorInternal");
    const word = new RegExp(`\\b(?:${unmistakable.join("|")})\\b`);
    expect(others.filter((file) => word.test(readFileSync(new URL(file, root), "utf8")))).toEqual([]);
  });

  it("are the only ones: other code names no member with an underscore, but those of OpenTelemetry's own and of the package", () => {
    // What the SDK calls its generator is part of the message of its TypeError (contract.md D3).
    const known = new Set(["_generator", "_sampler", "_idGenerator", "_setDelegate"]);
    const member = /(?:\.|\?\.|\[["'])(_[a-zA-Z]\w*)/g;
    const found = others.flatMap((file) =>
      [...readFileSync(new URL(file, root), "utf8").matchAll(member)].flatMap(([, name = ""]) =>
        known.has(name) ? [] : [`${file}: ${name}`],
      ),
    );
    expect(found).toEqual([]);
  });

  it("are used by src/worker alone", () => {
    const users = [...graph]
      .filter(([, imports]) => imports.includes("src/worker/sdk-internals.ts"))
      .map(([file]) => dirname(file));
    expect(new Set(users)).toEqual(new Set(["src/worker"]));
  });
});

describe("The graph of imports", () => {
  it("has every kind of import", () => {
    const source = [
      'import { a } from "./a.ts";',
      'import type { B } from "./b.ts";',
      'export type { C } from "./c.ts";',
      'export * from "./d.ts";',
      'import "./e.ts";',
      'type F = import("./f.ts").F;',
      "import {\n  type G,\n  g,\n} from './g.ts';",
      '// import { x } from "./x.ts";',
      '/* import { y } from "./y.ts"; */',
      'const h = require("./h.cjs");',
      'const text = "import";',
    ].join("\n");
    expect(importsOf(source)).toEqual([
      "./a.ts",
      "./b.ts",
      "./c.ts",
      "./d.ts",
      "./e.ts",
      "./f.ts",
      "./g.ts",
      "./h.cjs",
    ]);
  });

  it("shows a cycle with its way", () => {
    const cyclic = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b", "d"]],
      ["d", []],
    ]);
    expect(cyclesOf(cyclic)).toEqual(["b -> c -> b"]);
    expect(cyclesOf(new Map([...cyclic, ["c", ["d"]]]))).toEqual([]);
  });
});
