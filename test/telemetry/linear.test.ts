import { NoOpLogger } from "@microsoft/durabletask-js";
import type { HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { logs, metrics as metricsApi } from "@opentelemetry/api";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { PipelineCache } from "../../middlewares/caching/activity-cache.ts";
import { canonical } from "../../middlewares/caching/canonical.ts";
import { realRuntime } from "../../middlewares/caching/runtime.ts";
import { logging, metrics } from "../../middlewares/index.ts";
import { MiddlewareFeatures, Pipeline } from "../../src/pipeline/index.ts";
import { finishSlices } from "../../src/telemetry/slices.ts";
import { cut, defaultValueLimit } from "../../src/telemetry/value-limits.ts";
import { PipelineHost } from "../../src/worker/host.ts";
import { ProtoEpisode } from "../../src/worker/work-items.ts";
import { loggerProvider } from "../logging/record-logs.ts";
import { meterProvider } from "../metrics/record-metrics.ts";
import { history } from "../tracing/episodes.ts";

// Steps are counted, as times on a busy machine say little. Ten times as much to do takes ten times the steps.

/** Ten, and what is left of the room to a hundred, which it is for what grows with the square. */
const mostGrowth = 20;
const sizes = [1_000, 10_000, 100_000] as const;

/** Expects `steps(size)` to grow no faster than the size. */
async function expectLinear(steps: (size: number) => number | Promise<number>): Promise<void> {
  const counts: number[] = [];
  for (const size of sizes) counts.push(await steps(size));
  expect(counts[0]).toBeGreaterThan(sizes[0] / 2);
  counts
    .slice(1)
    .forEach((count, index) => expect(count / (counts[index] ?? 0), counts.join(", ")).toBeLessThan(mostGrowth));
}

let reads = 0;
/** Counts each call of a method of a history event, for one test. */
function countReads(): void {
  const prototype = proto.HistoryEvent.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of Object.keys(prototype)) {
    const method = prototype[name];
    if (!/^(?:get|has)[A-Z]/.test(name) || method === undefined) continue;
    // A spy would keep all the calls.
    prototype[name] = function counted(this: unknown, ...args): unknown {
      reads += 1;
      return Reflect.apply(method, this, args);
    };
    onTestFinished(() => void (prototype[name] = method));
  }
}
afterEach(() => {
  vi.restoreAllMocks();
  metricsApi.disable();
  logs.disable();
});

const failure = Object.assign(new Error("no"), { stack: undefined });
const range = (size: number): readonly number[] => Array.from({ length: size }, (_, index) => index + 1);
const started = (): readonly HistoryEvent[] => [history.episode(), history.started("plain")];

