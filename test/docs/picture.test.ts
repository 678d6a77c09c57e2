import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page, root } from "./markdown.ts";
import { Workspace } from "./workspace.ts";

const demo = fileURLToPath(new URL("examples/order-workflow/main.ts", root));
const picture = "docs/images/order-workflow.svg";

/** Where each span of a picture is, from its root down, with its kind and status. Order and times differ between runs. */
function paths(svg: string): readonly string[] {
  const row = /<g class="row" data-depth="(\d+)">.*?<title>([^<]*)<\/title>/g;
  let path: readonly string[] = [];
  const found = [...svg.matchAll(row)].map(([, depth = "", title = ""]) => {
    const [name, kind, , , status = "ok"] = title.split(" · ");
    path = [...path.slice(0, Number(depth)), `${name} ${kind} ${status}`];
    return path.join(" > ");
  });
  return found.toSorted();
}

describe("The README's picture", () => {
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-picture-"));
  const [svg, html] = [join(directory, "picture.svg"), join(directory, "page.html")];
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  beforeAll(async () => {
    using workspace = new Workspace();
    const args = [demo, "--order", "order-1001", "--svg", svg, "--html", html];
    expect(await workspace.run(process.execPath, args)).toMatchObject({ code: 0, stderr: "" });
  });

  it("has the spans that the demo emits now, each below the same parents, with the same kind and status", () => {
    const shown = paths(readFileSync(new URL(picture, root), "utf8"));
    expect(shown.length).toBeGreaterThan(20);
    // `npm run pictures` draws it again.
    expect(shown).toEqual(paths(readFileSync(svg, "utf8")));
  });

  it("looks as renderTraceSvg draws now", () => {
    const styles = (text: string): string => /<style>.*?<\/style>/s.exec(text)?.[0] ?? "no style";
    expect(styles(readFileSync(new URL(picture, root), "utf8"))).toBe(styles(readFileSync(svg, "utf8")));
  });

  it("is in the README, with a description", () => {
    const [, path, alt = ""] = /<img src="([^"]+)" width="960" alt="([^"]+)">/.exec(page("README.md").text) ?? [];
    expect(path).toBe(picture);
    expect(alt.length).toBeGreaterThan(50);
  });

  it("comes with a page of the same spans where the demo is asked for one", () => {
    expect(readFileSync(html, "utf8").match(/class="row [^"]*" role="row" aria-level/g)).toHaveLength(
      paths(readFileSync(svg, "utf8")).length,
    );
  });
});
