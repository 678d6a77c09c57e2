import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isInstalled, startPrometheus, type PrometheusServer, type Sample } from "./server.ts";
import { packingTime, round, startWorkflow, type Buckets, type Workflow } from "./workflow.ts";

const pathOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const ruleFile = pathOf("../../docs/prometheus/durabletask.plain.rules.yml");

const recorded = {
  p95: "durabletask_task_name:durabletask_activity_duration_seconds:p95_rate5m",
  failures: "durabletask_task_name:durabletask_orchestration_failures:ratio_rate5m",
  retries: "durabletask_task_name:durabletask_task_retries:per_minute_rate5m",
  hits: "durabletask_task_name:durabletask_activity_cache_hits:ratio_rate5m",
} as const;

const byTask = (samples: readonly Sample[]): Record<string, number> =>
  Object.fromEntries(samples.map(({ metric, value }) => [metric["durabletask_task_name"] ?? "", value]));

// The workflow runs once before there is a server, so that every counter is known from its first scrape on, and three
// times while it scrapes.
const before = 1;
const during = 3;

describe.skipIf(!isInstalled && !process.env["CI"])("Prometheus", () => {
  let workflow: Workflow;
  let prometheus: PrometheusServer;
  let counted: ReadonlyMap<string, Buckets>;
  let scraped: number;

  beforeAll(async () => {
    workflow = await startWorkflow();
    await workflow.rounds(before);
    const first = await workflow.activityBuckets();
    prometheus = await startPrometheus({ target: workflow.target, ruleFile });
    await prometheus.scrapedAfter(0);
    await workflow.rounds(during);
    scraped = await prometheus.scrapedAfter(Date.now() / 1000);
    const last = await workflow.activityBuckets();
    counted = new Map(
      [...last].map(([name, buckets]) => [
        name,
        new Map([...buckets].map(([bound, count]) => [bound, count - (first.get(name)?.get(bound) ?? 0)])),
      ]),
    );
  }, 60_000);
  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await workflow?.[Symbol.asyncDispose]();
  });

  /** What the query of a shipped rule gives, at the last scrape. */
  async function answer(rule: string): Promise<readonly Sample[]> {
    const shipped = (await prometheus.rules()).find(({ name }) => name === rule);
    if (shipped === undefined) throw new Error(`There is no rule ${rule}.`);
    return prometheus.query(shipped.query, scraped);
  }

  /** The factor by which an increase can exceed what was counted: Prometheus supposes up to 1.1 intervals before the first scrape. */
  async function supposedAtMost(): Promise<number> {
    const [scrapes] = await prometheus.query("min(count_over_time(durabletask_activity_duration_bucket[5m]))", scraped);
    expect(scrapes?.value).toBeGreaterThan(2);
    return 1 + 1.1 / ((scrapes?.value ?? Number.NaN) - 1);
  }

  /**
   * How many executions of an activity took at most so long while the server scraped, as Prometheus has it. To what was
   * counted it adds what it supposes, for each bucket by that bucket's own history, so that the p95 of few executions can
   * come out a bucket lower or higher than it was.
   */
  async function bucketIncreases(): Promise<ReadonlyMap<string, Buckets>> {
    const supposed = await supposedAtMost();
    const increases = new Map<string, Map<number, number>>();
    for (const { metric, value } of await prometheus.query(
      "sum by (durabletask_task_name, le) (increase(durabletask_activity_duration_bucket[5m]))",
      scraped,
    )) {
      const name = metric["durabletask_task_name"] ?? "";
      const bound = metric["le"] === "+Inf" ? Infinity : Number(metric["le"]);
      const exact = counted.get(name)?.get(bound) ?? Number.NaN;
      expect(value, `${name} ${bound}`).toBeGreaterThanOrEqual(exact - 1e-9);
      expect(value, `${name} ${bound}`).toBeLessThanOrEqual(exact * supposed + 1e-9);
      increases.set(name, (increases.get(name) ?? new Map<number, number>()).set(bound, value));
    }
    expect([...increases.keys()].toSorted()).toEqual([...counted.keys()].toSorted());
    return increases;
  }

  it("scrapes what the worker has counted, to the last one", async () => {
    const total = async (query: string): Promise<number | undefined> =>
      (await prometheus.query(`sum(${query})`, scraped))[0]?.value;
    const rounds = before + during;
    expect({
      started: await total("durabletask_orchestration_started_total"),
      failed: await total(
        'durabletask_orchestration_duration_count{durabletask_task_status="Failed",error_type="RangeError"}',
      ),
      shipments: await total('durabletask_activity_duration_count{durabletask_task_name="ship"}'),
      retries: await total('durabletask_task_retries_total{durabletask_task_name="ship",durabletask_type="activity"}'),
      hits: await total('durabletask_activity_cache_requests_total{durabletask_activity_cache_result="hit"}'),
      misses: await total('durabletask_activity_cache_requests_total{durabletask_activity_cache_result="miss"}'),
      active: await total("durabletask_activity_active"),
      // The scope is a label of every series.
      scope: await total('durabletask_orchestration_started_total{otel_scope_name="durable-telemetry"}'),
    }).toEqual({
      started: rounds * (round.orders + round.checks),
      failed: rounds * round.failedOrders,
      shipments: rounds * (round.orders + round.retries),
      retries: rounds * round.retries,
      hits: rounds * round.quoteHits,
      misses: rounds * (round.quoteMisses + round.rateMisses),
      active: 0,
      scope: rounds * (round.orders + round.checks),
    });
  });

  it("tells the p95 of activity durations by name, within the bucket that it is in", async () => {
    const p95 = byTask(await answer(recorded.p95));
    expect(Object.keys(p95).toSorted()).toEqual(["getQuote", "getRate", "pack", "ship"]);
    const increases = await bucketIncreases();
    for (const [name, seconds] of Object.entries(p95)) {
      const buckets = [...(increases.get(name) ?? [])].toSorted(([a], [b]) => a - b);
      const wanted = 0.95 * Math.max(...buckets.map(([, atMost]) => atMost));
      const index = buckets.findIndex(([, atMost]) => atMost >= wanted);
      expect(seconds, name).toBeGreaterThanOrEqual(buckets[index - 1]?.[0] ?? 0);
      expect(seconds, name).toBeLessThanOrEqual(buckets[index]?.[0] ?? Number.NaN);
    }
    // The bucket that this is in begins at 0.1 seconds.
    expect(packingTime).toBeGreaterThan(0.1);
    expect(p95["pack"]).toBeGreaterThan(0.1);
  });

  it("tells the failure ratio of orchestrations, and zero for those that do not fail", async () => {
    const failures = byTask(await answer(recorded.failures));
    expect(Object.keys(failures).toSorted()).toEqual(["check", "order"]);
    expect(failures["order"]).toBeCloseTo(round.failedOrders / round.orders, 9);
    expect(failures["check"]).toBe(0);
  });

  it("tells the retries per minute", async () => {
    const [retries, ...others] = await answer(recorded.retries);
    expect(others).toEqual([]);
    expect(retries?.metric).toEqual({ durabletask_task_name: "ship", durabletask_type: "activity" });
    // In a window of five minutes.
    const perMinute = (during * round.retries) / 5;
    expect(retries?.value).toBeGreaterThanOrEqual(perMinute - 1e-9);
    expect(retries?.value).toBeLessThanOrEqual(perMinute * (await supposedAtMost()) + 1e-9);
  });

  it("tells the hit ratio of the cache, and zero where there are only misses", async () => {
    const hits = byTask(await answer(recorded.hits));
    expect(Object.keys(hits).toSorted()).toEqual(["getQuote", "getRate"]);
    expect(hits["getQuote"]).toBeCloseTo(round.quoteHits / (round.quoteHits + round.quoteMisses), 9);
    expect(hits["getRate"]).toBe(0);
  });

  it("records the answers itself, by the shipped rules", async () => {
    const ratio = await prometheus.until("the recorded ratio", async () => {
      const [at] = await prometheus.query(`timestamp(${recorded.failures}{durabletask_task_name="order"})`);
      if (at === undefined || at.value <= scraped) return undefined;
      return (await prometheus.query(`${recorded.failures}{durabletask_task_name="order"}`))[0];
    });
    expect(ratio.value).toBeCloseTo(round.failedOrders / round.orders, 9);
    const rules = await prometheus.rules();
    const names = rules.map(({ name }) => name);
    for (const name of Object.values(recorded)) expect(names).toContain(name);
    for (const { name, health, lastError } of rules) expect([name, health, lastError]).toEqual([name, "ok", undefined]);
  });
});
