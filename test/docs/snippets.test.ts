import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Checks } from "./fixtures/support.ts";
import { fenceLanguages, page, pages, root, snippets, type Snippet } from "./markdown.ts";
import { inherited, installedPackages, program, Workspace } from "./workspace.ts";

// The snippets are compiled in one go, each as a user would copy it, and run by the checks in fixtures/PAGE.ts: in one
// process for each page, and one for each check that must be alone, such as those that register global providers.

const all = pages().flatMap(snippets);
const typescript = all.filter(({ language }) => language === "ts");
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const pageOf = ({ path }: Snippet): string => basename(path, ".md").toLowerCase();
const titleOf = (each: Snippet): string => `${pageOf(each)}/${each.name}`;
const fileOf = (each: Snippet): string => `snippets/${titleOf(each)}.${each.language === "ts" ? "ts" : "mjs"}`;

const checksOf = new Map(
  await Promise.all(
    [...new Set(typescript.map(pageOf))].map(async (name) => {
      const file = here(`fixtures/${name}.ts`);
      const { checks = {}, alone = {} } = existsSync(file)
        ? ((await import(pathToFileURL(file).href)) as { readonly checks?: Checks; readonly alone?: Checks })
        : {};
      return [name, { checks: Object.keys(checks), alone: Object.keys(alone) }] as const;
    }),
  ),
);

/** The snippet, with what it declares at its top level exported to its check. */
function asModule({ code }: Snippet): string {
  const names = [...code.matchAll(/^(?:const|let|class|(?:async )?function\*?) (\w+)/gm)].map(([, name]) => name);
  return `${code}\nexport { ${names.join(", ")} };\n`;
}

const workspace = new Workspace();
afterAll(() => workspace[Symbol.dispose]());
beforeAll(() => {
  workspace.link(installedPackages());
  workspace.linkAs("durable-telemetry", fileURLToPath(root));
  workspace.write("package.json", JSON.stringify({ type: "module" }));
  for (const name of ["support", ...checksOf.keys()]) {
    const file = here(`fixtures/${name}.ts`);
    if (existsSync(file)) workspace.write(`${name}.ts`, readFileSync(file, "utf8"));
  }
  for (const each of all) workspace.write(fileOf(each), each.language === "ts" ? asModule(each) : each.code);
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
  it("has a name that no other of its page has, and no flag but `bad`", () => {
    expect(all.length).toBeGreaterThan(20);
    for (const each of all) {
      expect(each.name, `${each.path}:${each.line}`).toMatch(/^[a-z]\w+$/);
      expect(
        each.flags.filter((flag) => flag !== "bad"),
        titleOf(each),
      ).toEqual([]);
    }
    const titles = all.map(titleOf);
    expect(titles).toEqual([...new Set(titles)]);
  });

  it("has a check, and every check has a snippet", () => {
    const checked = [...checksOf].flatMap(([name, { checks, alone }]) =>
      [...checks, ...alone].map((check) => `${name}/${check}`),
    );
    expect(checked.toSorted()).toEqual(typescript.map(titleOf).toSorted());
  });

  it("is TypeScript, but for the README's program, which has a test of its own", () => {
    expect(all.filter(({ language }) => language === "js").map(titleOf)).toEqual(["readme/hello"]);
    const known = new Set(["ts", "js", "sh", "text", "dockerfile", "promql"]);
    expect(
      pages()
        .flatMap(fenceLanguages)
        .filter((language) => !known.has(language)),
    ).toEqual([]);
  });

  it("is all there: no page hides code in a comment", () => {
    expect(
      pages()
        .filter(({ text }) => /<!-- (?:prelude|check)\b/.test(text))
        .map(({ path }) => path),
    ).toEqual([]);
  });

  it("D1 the page on determinism has bad and good examples, of orchestrators and of middleware", () => {
    const [, orchestrators = "", middleware = ""] = page("docs/determinism.md").text.split(
      /^## (?:Orchestrators|Middleware|The await guard)$/m,
    );
    for (const section of [orchestrators, middleware]) {
      const examples = snippets({ path: "docs/determinism.md", text: section });
      const isBad = examples.map(({ flags }) => flags.includes("bad"));
      expect(isBad.length).toBeGreaterThanOrEqual(4);
      expect(isBad).toEqual(isBad.map((_, index) => index % 2 === 0));
    }
  });

  it("has the right types, as a user's strictest compiler sees them", async () => {
    workspace.write(
      "tsconfig.json",
      JSON.stringify({ compilerOptions: { ...compilerOptions, ...strictest }, include: ["*.ts", "snippets/**/*.ts"] }),
    );
    const { stdout, code } = await workspace.run(program("tsc"), ["--project", "tsconfig.json", "--pretty", "false"]);
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });

  it("has the right types where it is JavaScript, as an editor sees them", async () => {
    const options = { ...compilerOptions, allowJs: true, checkJs: true, strict: false };
    workspace.write("tsconfig.js.json", JSON.stringify({ compilerOptions: options, include: ["snippets/**/*.mjs"] }));
    const { stdout, code } = await workspace.run(program("tsc"), [
      "--project",
      "tsconfig.js.json",
      "--pretty",
      "false",
    ]);
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });
});

describe("Every TypeScript snippet runs, and does what the text says", () => {
  let outcomes: ReadonlyMap<string, string>;
  beforeAll(async () => {
    const isAlone = (each: Snippet): boolean => checksOf.get(pageOf(each))?.alone.includes(each.name) === true;
    const together = Map.groupBy(
      typescript.filter((each) => !isAlone(each)),
      pageOf,
    );
    const groups = [...typescript.filter(isAlone).map((each) => [each]), ...together.values()];
    // A few processes at a time: snippets wait a few seconds at most, as users would.
    const found = new Map<string, string>();
    const left = groups.values();
    const runSome = async (): Promise<void> => {
      for (const group of left) for (const [title, outcome] of await runGroup(group)) found.set(title, outcome);
    };
    await Promise.all(Array.from({ length: 2 * availableParallelism() }, runSome));
    outcomes = found;
  });

  it.each(typescript.map(titleOf))("%s", (title) => {
    expect(outcomes.get(title)).toBe("ran");
  });
});

interface Report {
  readonly name: string;
  readonly error?: string;
}

/** How the snippets of a group, which are of one page, went: by title, `ran` or what went wrong. */
async function runGroup(group: readonly Snippet[]): Promise<ReadonlyMap<string, string>> {
  const [first] = group;
  const name = first === undefined ? "" : pageOf(first);
  const outcome = new Map(group.map((each) => [titleOf(each), "did not run"]));
  const child = fork(here("fixtures/runner.ts"), [name, ...group.map((each) => each.name)], {
    cwd: workspace.path,
    // No collector is there to export to.
    env: { ...inherited(), OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
    silent: true,
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.on("message", ({ name: snippet, error }: Report) => {
    const title = `${name}/${snippet}`;
    // A rejection that nobody handled may come after the end of the snippet; a fault is not overwritten.
    if (error !== undefined) outcome.set(title, error);
    else if (outcome.get(title) === "did not run") outcome.set(title, "ran");
  });
  await once(child, "close");
  return new Map(
    [...outcome].map(([title, result]) => [title, result === "did not run" ? `${result}\n${printed}` : result]),
  );
}
