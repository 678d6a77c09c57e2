import { SpanKind } from "@opentelemetry/api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordSpans, startHub, wholeness, type Hub, type RecordedSpans } from "../harness.ts";
import { register, scenarios, type Scenario } from "./scenarios.ts";

interface Counts {
  readonly "orchestration: SERVER": number;
  readonly orphans: number;
  readonly "duplicate IDs": number;
  readonly "user spans nested": string;
  readonly "in orchestrators": number;
  readonly traces: number;
  readonly open: number;
}

let ours: Hub;
let twoWorkers: Hub;
let builtIn: Hub;
beforeAll(async () => {
  [ours, twoWorkers, builtIn] = await Promise.all([startHub(), startHub(), startHub()]);
  await ours.worker({}, register);
  await twoWorkers.worker({}, register);
  await twoWorkers.worker({}, register);
  await builtIn.bareWorker(register);
});

async function count(
  { run, executions, activities }: Scenario,
  hub: Hub,
): Promise<{ counts: Counts; spans: RecordedSpans }> {
  const spans = recordSpans();
  await run(hub);
  // The last span of all is an orchestration's; a response is a fact before its worker knows that it is.
  await spans.waitFor(
    (all) =>
      wholeness(all).orchestrations >= executions &&
      all.filter(({ name, kind }) => name.startsWith("activity:") && kind === SpanKind.SERVER).length >= activities,
  );
  const { orchestrations, orphans, duplicates, traces } = wholeness(spans.finished);
  const servers = new Set(
    spans.finished
      .filter(({ name, kind }) => kind === SpanKind.SERVER && name.startsWith("activity:"))
      .map((span) => span.spanContext().spanId),
  );
  const inActivities = spans.finished.filter(({ name }) => name === "in activity");
  const nested = inActivities.filter(({ parentSpanContext }) => servers.has(parentSpanContext?.spanId ?? ""));
  return {
    spans,
    counts: {
      "orchestration: SERVER": orchestrations,
      orphans,
      "duplicate IDs": duplicates,
      "user spans nested": `${nested.length} of ${inActivities.length}`,
      "in orchestrators": spans.finished.filter(({ name }) => name === "in orchestrator").length,
      traces,
      open: spans.open,
    },
  };
}

const table: Record<string, Counts> = {};
afterAll(() => console.table(table));

describe("Over gRPC, on a real worker", () => {
  it.each(scenarios)("S1 $name: every execution is one whole trace", async (scenario) => {
    const { counts, spans } = await count(scenario, ours);
    table[scenario.name] = counts;
    expect(counts).toEqual(whole(scenario, spans));
  });

  it.each(scenarios)(
    "S1 $name: with two workers that share the work, every execution is one whole trace",
    async (scenario) => {
      const { counts, spans } = await count(scenario, twoWorkers);
      table[`${scenario.name}, two workers`] = counts;
      // Each of the two counts its own attempts, so how often a flaky activity runs is not the same each time.
      if (scenario.name === "retries") expect(counts.orphans + counts["duplicate IDs"] + counts.open).toBe(0);
      else expect(counts).toEqual(whole(scenario, spans));
    },
  );

  it.each(scenarios)("$name: the SDK's built-in tracing, for comparison", async (scenario) => {
    const { counts } = await count(scenario, builtIn);
    table[`${scenario.name}, built-in tracing`] = counts;
    // What this package is for: should the SDK mend it, this says so.
    expect(counts.orphans).toBeGreaterThan(0);
  });
});

function whole({ executions, traces }: Scenario, spans: RecordedSpans): Counts {
  const inActivities = spans.finished.filter(({ name }) => name === "in activity").length;
  return {
    "orchestration: SERVER": executions,
    orphans: 0,
    "duplicate IDs": 0,
    "user spans nested": `${inActivities} of ${inActivities}`,
    "in orchestrators": executions,
    traces,
    open: 0,
  };
}
