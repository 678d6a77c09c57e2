import { context, trace, TraceFlags } from "@opentelemetry/api";
import { AlwaysOnSampler, ParentBasedSampler } from "@opentelemetry/sdk-trace";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { LocalSidecarOptions } from "../../src/testing/sidecar/index.ts";
import { recordSpans, startHub, type Hub } from "../harness.ts";
import { startReceiver, type ReceivedSpan } from "../otlp/receiver.ts";
import { planOf, spansOf, type Plan } from "./sampling-plans.ts";
import { decisionsOf, startSampledWorker, type Decisions } from "./sampling-worker.ts";

// The hub's execution IDs are random, and whether a trace is sampled follows from them: here they are the same in each
// run of the tests, so that each run samples the same orchestrations.
let uuids = 0;
vi.mock(import("node:crypto"), async (original) => {
  const crypto = await original();
  const fixed = (): string =>
    crypto
      .hash("sha256", `execution ${(uuids += 1)}`, "hex")
      .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, "$1-$2-$3-$4-$5");
  return { ...crypto, randomUUID: fixed as typeof crypto.randomUUID };
});

const ratio = 0.1;

/** What came of orchestrations that two processes served. */
interface Served {
  /** The spans by trace. */
  readonly traces: ReadonlyMap<string, readonly ReceivedSpan[]>;
  /** What each process has seen. */
  readonly seen: readonly Decisions[];
  readonly seconds: number;
}

/** Has `schedule` schedule orchestrations, all of them before a worker is there, and two processes serve them. */
async function serve(
  options: LocalSidecarOptions,
  schedule: (hub: Hub) => Promise<readonly string[]>,
): Promise<Served> {
  const begin = performance.now();
  const hub = await startHub(options);
  await using receiver = await startReceiver();
  const ids = await schedule(hub);
  const start = (id: string) => startSampledWorker(id, hub, receiver, "parentbased_traceidratio", ratio);
  await using one = await start("one");
  await using two = await start("two");
  for (const id of ids) await hub.client.waitForOrchestrationCompletion(id, false, 120);
  const seen = await Promise.all([one, two].map(decisionsOf));
  const traces = Map.groupBy(receiver.spans, ({ traceId }) => traceId);
  return { traces, seen, seconds: (performance.now() - begin) / 1000 };
}

/** The instance whose trace it is: that of the span which hangs on none of the trace. */
function instanceOf(spans: readonly ReceivedSpan[]): string {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const tops = spans.filter(({ parentSpanId }) => !ids.has(parentSpanId ?? ""));
  return tops
    .map(({ name, attributes: { "durabletask.task.instance_id": id } }) => (typeof id === "string" ? id : name))
    .join();
}

/** A trace in the words of `spansOf`. */
function linesOf(spans: readonly ReceivedSpan[]): string[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  if (byId.size < spans.length) throw new Error("There are two spans with one ID.");
  const parentOf = ({ parentSpanId }: ReceivedSpan): string => {
    const parent = byId.get(parentSpanId ?? "");
    if (parent !== undefined) return `${parent.kind} ${parent.name}`;
    return parentSpanId === undefined ? "root" : `span ${parentSpanId}`;
  };
  return spans.map((span) => `${span.kind} ${span.name} < ${parentOf(span)}`).toSorted();
}

const processesOf = (spans: readonly ReceivedSpan[]): number =>
  new Set(spans.map(({ resource }) => resource["service.instance.id"])).size;

