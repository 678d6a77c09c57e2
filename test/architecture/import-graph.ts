import { readdirSync, readFileSync } from "node:fs";
import { dirname, posix } from "node:path";

/** The modules that each module imports, by path. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

const comment = /\/\*.*?\*\/|(?<=^|\s)\/\/[^\n]*/gs;
const specifier =
  /^(?:import|export)\b[^;"']*?\bfrom\s*["']([^"']+)["']|^import\s*["']([^"']+)["']|\b(?:import|require)\(\s*["']([^"']+)["']\s*\)/gms;

/** The modules that `source` imports or re-exports, those of `import type` and `import("…")` included. */
export function importsOf(source: string): readonly string[] {
  return [...source.replaceAll(comment, "").matchAll(specifier)].map(
    ([, from, effect, call]) => from ?? effect ?? call ?? "",
  );
}

/** The imports between the files of `folders`, relative to `root`. Packages are left out. */
export function importGraph(root: URL, folders: readonly string[]): ImportGraph {
  const files = folders.flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.[cm]?ts$|\.cjs$/.test(file))
      .map((file) => posix.join(folder, file.replaceAll("\\", "/"))),
  );
  return new Map(
    files.map((file) => {
      const own = importsOf(readFileSync(new URL(file, root), "utf8")).filter((name) => name.startsWith("."));
      return [file, own.map((name) => posix.join(dirname(file), name))] as const;
    }),
  );
}

/** The same graph between groups of modules. What `groupOf` has no group for is left out. */
export function grouped(graph: ImportGraph, groupOf: (file: string) => string | undefined): ImportGraph {
  const groups = new Map<string, Set<string>>();
  for (const [file, imports] of graph) {
    const group = groupOf(file);
    if (group === undefined) continue;
    const targets = groups.get(group) ?? new Set();
    groups.set(group, targets);
    for (const target of imports.map(groupOf)) if (target !== undefined && target !== group) targets.add(target);
  }
  return new Map([...groups].map(([group, targets]) => [group, [...targets].toSorted()]));
}

/** One cycle for each module from which the search finds one, as "a -> b -> a". */
export function cyclesOf(graph: ImportGraph): readonly string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (module: string, path: readonly string[]): void => {
    const at = path.indexOf(module);
    if (at !== -1) {
      cycles.push([...path.slice(at), module].join(" -> "));
      return;
    }
    if (done.has(module)) return;
    for (const target of graph.get(module) ?? []) visit(target, [...path, module]);
    done.add(module);
  };
  for (const module of graph.keys()) visit(module, []);
  return cycles;
}
