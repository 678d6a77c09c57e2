import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { pages, root } from "./markdown.ts";

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly import: { readonly types: string } }>>;
}
const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as Manifest;
const entries = Object.entries(manifest.exports).flatMap(([entry, conditions]) =>
  typeof conditions === "string" ? [] : [[entry.replace(/^\./, "durable-telemetry"), conditions.import.types] as const],
);

/** The names, of values and types, that a file of declarations exports. */
function exportedNames(declarations: string): readonly string[] {
  const lists = [...declarations.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = ""]) =>
    list.split(","),
  );
  const inLists = lists.map(
    (item) =>
      item
        .trim()
        .replace(/^type /, "")
        .split(" as ")
        .at(-1) ?? "",
  );
  const declared = [...declarations.matchAll(/^export (?:declare )?(?:class|function|const|interface|type) (\w+)/gm)];
  return [...inLists, ...declared.map(([, name = ""]) => name)].filter((name) => name !== "");
}

// Hidden preludes and checks don't count.
const visible = pages()
  .map(({ text }) => text.replaceAll(/<!--.*?-->/gs, ""))
  .join("\n");

describe("Every public name is mentioned in the documentation", () => {
  it.each(entries)("%s", (entry, types) => {
    const names = exportedNames(readFileSync(new URL(types, root), "utf8"));
    // What is imported for its effect alone has none.
    expect(names.length > 0).toBe(entry !== "durable-telemetry/register");
    expect(visible).toContain(entry);
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(visible))).toEqual([]);
  });
});
