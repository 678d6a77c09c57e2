import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";

interface Report {
  readonly copies: boolean;
  readonly output: string;
  readonly seen: Record<string, boolean>;
  readonly refusals: readonly string[];
  readonly spans: readonly { name: string; kind: number; id: string; parent?: string }[];
}

let report: Report;
beforeAll(async () => {
  // The built package, as a process gets it in which one dependency imports it and another requires it.
  const program = fileURLToPath(new URL("fixtures/two-copies.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  report = JSON.parse(stdout) as Report;
});

describe("The ESM and the CJS copy of the package in one process", () => {
  it("F4 F6 share the features of a work item: a host's reach task code through either", () => {
    expect(report.copies).toBe(true);
    expect(report.output).toBe('"done"');
    expect(report.seen).toMatchObject({ activity: true, orchestration: true });
  });

  it("F5 share the keys of the built-in features", () => {
    expect(report.seen).toMatchObject({ "activity span": true, "orchestration span": true });
  });

  it("I6 share the IDs that are chosen: the CJS tracing on an ESM worker makes one whole tree", () => {
    const ids = new Map(report.spans.map(({ id, name, kind }) => [id, `${name} ${kind}`]));
    const tree = report.spans.map(
      ({ name, kind, parent }) => `${name} ${kind} < ${parent === undefined ? "nothing" : ids.get(parent)}`,
    );
    expect(new Set(tree)).toEqual(
      new Set([
        "activity:look 1 < activity:look 2",
        "activity:look 2 < orchestration:looks 1",
        "orchestration:looks 1 < nothing",
      ]),
    );
    expect(tree).toHaveLength(3);
  });

  it("R1 refuse a worker that the other one has decorated", () => {
    expect(report.refusals).toHaveLength(2);
    for (const refusal of report.refusals)
      expect(refusal).toMatch(/^Error: .*this TaskHubGrpcWorker has durable telemetry already/);
  });
});
