import { RetryPolicy, type OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import { caching } from "../../middlewares/caching/index.ts";
import { isolated } from "../../middlewares/tracing/faults.ts";
import { metrics } from "../../middlewares/metrics/index.ts";
import { definitions, type InstrumentName } from "../../middlewares/metrics/definitions.ts";
import { page, tableBelow } from "../docs/markdown.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { recordMetrics, WorkItems, type Collected } from "./record-metrics.ts";

// One orchestration that makes every measurement there is, beside the tables in docs/metrics.md.

const workItems = new WorkItems();
let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  const retry = new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 10 });
  await hub.worker(
    { middlewares: () => [workItems.middleware, metrics(), caching({ activities: { charge: { ttl: "1m" } } })] },
    (worker) => {
      worker.addNamedActivity("charge", () => {
        throw new RangeError("negative");
      });
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge", null, { version: "2.0", retry });
      });
    },
  );
});

async function run(): Promise<Collected> {
  const recorded = recordMetrics();
  await hub.run("order", null, { version: "1.1" });
  await workItems.over();
  isolated.run("a measurement of the documentation was lost", () => {
    throw new Error("on purpose");
  });
  return recorded.collect();
}

const sorted = (names: readonly string[]): readonly string[] => names.toSorted();

describe("The tables in docs/metrics.md", () => {
  const metricsPage = page("docs/metrics.md");
  const instruments = tableBelow("instruments", metricsPage).map(
    ([name = "", kind = "", unit = "", attributes = ""]) => ({
      name,
      kind,
      unit,
      attributes: attributes.split(", "),
    }),
  );

  it("have the instruments that there are, with their kinds and units", () => {
    expect(instruments.map(({ name, kind, unit }) => ({ name, kind, unit }))).toEqual(
      Object.entries(definitions).map(([name, { kind, unit }]) => ({ name, kind, unit })),
    );
  });

  it("say which attributes an instrument has", async () => {
    const collected = await run();
    expect(sorted(collected.instruments.map(({ descriptor }) => descriptor.name))).toEqual(
      sorted(Object.keys(definitions)),
    );
    for (const { name, attributes } of instruments) {
      const emitted = new Set(collected.points(name).flatMap((point) => Object.keys(point.attributes)));
      expect(sorted([...emitted]), name).toEqual(sorted(attributes));
    }
  });

  it("have each attribute", () => {
    const used = new Set(instruments.flatMap(({ attributes }) => attributes));
    expect(sorted(tableBelow("attributes", metricsPage).map(([key = ""]) => key))).toEqual(sorted([...used]));
  });

  it("have the buckets", () => {
    const documented = tableBelow("buckets", metricsPage).map(([unit = "", bounds = ""]) => ({
      unit,
      bounds: bounds.split(", ").map(Number),
    }));
    for (const name of Object.keys(definitions) as InstrumentName[]) {
      const { kind, unit, buckets } = definitions[name];
      if (kind !== "histogram") continue;
      expect(buckets, name).toEqual(documented.find((row) => row.unit === (unit === "s" ? "s" : "others"))?.bounds);
    }
  });

  it("and every instrument has a description, which ends as a sentence does", () => {
    for (const { description } of Object.values(definitions)) expect(description).toMatch(/^[A-Z].*\.$/);
  });
});
