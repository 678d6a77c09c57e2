import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { page, tableBelow } from "./markdown.ts";
import { Workspace } from "./workspace.ts";

const program = fileURLToPath(new URL("fixtures/comparison.ts", import.meta.url));
const readme = page("README.md");
const rows = tableBelow("comparison", readme);
const [picture = "", builtIn = ""] = [...readme.text.matchAll(/^```text\n(Trace .*?)^```/gms)].map(
  ([, text = ""]) => text,
);

/** Where each span of a picture is, from its root down. Order and times differ between runs. */
function paths(text: string): readonly string[] {
  const row = /^[✓✗] ((?:│ {2}| {3}|├─ |└─ )*)(\S+(?: \[[a-z ]+\])?) +(producer|server|client|internal) /gm;
  const found: string[] = [];
  let path: readonly string[] = [];
  for (const [, indent = "", name = "", kind = ""] of text.matchAll(row)) {
    path = [...path.slice(0, indent.length / 3), `${name} ${kind}`];
    found.push(path.join(" > "));
  }
  return found.toSorted();
}

/** `count` spans that the picture of the built-in tracing counts in its last line. */
const more = (count: number, name: string): readonly string[] =>
  Array.from({ length: count }, () => `${name} internal`);

/** What the README says, and what a real run counts. */
const variants = [
  { variant: "built-in tracing", column: 1, shown: [...paths(builtIn), ...more(2, "db.query"), ...more(3, "price")] },
  { variant: "this package", column: 2, shown: paths(picture) },
];

describe.each(variants)("The README's comparison, in a run with $variant", ({ variant, column, shown }) => {
  let result: { readonly counts: Readonly<Record<string, number>>; readonly picture: string };
  beforeAll(async () => {
    using workspace = new Workspace();
    const { stdout, stderr } = await workspace.run(process.execPath, [program, variant]);
    expect(stderr).toBe("");
    result = JSON.parse(stdout) as typeof result;
  });

  it("has the numbers of the table", () => {
    expect(Object.fromEntries(rows.map((row) => [row[0], Number(row[column])]))).toEqual(result.counts);
  });

  it("has the spans of the picture, each below the same parents", () => {
    expect(shown).toHaveLength(result.counts["spans"] ?? 0);
    expect(shown.toSorted()).toEqual(paths(result.picture));
  });
});
