import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page } from "../docs/markdown.ts";
import { canCertify } from "./certificate.ts";
import { pack, type Tarball } from "./package.ts";
import { Project } from "./project.ts";
import { isOffline } from "./registry.ts";
import { logsOf, metricsOf, stacks, versionOf } from "./stacks.ts";
import { install, runWorkflow, type Installed, type Trial } from "./trial.ts";

// Real projects in empty directories: what people run, installed as its documentation says, and this package beside it.

const offline = await isOffline();
const minutes = 60_000;

it("The table in the documentation has a row for each set-up, with the version that is tried", () => {
  const rows = page("docs/distributions.md")
    .text.split("\n")
    .filter((line) => line.startsWith("| ["));
  const starts = rows.map((row) => row.split(" | ").slice(0, 2).join(" | "));
  expect(starts).toEqual(stacks.map((stack) => `| [${stack.name}](${stack.link}) | ${versionOf(stack)}`));
});

describe.each(stacks.filter(({ inTests }) => inTests))("Beside $name", (stack) => {
  const skip = offline || (stack.isTls === true && !canCertify && !process.env["CI"]);
  if (skip && !offline)
    console.warn(
      `OpenSSL 3 (openssl) is not in PATH: ${stack.name} is skipped. Debian and Ubuntu have it as the package \`openssl\`.`,
    );
  const project = new Project();
  let tarball: Tarball | undefined;
  let installed: Installed;
  let trial: Trial;
  beforeAll(async () => {
    if (skip) return;
    tarball = await pack();
    installed = await install(project, stack, tarball.path);
    trial = await runWorkflow(project, stack);
    const { whole, absent, logs, metrics } = trial;
    console.info(
      `Beside ${stack.name}: ${installed.packages} packages and ${installed.megabytes.toFixed(1)} MB more; ` +
        `of ${stack.orchestrations} traces ${whole} whole, ${absent} left out; ${logs} log records, ${metrics} metrics.`,
    );
  }, 8 * minutes);
  afterAll(() => {
    tarball?.[Symbol.dispose]();
    project[Symbol.dispose]();
  });

  it.skipIf(skip)("one line installs the package without a word about peers, and npm ci installs it again", () => {
    expect(installed).toMatchObject({ complaints: [], isCi: true });
  });

  it.skipIf(skip)("there is one copy of the OpenTelemetry API, the one that the set-up wants", () => {
    expect(installed.api).toHaveLength(1);
    if (installed.apiBefore.length > 0) expect(installed.api).toEqual(installed.apiBefore);
  });

  if (stack.with === undefined)
    it.skipIf(skip)("the package adds 4 packages and 4 MB at most", () => {
      expect(installed.packages).toBeLessThanOrEqual(4);
      expect(installed.megabytes).toBeLessThanOrEqual(4);
    });

  it.skipIf(skip)("the application does what it does without", () => {
    expect(trial.ended.code).toBe(0);
    expect(trial.results).toEqual(
      Array.from({ length: stack.orchestrations }, () => ["Hello, Ada!", "late", "done", "Hello, Ada!"]),
    );
  });

  it.skipIf(skip)("nothing is printed about what can't be helped", () => {
    expect(trial.lines).toEqual([]);
  });

  if (stack.signals.traces)
    it.skipIf(skip)("each trace is whole, or absent where the set-up samples", () => {
      const { whole, absent, torn, orphans, doubled, differences } = trial;
      expect({ torn, orphans, doubled, differences }).toEqual({ torn: 0, orphans: 0, doubled: 0, differences: [] });
      expect(whole + absent).toBe(stack.orchestrations);
      expect(whole).toBeGreaterThanOrEqual(stack.isSampled === true ? 1 : stack.orchestrations);
    });

  if (stack.signals.traces)
    it.skipIf(skip)("an activity that takes 300 ms is shown with 300 ms", () => {
      expect(trial.tooShort).toBe(0);
    });

  if (stack.signals.logs)
    it.skipIf(skip)("each log record arrives", () => {
      expect(trial.logs).toBe(logsOf(stack));
    });

  if (stack.signals.metrics)
    it.skipIf(skip)("each metric arrives", () => {
      expect(trial.metrics).toBe(metricsOf);
    });
});
