import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { page, tableBelow } from "../docs/markdown.ts";
import { check, isInstalled } from "../prometheus/server.ts";

const [, , inOperations = ""] =
  tableBelow("questions", page("docs/operations.md")).find(([question]) => question?.includes("in flight")) ?? [];
const [, inMetrics = ""] = /^```promql\n(sum by .*?)```$/ms.exec(page("docs/metrics.md").text) ?? [];

it.skipIf(!isInstalled && !process.env["CI"]).each([
  ["docs/operations.md", inOperations],
  ["docs/metrics.md", inMetrics],
])("The query of %s for what is in flight has what started and never finished", (_, expression) => {
  const counts = (count: number): string => `0 ${count}x59`;
  const started = (name: string, count: number): unknown => ({
    series: `durabletask_orchestration_started_total{durabletask_task_name="${name}", instance="a"}`,
    values: counts(count),
  });
  const finished = (name: string, status: string, count: number): unknown => ({
    series: `durabletask_orchestration_duration_count{durabletask_task_name="${name}", durabletask_task_status="${status}", instance="b"}`,
    values: counts(count),
  });
  const cases = {
    tests: [
      {
        interval: "1m",
        input_series: [
          started("approval", 7),
          started("order", 9),
          finished("order", "Completed", 4),
          finished("order", "Failed", 2),
        ],
        promql_expr_test: [
          {
            // `increase` estimates what was before the first sample.
            expr: `round(${expression})`,
            eval_time: "59m",
            exp_samples: [
              { labels: '{durabletask_task_name="approval"}', value: 7 },
              { labels: '{durabletask_task_name="order"}', value: 3 },
            ],
          },
        ],
      },
    ],
  };
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-queries-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "cases.json");
  writeFileSync(path, JSON.stringify(cases));
  const { status, output } = check("test", "rules", path);
  expect(output).toContain("SUCCESS");
  expect(status).toBe(0);
});
