/** A machine whose clock is set by hours, back and forth, while it works and while telemetry waits for something. */
import { globSync, readFileSync } from "node:fs";
import { NoOpLogger, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { describe, expect, it, onTestFinished } from "vitest";
import { startLocalSidecar } from "../../src/testing/index.ts";
import { deadCollector, startHungCollector, startRetryCollector, type Collector } from "../otlp/collectors.ts";
import { runProgram, startProgram } from "../otlp/program.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";

const program = "../../reliability/fixtures/clock-worker";
const orchestrations = Number(process.env["CLOCK_JUMP_ORCHESTRATIONS"] ?? 20);

interface Report {
  readonly jumps: number;
  readonly impossibleDelays: readonly unknown[];
  /** How long shutdown took, in milliseconds. */
  readonly shutdown: number;
}

const reportOf = (stdout: string): Report => JSON.parse(stdout.slice(stdout.indexOf("{"))) as Report;

/** The sums of all histograms that arrived, in seconds where they are durations. */
function sumsOf({ requests }: OtlpReceiver): ReadonlyMap<string, number> {
  interface Metric {
    readonly name: string;
    readonly histogram?: { readonly dataPoints: readonly { readonly sum?: number; readonly min?: number }[] };
  }
  const metrics = requests
    .filter(({ path }) => path === "/v1/metrics")
    .flatMap(
      ({ body }) =>
        (JSON.parse(Buffer.from(body).toString()) as { resourceMetrics: { scopeMetrics: { metrics: Metric[] }[] }[] })
          .resourceMetrics,
    )
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: own }) => own));
  return new Map(
    metrics.flatMap(
      ({ name, histogram }) =>
        histogram?.dataPoints.map(
          ({ sum, min }) => [name, Math.min(sum ?? 0, min ?? 0) < 0 ? -1 : (sum ?? 0)] as const,
        ) ?? [],
    ),
  );
}

describe("K1 a system clock that is set back and forth by up to ten years", () => {
  it(`changes no workflow, makes no duration negative and loses nothing: ${orchestrations} orchestrations, in each step of theirs`, async () => {
    await using receiver = await startReceiver();
    const sidecar = await startLocalSidecar();
    const client = new TaskHubGrpcClient({ hostAddress: sidecar.address, logger: new NoOpLogger() });
    onTestFinished(async () => {
      await client.stop();
      await sidecar.close();
    });
    await using worker = startProgram(program, {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
      input: { address: sidecar.address },
    });
    await worker.printed("started");
    const start = performance.now();
    const outputs = await Promise.all(
      Array.from({ length: orchestrations }, async (_, index) => {
        const id = await client.scheduleNewOrchestration("order", index % 5);
        await client.raiseOrchestrationEvent(id, "approved", 1);
        return (await client.waitForOrchestrationCompletion(id, true, 60))?.serializedOutput;
      }),
    );
    expect(outputs).toEqual(Array.from({ length: orchestrations }, (_, index) => String((index % 5) * 2 + 1)));
    worker.goOn();
    const { stdout, stderr, code } = await worker.result;
    const took = (performance.now() - start) / 1000;
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    const { jumps, impossibleDelays } = reportOf(stdout);
    expect(impossibleDelays).toEqual([]);
    // At least in each episode and each activity of each.
    expect(jumps).toBeGreaterThan(orchestrations * 10);

    // The receiver refuses a span that ends before it starts.
    const count = (name: string, kind: string): number =>
      receiver.spans.filter((span) => span.name === name && span.kind === kind).length;
    expect(count("orchestration:order", "SERVER")).toBe(orchestrations);
    expect(count("activity:quote", "SERVER")).toBe(orchestrations);
    expect(count("orchestration:order:timer", "INTERNAL")).toBe(orchestrations);
    expect(count("activity:charge", "SERVER")).toBe(count("activity:charge", "CLIENT"));
    const ids = new Set(receiver.spans.map(({ spanId }) => spanId));
    expect(receiver.spans.filter(({ parentSpanId }) => parentSpanId !== undefined && !ids.has(parentSpanId))).toEqual(
      [],
    );
    // A live span is measured by the monotonic clock.
    const live = receiver.spans.filter(({ name, kind }) => name.startsWith("activity:") && kind === "SERVER");
    for (const { startTimeUnixNano, endTimeUnixNano } of live)
      expect(Number(endTimeUnixNano - startTimeUnixNano) / 1e9).toBeLessThan(took);
    expect(receiver.logs.filter(({ eventName }) => eventName === "durabletask.orchestration.finished")).toHaveLength(
      orchestrations,
    );

    const sums = sumsOf(receiver);
    expect([...sums].filter(([, sum]) => sum < 0)).toEqual([]);
    // What the worker measures alone goes by the monotonic clock; what the task hub says, by the hub's.
    for (const name of [
      "durabletask.activity.duration",
      "durabletask.episode.duration",
      "durabletask.activity.turnaround",
      "durabletask.timer.lag",
    ]) {
      expect(sums.get(name), name).toBeGreaterThanOrEqual(0);
      expect(sums.get(name), name).toBeLessThan(took * orchestrations);
    }
  });

  it.each<[what: string, start: () => Promise<Collector>, least: number]>([
    ["that is down", async () => ({ url: deadCollector, [Symbol.asyncDispose]: async () => {} }), 0],
    ["that hangs", startHungCollector, 800],
    ["that asks for a second's pause", () => startRetryCollector(503, { "retry-after": "1" }), 0],
    [
      "that asks to wait until a time of its own clock",
      () => startRetryCollector(429, { "retry-after": new Date(Date.now() + 60_000).toUTCString() }),
      0,
    ],
  ])(
    "moves no deadline, with a collector %s: shutdown ends in time and counts what is lost",
    async (_, start, least) => {
      await using collector = await start();
      const { stdout, stderr } = await runProgram(program, {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
        input: { everyMs: 3, shutdownTimeout: 1000 },
      });
      const { impossibleDelays, jumps, shutdown } = reportOf(stdout);
      expect(impossibleDelays).toEqual([]);
      expect(jumps).toBeGreaterThan(0);
      // The budget is a second, of which exports have nine tenths. Timers are late on a busy machine, and never early.
      expect(shutdown).toBeGreaterThan(least);
      expect(shutdown).toBeLessThan(10_000);
      expect(stderr).not.toContain("Warning");
      const lost = (name: string): number =>
        [...stderr.matchAll(new RegExp(`(?:cannot export|cannot confirm that|dropped) (\\d+) ${name}`, "g"))].reduce(
          (sum, [, each]) => sum + Number(each),
          0,
        );
      expect([lost("spans?"), lost("log records?")]).toEqual([1000, 1000]);
    },
  );
});

it("K1 no deadline and no duration is computed from the time of day: what reads it as a number is the cache's expiry, and the dates of collectors and task hubs", () => {
  const files = globSync("{src,middlewares}/**/*.ts", { exclude: ["src/testing/**"] });
  expect(files.length).toBeGreaterThan(100);
  const readers = files.flatMap((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.includes("Date.now"))
      .map((line) => line.trim()),
  );
  expect(readers.filter((line) => !/Date\.parse\(.+\) - Date\.now\(\)/.test(line))).toEqual([
    "this.#agesAt = Date.now();",
    "now: () => Date.now(),",
  ]);
});
