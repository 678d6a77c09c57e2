import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page, pages, root, snippets, type Snippet } from "./markdown.ts";
import { inherited, installedPackages, program, Workspace } from "./workspace.ts";

// The snippets are compiled in one go, and run in one process for each page, and one for each that must be alone.

const all = pages().flatMap(snippets);
const typescript = all.filter(({ language }) => language === "ts");
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const fileOf = ({ path, line, language }: Snippet): string =>
  `${basename(path, ".md").toLowerCase()}-${line}.${language === "ts" ? "ts" : "mjs"}`;
const titleOf = ({ path, line }: Snippet): string => `${path}:${line}`;

const workspace = new Workspace();
afterAll(() => workspace[Symbol.dispose]());
beforeAll(() => {
  workspace.link(installedPackages());
  workspace.linkAs("durable-telemetry", fileURLToPath(root));
  workspace.write("package.json", JSON.stringify({ type: "module" }));
  workspace.write("support.ts", readFileSync(here("fixtures/support.ts"), "utf8"));
  for (const each of all) workspace.write(fileOf(each), `${each.prelude}\n${each.code}\n${each.check}`);
});

const compilerOptions = {
  target: "es2023",
  lib: ["es2024", "esnext.disposable"],
  module: "nodenext",
  types: ["node"],
  skipLibCheck: true,
  noEmit: true,
};
const strictest = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  allowImportingTsExtensions: true,
};

describe("Every snippet in the documentation", () => {
  it("is told apart: what shows a fault has a check that proves it, and there is no flag that nobody knows", () => {
    expect(all.length).toBeGreaterThan(20);
    for (const each of all) {
      expect(each.flags.filter((flag) => flag !== "bad" && flag !== "alone"), titleOf(each)).toEqual([]);
      if (each.flags.includes("bad")) expect(each.check, titleOf(each)).toMatch(/assert/);
    }
  });

  it("D1 the page on determinism has bad and good examples, of orchestrators and of middleware", () => {
    const [, orchestrators = "", middleware = ""] = page("docs/determinism.md").text.split(/^## (?:Orchestrators|Middleware|The await guard)$/m);
    for (const section of [orchestrators, middleware]) {
      const examples = snippets({ path: "docs/determinism.md", text: section });
      const isBad = examples.map(({ flags }) => flags.includes("bad"));
      expect(isBad.length).toBeGreaterThanOrEqual(4);
      expect(isBad).toEqual(isBad.map((_, index) => index % 2 === 0));
    }
  });

  it("has the right types, as a user's strictest compiler sees them", async () => {
    workspace.write("tsconfig.json", JSON.stringify({ compilerOptions: { ...compilerOptions, ...strictest }, include: ["*.ts"] }));
    const { stdout, code } = await workspace.run(program("tsc"), ["--project", "tsconfig.json", "--pretty", "false"]);
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });

  it("has the right types where it is JavaScript, as an editor sees them", async () => {
    const options = { ...compilerOptions, allowJs: true, checkJs: true, strict: false };
    workspace.write("tsconfig.js.json", JSON.stringify({ compilerOptions: options, include: ["*.mjs"] }));
    const { stdout, code } = await workspace.run(program("tsc"), ["--project", "tsconfig.js.json", "--pretty", "false"]);
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });
});

describe("Every TypeScript snippet runs, and does what the text says", () => {
  let outcomes: ReadonlyMap<string, string>;
  beforeAll(async () => {
    const alone = typescript.filter(({ flags }) => flags.includes("alone"));
    const together = Map.groupBy(
      typescript.filter((each) => !alone.includes(each)),
      ({ path }) => path,
    );
    const groups = [...alone.map((each) => [each]), ...together.values()];
    outcomes = new Map((await Promise.all(groups.map(runGroup))).flatMap((each) => [...each]));
  });

  it.each(typescript.map(titleOf))("%s", (title) => {
    const subject = typescript.find((each) => titleOf(each) === title);
    expect(subject && outcomes.get(fileOf(subject))).toBe("ran");
  });
});

interface Told {
  readonly file: string;
  readonly error?: string;
}

/** How each snippet went, by its file: `ran`, or what went wrong. */
async function runGroup(group: readonly Snippet[]): Promise<ReadonlyMap<string, string>> {
  const files = group.map(fileOf);
  const outcome = new Map(files.map((file) => [file, "did not run"]));
  const child = fork(here("fixtures/runner.ts"), files, {
    cwd: workspace.path,
    // No collector is there to export to.
    env: { ...inherited(), OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
    silent: true,
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.on("message", ({ file, error }: Told) => {
    // A rejection that nobody handled may come after the end of the snippet; a fault is not overwritten.
    if (error !== undefined) outcome.set(file, error);
    else if (outcome.get(file) === "did not run") outcome.set(file, "ran");
  });
  await once(child, "close");
  return new Map([...outcome].map(([file, result]) => [file, result === "did not run" ? `${result}\n${printed}` : result]));
}
