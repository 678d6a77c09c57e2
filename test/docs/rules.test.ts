import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { page, root } from "./markdown.ts";
import { rulesOf, testTitles } from "./test-titles.ts";

const cwd = fileURLToPath(root);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

const documented = ["docs/contract.md", "docs/telemetry.md"].flatMap((path) =>
  [...page(path).text.matchAll(/^- \*\*([A-Z]\d+)\*\* /gm)].map(([, rule = ""]) => ({ rule, path })),
);
const rules = new Set(documented.map(({ rule }) => rule));

const proofs = globSync("test/**/*.test.ts", { cwd }).flatMap((file) =>
  testTitles(read(file)).flatMap(({ title, line }) => rulesOf(title).map((rule) => ({ rule, at: `${file}:${line}` }))),
);

describe("The numbered rules in the documentation", () => {
  it("are there, and each number is used once", () => {
    expect(rules.size).toBeGreaterThan(50);
    expect(documented.map(({ rule }) => rule)).toEqual([...rules]);
  });

  it.each(documented)("$rule in $path has a test whose title begins with it", ({ rule }) => {
    expect(proofs.filter((proof) => proof.rule === rule)).not.toEqual([]);
  });

  it("are all the rules that tests name", () => {
    expect(proofs.filter(({ rule }) => !rules.has(rule))).toEqual([]);
  });

  it("are all the rules that the documentation refers to", () => {
    const references = globSync(["README.md", "docs/*.md"], { cwd }).flatMap((path) =>
      [...read(path).matchAll(/\[(?:contract, )?([A-Z]\d+)\]\(/g)].map(([, rule = ""]) => ({ rule, path })),
    );
    expect(references.length).toBeGreaterThan(5);
    expect(references.filter(({ rule }) => !rules.has(rule))).toEqual([]);
  });

  it("are all the rules that public docstrings refer to", () => {
    // The bundles' declarations hold what editors show to users.
    const references = globSync("dist/*.d.mts", { cwd }).flatMap((path) =>
      [
        ...read(path).matchAll(
          /(?:contract|telemetry)\.md ([A-Z]\d+(?:(?:, | to )[A-Z]\d+)*)|\(([A-Z]\d+(?:, [A-Z]\d+)*)\)/g,
        ),
      ].flatMap(
        ([, first = "", second = ""]) => (first + second).match(/[A-Z]\d+/g)?.map((rule) => ({ rule, path })) ?? [],
      ),
    );
    expect(references.length).toBeGreaterThan(20);
    expect(references.filter(({ rule }) => !rules.has(rule))).toEqual([]);
  });
});
