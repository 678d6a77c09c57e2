import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Panel, RowPanel } from "@grafana/grafana-foundation-sdk/dashboard";
import { parseDocument } from "yaml";
import { anchors, page, tableBelow } from "../docs/markdown.ts";
import { alerts, defaults } from "./catalogue/catalogue.ts";
import { dashboard, dashboardPath, variables } from "./catalogue/dashboard.ts";
import { instruments } from "./catalogue/instruments.ts";
import { generatedFiles, root } from "./catalogue/files.ts";
import { rulesFile, rulesPath, runbookPage } from "./catalogue/rules-file.ts";
import { spellings, type Spelling } from "./catalogue/spelling.ts";
import { panelsOf } from "./live.ts";
import { prometheus3 } from "./prometheus-3.ts";
import { ruleCases } from "./rule-cases.ts";
import { check, checkWith, isInstalled } from "./server.ts";

const shipped = (path: string): string => readFileSync(new URL(path, root), "utf8");

describe("The table of spellings in docs/dashboards.md", () => {
  it("has an example and the files of each", () => {
    const rows = tableBelow("spellings", page(runbookPage)).map(([id, example, , ...files]) => [id, example, ...files]);
    expect(rows).toEqual(
      spellings.map((each) => [
        each.id,
        each.select("durabletask.activity.duration:bucket"),
        dashboardPath(each),
        rulesPath(each),
      ]),
    );
  });
});

describe("The generated files", () => {
  it.each([...generatedFiles()])("have what the catalogue generates now: %s", (path, text) => {
    expect(existsSync(new URL(path, root)), "run `npm run dashboards`").toBe(true);
    expect(shipped(path) === text, `${path} differs from the catalogue: run \`npm run dashboards\``).toBe(true);
  });
});

// Prometheus 2 does not know names with dots.
describe.each(spellings)("The rules with the spelling $id", (spelling) => {
  const promtool = spelling.id === "dots" ? prometheus3()?.promtool : undefined;
  const able = spelling.id === "dots" ? promtool !== undefined : isInstalled || process.env["CI"] !== undefined;
  const run = (...args: readonly string[]): ReturnType<typeof check> =>
    promtool === undefined ? check(...args) : checkWith(promtool, ...args);

  it.skipIf(!able)("pass promtool's check", () => {
    expect(
      run("check", "rules", "--lint=all", "--lint-fatal", fileURLToPath(new URL(rulesPath(spelling), root))),
    ).toMatchObject({
      status: 0,
      output: expect.stringContaining("SUCCESS: 17 rules found"),
    });
  });

  it.skipIf(!able)("give the answers, and the alerts, that the cases expect", () => {
    const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-cases-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const cases = join(directory, "cases.yml");
    writeFileSync(cases, ruleCases(spelling, fileURLToPath(new URL(rulesPath(spelling), root))));
    const { status, output } = run("test", "rules", cases);
    expect(output).toContain("SUCCESS");
    expect(status).toBe(0);
  });

  it("are well-formed YAML, with a comment that names the spelling's source", () => {
    const text = rulesFile(spelling, defaults);
    expect(parseDocument(text).errors).toEqual([]);
    expect(text.slice(0, text.indexOf("\ngroups:"))).toContain(spelling.source);
  });

  it("name a heading of the runbook in each alert", () => {
    const headings = anchors(page(runbookPage));
    const runbooks = [...shipped(rulesPath(spelling)).matchAll(/^ +runbook: (.+)$/gm)].map(([, target = ""]) => target);
    expect(runbooks).toHaveLength(alerts(spelling, defaults).length);
    for (const target of runbooks) {
      const [file, anchor = ""] = target.split("#");
      expect(file).toBe(runbookPage);
      expect(headings).toContain(anchor);
    }
  });
});

describe.each(spellings)("The dashboard with the spelling $id", (spelling) => {
  const all: readonly (Panel | RowPanel)[] = dashboard(spelling).panels ?? [];
  const panels = panelsOf(spelling);

  it("has no panel that overlaps another, or leaves the grid", () => {
    const taken = new Map<string, string>();
    for (const { title = "", gridPos } of all) {
      if (gridPos === undefined) throw new Error(`${title} has no place.`);
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.get(`${x},${y}`), `${title} at ${x},${y}`).toBeUndefined();
          taken.set(`${x},${y}`, title);
        }
      }
    }
  });

  it("has panels with an ID, a title and reference IDs of their own", () => {
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(new Set(all.map(({ title }) => title)).size).toBe(all.length);
    for (const { title, targets = [] } of panels) {
      const ids = targets.map((target) => (target as { refId?: string }).refId);
      expect(ids.length, title).toBeGreaterThan(0);
      expect(new Set(ids).size, title).toBe(ids.length);
    }
  });

  it("says in each description what to do, and gives each panel a unit", () => {
    for (const { title, description, fieldConfig } of panels) {
      expect(description, title).toMatch(/\bIf .+(?:: |, ).+\.$/);
      expect(fieldConfig?.defaults.unit, title).toMatch(/^\w+$/);
    }
  });

  it("asks the data source that is chosen, and uses no variable that is not there", () => {
    const known = new Set([...Object.values(variables), "__rate_interval"]);
    for (const { title, datasource, targets = [] } of panels) {
      expect(datasource, title).toEqual({ type: "prometheus", uid: `\${${variables.datasource}}` });
      for (const [, variable = ""] of JSON.stringify(targets).matchAll(/\$\{?(\w+)/g))
        expect(known).toContain(variable);
    }
    expect(dashboard(spelling).templating.list?.map(({ name }) => name)).toEqual(Object.values(variables));
  });

  it("shows every instrument, in its spelling and no other", () => {
    const text = shipped(dashboardPath(spelling)) + shipped(rulesPath(spelling));
    for (const [instrument, { kind }] of Object.entries(instruments)) {
      const part = kind === "histogram" ? ":bucket" : "";
      expect(text).toContain(spelling.name(`${instrument}${part}` as Parameters<Spelling["name"]>[0]));
    }
    const expressions = panels.flatMap(({ targets = [] }) =>
      targets.map((target) => (target as { expr?: string }).expr ?? ""),
    );
    for (const expression of expressions) expect(/durabletask_/.test(expression)).toBe(spelling.id !== "dots");
  });
});