describe("Linear: what logging and metrics do of an episode", () => {
  const events: Readonly<
    Record<
      string,
      (size: number) => { readonly past: readonly HistoryEvent[]; readonly fresh: readonly HistoryEvent[] }
    >
  > = {
    "external events": (size) => ({
      past: [],
      fresh: [...started(), ...range(size).map(() => history.raised("go", 1))],
    }),
    "suspensions and resumptions": (size) => ({
      past: [],
      fresh: [...started(), ...range(size).map((each) => (each % 2 === 0 ? history.resumed(1) : history.suspended(1)))],
    }),
    "activities that complete": (size) => ({
      past: [...started(), ...range(size).map((id) => history.scheduled(id, "charge", 1))],
      fresh: [history.episode(2), ...range(size).map((id) => history.completed(id, null, 2))],
    }),
    "activities that fail": (size) => ({
      past: [...started(), ...range(size).map((id) => history.scheduled(id, "charge", 1))],
      fresh: [history.episode(2), ...range(size).map((id) => history.failed(id, failure, 2))],
    }),
    "timers that fire": (size) => ({
      past: [...started(), ...range(size).map((id) => history.timerCreated(id, 2, 1))],
      fresh: [history.episode(2), ...range(size).map((id) => history.timerFired(id, 2, 2))],
    }),
    "retries that it schedules": (size) => ({
      past: [...started(), ...range(size).map((id) => history.scheduled(id, "charge", 1))],
      fresh: [history.episode(2)],
    }),
  };

  it.each(Object.entries(events))("grows with its %s, and no faster, up to 100,000", async (_, make) => {
    logs.setGlobalLoggerProvider(loggerProvider().provider);
    metricsApi.setGlobalMeterProvider(meterProvider().provider);
    const host = new PipelineHost(new Pipeline(() => false), new NoOpLogger());
    const hooks = [metrics(), logging()].flatMap(({ name, workItem: run }) =>
      run === undefined ? [] : [{ name, run }],
    );
    const episodes = sizes.map((size) => [size, make(size)] as const);
    countReads();
    await expectLinear((size) => {
      const { past = [], fresh = [] } = episodes.find(([each]) => each === size)?.[1] ?? {};
      const item = ProtoEpisode.from({ instanceId: "instance", executionId: "execution", past, fresh }, host);
      if (item === undefined) throw new Error("There is no start.");
      item.run(hooks, () => undefined);
      reads = 0;
      const scheduled = range(size).map(
        (taskId) =>
          ({
            type: "activity",
            taskId: size + taskId,
            name: "charge",
            version: undefined,
            scheduledAt: undefined,
            traceContext: undefined,
            attempt: 2,
          }) as const,
      );
      item.respond({
        outcome: { status: "completed" },
        actions: size,
        scheduled,
        timers: [],
        continuation: undefined,
        sent: [],
        persistSpan: () => undefined,
      });
      item.acknowledge("accepted");
      finishSlices();
      return reads;
    });
  });
});

describe("Linear: what the activity cache does", () => {
  it("to find the key of an input grows with the input, and no faster", async () => {
    let steps = 0;
    const counted = <T extends object>(value: T): T =>
      new Proxy(value, {
        get: (target, member) => {
          steps += 1;
          return Reflect.get(target, member) as unknown;
        },
      });
    for (const make of [
      (size: number): object => counted(range(size)),
      (size: number): object => counted(Object.fromEntries(range(size).map((each) => [`key ${each}`, each]))),
      (size: number): object => ({ rows: range(size / 100).map((each) => counted(range(100).map(() => each))) }),
    ]) {
      await expectLinear((size) => {
        const value = make(size);
        steps = 0;
        canonical(value);
        return steps;
      });
    }
  });

  it.each<[string, (each: number) => unknown]>([
    ["identical calls", () => 1],
    ["different calls", (each) => each],
  ])(
    "for %s at the same time grows with their number, and no faster, whatever the store can take",
    async (_, input) => {
      const features = new MiddlewareFeatures();
      await expectLinear(async (size) => {
        let steps = 0;
        const step = <T>(value: T): T => {
          steps += 1;
          return value;
        };
        const entries = new Map<string, string>();
        const store = {
          get: async (key: string) => step(entries.get(key)),
          set: async (key: string, value: string) => void step(entries.set(key, value)),
          delete: (key: string) => step(entries.delete(key)),
        };
        // How often it looks whether a run is good, which it asks the clock for.
        const runtime = { ...realRuntime, elapsed: () => step(realRuntime.elapsed()) };
        const cache = new PipelineCache(
          { store, timeout: "1h", activities: { charge: { ttl: "1m", namespace: "tenant" } } },
          runtime,
        );
        const gate = Promise.withResolvers<void>();
        const next = async (): Promise<void> => gate.promise;
        const calls = range(size).map(async (each) =>
          cache.activity(
            { name: "charge", input: input(each), features, tags: {}, setResult: () => undefined } as never,
            next as never,
          ),
        );
        gate.resolve();
        await Promise.all(calls);
        await cache.deleteNamespace("tenant");
        return steps;
      });
    },
  );
});

describe("Linear: what long strings cost", () => {
  it("a string that is cut is read no further than its limit", () => {
    for (const size of sizes) {
      const slice = vi.spyOn(String.prototype, "slice");
      cut("x".repeat(size), defaultValueLimit);
      for (const [, end] of slice.mock.calls) expect(end).toBeLessThanOrEqual(defaultValueLimit.size);
      slice.mockRestore();
    }
  });
});
