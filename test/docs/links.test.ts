import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { anchors, links, page, pages, root } from "./markdown.ts";

const all = pages();

/** What is wrong with a link from a page, if anything is. */
function fault(from: string, target: string): string | undefined {
  if (target.startsWith("https://")) return undefined;
  const [file = "", anchor] = target.split("#", 2);
  const url = file === "" ? new URL(from, root) : new URL(file, new URL(from, root));
  if (!existsSync(url)) return `${target}: there is no such file`;
  if (anchor === undefined) return undefined;
  const known = anchors(page(url.pathname.slice(root.pathname.length)));
  return known.has(anchor) ? undefined : `${target}: there is no such heading; there are ${[...known].join(", ")}`;
}

describe("The documentation", () => {
  it.each(all.map(({ path }) => path))("%s has links that lead somewhere", (path) => {
    expect(links(page(path)).flatMap((target) => fault(path, target) ?? [])).toEqual([]);
  });

  it("has links in it, some of them to headings", () => {
    const targets = all.flatMap(links);
    expect(targets.length).toBeGreaterThan(40);
    expect(targets.filter((target) => target.includes("#")).length).toBeGreaterThan(10);
  });

  it("names only scripts and files of the repository that exist", () => {
    const { scripts } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const current = all.filter(({ path }) => path !== "CHANGELOG.md");
    const run = current.flatMap(({ text }) => [...text.matchAll(/\bnpm run ([\w:]+)/g)].map(([, name = ""]) => name));
    const files = current.flatMap(
      ({ text }) => text.match(/(?<![\w./-])(?:test|bench|docs|examples)\/[\w./-]*\w/g) ?? [],
    );
    expect(run.length).toBeGreaterThan(1);
    expect(run.filter((name) => !(name in scripts))).toEqual([]);
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((file) => !existsSync(new URL(file, root)))).toEqual([]);
  });

  it("can be reached from the README, page by page", () => {
    const reached = links(page("README.md"));
    const docs = all.map(({ path }) => path).filter((path) => path.startsWith("docs/"));
    expect(docs.filter((path) => !reached.includes(path))).toEqual([]);
  });

  it("has no link that leads out of the published package", async () => {
    const flags = ["--dry-run", "--json", "--ignore-scripts", "--silent"];
    const { stdout } = await promisify(execFile)("npm", ["pack", ...flags], { cwd: root });
    const [listed] = JSON.parse(stdout) as readonly { readonly files: readonly { readonly path: string }[] }[];
    const published = new Set(listed?.files.map(({ path }) => path));
    const packed = all.filter(({ path }) => published.has(path));
    expect(packed.length).toBeGreaterThan(20);
    const outside = packed.flatMap((each) =>
      links(each)
        .filter((target) => !/^https:|^#/.test(target))
        .filter(
          (target) => !published.has(new URL(target, new URL(each.path, root)).pathname.slice(root.pathname.length)),
        )
        .map((target) => `${each.path}: ${target}`),
    );
    expect(outside).toEqual([]);
  });
});
