import {
  createNoopMeter,
  metrics as api,
  ValueType,
  type Meter,
  type MeterProvider,
  type MetricOptions,
} from "@opentelemetry/api";
import { DataPointType } from "@opentelemetry/sdk-metrics";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { metrics } from "../../middlewares/metrics/index.ts";
import { definitions, type InstrumentName } from "../../middlewares/metrics/definitions.ts";
import { version } from "../../src/version.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { meterProvider, recordMetrics, WorkItems } from "./record-metrics.ts";
import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";

const NAME = "durabletask.task.name";
const workItems = new WorkItems();
const gates = new Map<
  string,
  { readonly held: PromiseWithResolvers<void>; readonly open: PromiseWithResolvers<void> }
>();
let hub: Hub;

beforeAll(async () => {
  hub = await startHub();
  // Both workers are there before any provider.
  for (let count = 0; count < 2; count += 1) {
    await hub.worker({ middlewares: () => [workItems.middleware, metrics()] }, (worker) => {
      worker.addNamedActivity("gate", async (_: ActivityContext, key: string) => {
        gates.get(key)?.held.resolve();
        await gates.get(key)?.open.promise;
      });
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext, key: string): Steps {
        return yield ctx.callActivity("gate", key);
      });
    });
  }
});

async function run(key = ""): Promise<void> {
  await hub.run("order", key);
  await workItems.over();
}

function gate(key: string): {
  readonly held: PromiseWithResolvers<void>;
  readonly open: PromiseWithResolvers<void>;
} {
  const made = { held: Promise.withResolvers<void>(), open: Promise.withResolvers<void>() };
  gates.set(key, made);
  return made;
}

describe("The MeterProvider", () => {
  it("may be registered after the worker was started", async () => {
    await run();
    const recorded = recordMetrics();
    await run();
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.orchestration.started", NAME)).toEqual({ order: 1 });
    expect(collected.counts("durabletask.activity.duration", NAME)).toEqual({ gate: 1 });
  });

  it("may be replaced by another one", async () => {
    const first = recordMetrics();
    await run();
    api.disable();
    await run();
    const second = recordMetrics();
    await run();
    await run();
    expect((await first.collect()).total("durabletask.orchestration.started").count).toBe(1);
    expect((await second.collect()).total("durabletask.orchestration.started").count).toBe(2);
  });

  it("that is replaced while an activity runs still has it counted off", async () => {
    const { held, open } = gate("replaced");
    const first = recordMetrics();
    const running = hub.run("order", "replaced");
    await held.promise;
    expect((await first.collect()).counts("durabletask.activity.active", NAME)).toEqual({ gate: 1 });
    api.disable();
    const second = recordMetrics();
    open.resolve();
    await running;
    await workItems.over();
    expect((await first.collect()).counts("durabletask.activity.active", NAME)).toEqual({ gate: 0 });
    const collected = await second.collect();
    expect(collected.instrument("durabletask.activity.active")).toBeUndefined();
    expect(collected.total("durabletask.activity.duration").count).toBe(1);
  });

  it("makes each instrument once, with its unit, description and advice, however many workers there are", async () => {
    const { provider } = meterProvider();
    const made: { readonly name: string; readonly kind: string; readonly options: MetricOptions | undefined }[] = [];
    const scopes: unknown[] = [];
    const watched: MeterProvider = {
      getMeter: (...scope) => {
        scopes.push(scope);
        return watch(provider.getMeter(...scope), (kind, name, options) => made.push({ kind, name, options }));
      },
    };
    api.setGlobalMeterProvider(watched);
    onTestFinished(() => api.disable());
    for (let count = 0; count < 4; count += 1) await run();
    expect(scopes).toEqual([["durable-telemetry", version]]);
    expect(made.map(({ name }) => name).toSorted()).toEqual([...new Set(made.map(({ name }) => name))].toSorted());
    expect(made.length).toBeGreaterThan(6);
    for (const { name, kind, options } of made) {
      const definition = definitions[name as InstrumentName];
      expect(kind).toBe(definition.kind);
      expect(options).toMatchObject({
        unit: definition.unit,
        description: definition.description,
        valueType: definition.unit === "s" ? ValueType.DOUBLE : ValueType.INT,
      });
      expect(options?.advice?.explicitBucketBoundaries).toEqual(definition.buckets);
    }
  });

  it("that is not there, or gives no meter, is asked once, and nothing is measured", async () => {
    const noop = createNoopMeter();
    const made: string[] = [];
    for (const method of ["createCounter", "createUpDownCounter", "createHistogram"] as const) {
      const spy = vi.spyOn(noop, method).mockImplementation((name) => {
        made.push(name);
        throw new Error("There is nothing to measure with.");
      });
      onTestFinished(() => spy.mockRestore());
    }
    api.disable();
    await run();
    const provider = { getMeter: vi.fn(() => noop) };
    api.setGlobalMeterProvider(provider);
    onTestFinished(() => api.disable());
    await run();
    await run();
    expect(provider.getMeter).toHaveBeenCalledTimes(1);
    expect(made).toEqual([]);
  });
});

function watch(meter: Meter, made: (kind: string, name: string, options: MetricOptions | undefined) => void): Meter {
  const kinds = new Map<PropertyKey, string>([
    ["createCounter", "counter"],
    ["createUpDownCounter", "up-down counter"],
    ["createHistogram", "histogram"],
  ]);
  return new Proxy(meter, {
    get(target, member) {
      const value: unknown = Reflect.get(target, member, target);
      if (typeof value !== "function") return value;
      return (name: string, options?: MetricOptions): unknown => {
        made(kinds.get(member) ?? String(member), name, options);
        return Reflect.apply(value, target, [name, options]);
      };
    },
  });
}

describe("The buckets", () => {
  it("tell activities of a millisecond and orchestrations of days apart", async () => {
    const recorded = recordMetrics();
    await run();
    const collected = await recorded.collect();
    const { buckets = [] } = definitions["durabletask.orchestration.duration"];
    for (const [shorter, longer] of [
      [0.001, 0.003],
      [0.1, 0.3],
      [60, 600],
      [3600, 86_400],
      [86_400, 604_800],
    ] as const) {
      expect(
        buckets.filter((bound) => shorter <= bound && bound < longer),
        `${shorter} and ${longer}`,
      ).not.toEqual([]);
    }
    expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
    const data = collected.instrument("durabletask.activity.duration");
    if (data?.dataPointType !== DataPointType.HISTOGRAM) throw new Error("It is no histogram.");
    expect(data.dataPoints[0]?.value.buckets.boundaries).toEqual(buckets);
  });
});
