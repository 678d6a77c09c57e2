import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { page, tableBelow } from "./markdown.ts";
import { Workspace } from "./workspace.ts";

const program = fileURLToPath(new URL("fixtures/comparison.ts", import.meta.url));
const rows = tableBelow("comparison", page("README.md"));

/** What the README says, and what a real run counts. */
const variants = [
  ["built-in tracing", 1],
  ["this package", 2],
] as const;

describe("The README's comparison", () => {
  it.each(variants)("is what a run with %s counts", async (variant, column) => {
    using workspace = new Workspace();
    const { stdout, stderr } = await workspace.run(process.execPath, [program, variant]);
    expect(stderr).toBe("");
    expect(Object.fromEntries(rows.map((row) => [row[0], Number(row[column])]))).toEqual(JSON.parse(stdout));
  });
});