/** All decisions that were made of an instance, in both processes: how many, and how many of them were to sample it. */
function decisionsFor(
  instanceId: string,
  seen: readonly Decisions[],
): { readonly made: number; readonly sampled: number; readonly processes: number } {
  const found = seen.flatMap((decisions) => decisions[instanceId] ?? []);
  return {
    made: found.reduce((sum, { episodes, activities }) => sum + episodes + activities, 0),
    sampled: found.reduce((sum, each) => sum + each.sampled, 0),
    processes: found.filter(({ episodes }) => episodes > 0).length,
  };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

/** Schedules one after the other, so that each has the same execution ID in each run. */
async function schedulePlans(hub: Hub, prefix: string, plans: readonly Plan[]): Promise<string[]> {
  const ids: string[] = [];
  for (const plan of plans)
    ids.push(await hub.client.scheduleNewOrchestration("plan", plan, { instanceId: `${prefix}-${ids.length}` }));
  return ids;
}

const numberIn = (instanceId: string): number => Number(instanceId.split("-").at(-1));

describe(`I5 2,000 orchestrations that nobody traced started, at ratio ${ratio}, on workers in two processes`, () => {
  const count = 2000;
  let served: Served;
  let present: ReadonlyMap<string, readonly ReceivedSpan[]>;
  beforeAll(async () => {
    served = await serve({}, (hub) => schedulePlans(hub, "order", numbers(count).map(planOf)));
    present = new Map([...served.traces.values()].map((spans) => [instanceOf(spans), spans]));
  }, 300_000);

  it("I5 7 to 13 per cent of the traces are there", () => {
    const percent = (present.size / count) * 100;
    console.log(
      `${present.size} of ${count} traces (${percent.toFixed(1)} %), ${[...present.values()].flat().length} spans, ${served.seconds.toFixed(1)} s`,
    );
    expect(percent).toBeGreaterThanOrEqual(7);
    expect(percent).toBeLessThanOrEqual(13);
  });

  it("I5 every trace is whole or absent: it has each of its spans once, or none at all", () => {
    // A span of an absent trace would be in a trace without a root.
    expect(served.traces.size).toBe(present.size);
    const expected = [...present.keys()].map((id) => [id, spansOf(planOf(numberIn(id)))]);
    expect([...present].map(([id, spans]) => [id, linesOf(spans)])).toEqual(expected);
  });

  it("I5 the decision is the same in every episode and activity, in both processes", () => {
    const decisions = numbers(count).map(
      (number) => [`order-${number}`, decisionsFor(`order-${number}`, served.seen)] as const,
    );
    const divided = decisions.filter(([, { made, sampled }]) => sampled !== 0 && sampled !== made);
    expect(divided).toEqual([]);
    const sampled = decisions.filter(([, each]) => each.sampled > 0).map(([id]) => id);
    expect(sampled.toSorted()).toEqual([...present.keys()].toSorted());
    // Each has two episodes at least; which process gets the next one is the hub's to say.
    const shared = decisions.filter(([, { processes }]) => processes === 2);
    console.log(`${shared.length} of ${count} had episodes in both processes`);
    expect(shared.length).toBeGreaterThan(count / 4);
  });

  it("I5 both processes have a part in the traces that are there", () => {
    const shared = [...present.values()].filter((spans) => processesOf(spans) === 2);
    console.log(`${shared.length} of ${present.size} traces have spans of both processes`);
    expect(shared.length).toBeGreaterThan(present.size / 4);
  });
});

describe("I5 where the backend drops trace contexts, and each process has nothing but the history", () => {
  const count = 300;
  // What a backend does not carry can't join a sub-orchestration's trace to its parent's.
  const plans = numbers(count).map((number): Plan => {
    const { child: _, ...plan } = planOf(number);
    return plan;
  });

  it("I5 every trace is whole or absent, too", { timeout: 120_000 }, async () => {
    const served = await serve({ traceContext: "drop" }, (hub) => schedulePlans(hub, "dropped", plans));
    const present = [...served.traces.values()].map((spans) => [instanceOf(spans), linesOf(spans)] as const);
    expect(present.length / count).toBeGreaterThan(0.05);
    expect(present.length / count).toBeLessThan(0.15);
    const expected = numbers(count).map(
      (number) => [`dropped-${number}`, spansOf(plans[number] ?? planOf(number))] as const,
    );
    const ids = new Set(present.map(([id]) => id));
    expect(new Map(present)).toEqual(new Map(expected.filter(([id]) => ids.has(id))));
  });
});

// The sampler's number of a trace is the exclusive or of its ID's four parts. So the ratio alone would sample the first
// trace, and not the second.
const low = "00000000".repeat(3) + "00000001";
const high = "00000000".repeat(3) + "ffffffff";

it(
  "I5 an unsampled parent yields no span and a sampled one yields all, whatever the ratio says, in both processes",
  { timeout: 120_000 },
  async () => {
    const count = 100;
    const plans = numbers(count).map(planOf);
    const client = recordSpans({ sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }) });
    const served = await serve({}, async (hub) => {
      const scheduleUnder = (traceId: string, traceFlags: TraceFlags, prefix: string): Promise<string[]> =>
        context.with(trace.setSpanContext(context.active(), { traceId, traceFlags, spanId: "1".repeat(16) }), () =>
          schedulePlans(hub, prefix, plans),
        );
      return [
        ...(await scheduleUnder(low, TraceFlags.NONE, "unsampled")),
        ...(await scheduleUnder(high, TraceFlags.SAMPLED, "sampled")),
      ];
    });

    const unsampled = numbers(count).map((number) => decisionsFor(`unsampled-${number}`, served.seen));
    expect(unsampled.map(({ sampled }) => sampled)).toEqual(unsampled.map(() => 0));
    expect(unsampled.filter(({ processes }) => processes === 2).length).toBeGreaterThan(count / 10);
    expect([...served.traces.keys()]).toEqual([high]);

    const callers = client.finished.map((span) => span.spanContext().spanId);
    expect(callers).toHaveLength(count);
    const spans = served.traces.get(high) ?? [];
    expect(linesOf(spans)).toEqual(
      plans.flatMap((plan, number) => spansOf(plan, `span ${callers[number]}`)).toSorted(),
    );
    expect(processesOf(spans)).toBe(2);
  },
);
