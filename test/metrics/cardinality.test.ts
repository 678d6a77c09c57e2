import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  NoOpLogger,
  TaskHubGrpcWorker,
  whenAll,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { logs } from "@opentelemetry/api";
import { LoggerProvider } from "@opentelemetry/sdk-logs";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { caching } from "../../middlewares/caching/index.ts";
import { logging } from "../../middlewares/logging/index.ts";
import { BoundedValues } from "../../middlewares/metrics/bounded-values.ts";
import { metrics, type MetricsOptions } from "../../middlewares/metrics/index.ts";
import { withDurableTelemetry } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { history } from "../tracing/episodes.ts";
import { recordMetrics, WorkItems } from "./record-metrics.ts";
import { runActivity, runEpisode } from "./work-items.ts";

const NAME = "durabletask.task.name";
const VERSION = "durabletask.task.version";

let hub: Hub;
let workItems: WorkItems;
async function start(options: MetricsOptions | undefined): Promise<void> {
  hub = await startHub();
  workItems = new WorkItems();
  await hub.worker({ middlewares: () => [workItems.middleware, metrics(options)] }, (worker) => {
    worker.addNamedActivity("fails", (_: ActivityContext, type: string) => {
      throw Object.assign(new Error("on purpose"), { name: type });
    });
    worker.addNamedOrchestrator("errors", async function* (ctx: OrchestrationContext, type: string): Steps {
      return yield ctx.callActivity("fails", type);
    });
    // Nobody knows these activities, nor how many names there will be.
    worker.addNamedOrchestrator(
      "calls",
      async function* (ctx: OrchestrationContext, names: readonly string[]): Steps<void> {
        try {
          yield whenAll(names.map((name) => ctx.callActivity(name, null, { version: `version of ${name}` })));
        } catch {
          return;
        }
      },
    );
  });
}

async function call(names: readonly string[]): Promise<void> {
  // One after the other, so that it is known which names come first.
  for (const name of names) await hub.run("calls", [name]);
  await workItems.over();
}

describe("A limit on names", () => {
  beforeAll(() => start({ nameLimit: 3 }));

  it("folds the names after the first few into _other, for each instrument by itself", async () => {
    const recorded = recordMetrics();
    await call(["a", "b", "c", "d", "e", "a", "e"]);
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.activity.duration", NAME)).toEqual({ a: 2, b: 1, c: 1, _other: 3 });
    expect(collected.counts("durabletask.activity.turnaround", NAME)).toEqual({ a: 2, b: 1, c: 1, _other: 3 });
    expect(collected.counts("durabletask.orchestration.started", NAME)).toEqual({ calls: 7 });
  });

  it("holds for versions too", async () => {
    const recorded = recordMetrics();
    await call(["a", "b", "c", "d", "e"]);
    const versions = (await recorded.collect()).counts("durabletask.activity.duration", "durabletask.task.version");
    expect(versions).toEqual({ "version of a": 1, "version of b": 1, "version of c": 1, _other: 2 });
  });
});

describe("A limit on names, again", () => {
  beforeAll(() => start({ nameLimit: 2 }));

  it("holds for the types of errors too, whose rest OpenTelemetry calls _OTHER", async () => {
    const recorded = recordMetrics();
    for (const type of ["TypeError", "RangeError", "OneError", "AnotherError"]) await hub.run("errors", type);
    await workItems.over();
    const types = (await recorded.collect()).counts("durabletask.activity.duration", "error.type");
    expect(types).toEqual({ TypeError: 1, RangeError: 1, _OTHER: 2 });
  });
});

describe("A limit on names that nobody set", () => {
  beforeAll(() => start(undefined));

  it("is 200", async () => {
    const recorded = recordMetrics();
    const names = Array.from({ length: 250 }, (_, index) => `task ${index}`);
    await hub.run("calls", names);
    await workItems.over();
    const collected = await recorded.collect();
    const counts = collected.counts("durabletask.activity.duration", NAME);
    expect(Object.keys(counts)).toHaveLength(201);
    expect(counts["_other"]).toBe(50);
  });
});

describe("Two limits in one process", () => {
  const worker = (nameLimit: number): TaskHubGrpcWorker =>
    withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
      middlewares: () => [metrics({ nameLimit })],
    });

  it("count an activity off under the name under which it was counted, whatever the other one has let in meanwhile", async () => {
    const recorded = recordMetrics();
    const [few, many] = [worker(1), worker(2)];
    many.addNamedActivity("second", () => undefined);
    few.addNamedActivity("first", () => undefined);
    few.addNamedActivity("second", () => runActivity(many, "second"));
    await runActivity(few, "first");
    await runActivity(few, "second");
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.activity.active", NAME)).toEqual({ first: 0, second: 0, _other: 0 });
  });
});

describe("The values of attributes", () => {
  it("that are not there take no place of others", () => {
    const values = new BoundedValues();
    expect(values.fold({ [VERSION]: undefined }, 1)).toStrictEqual({});
    expect(values.fold({ [VERSION]: "1.0" }, 1)).toEqual({ [VERSION]: "1.0" });
    expect(values.fold({ [VERSION]: "2.0" }, 1)).toEqual({ [VERSION]: "_other" });
  });

  it("of which there are few by nature are never folded", () => {
    const values = new BoundedValues();
    for (const outcome of ["completed", "failed", "waiting"]) {
      expect(values.fold({ "durabletask.outcome": outcome }, 1)).toEqual({ "durabletask.outcome": outcome });
    }
  });
});

describe("K4 the values of attributes are bounded in bytes", () => {
  const bytes256 = "é".repeat(128);

  it.each<[string, string, string]>([
    [NAME, "x".repeat(256), "x".repeat(256)],
    [NAME, "x".repeat(257), "_other"],
    [NAME, bytes256, bytes256],
    [NAME, `${bytes256}x`, "_other"],
    ["error.type", "x".repeat(2 ** 20), "_OTHER"],
    ["durabletask.activity.cache.result", "x".repeat(257), "_other"],
  ])("K4 at most 256 bytes of %s reach a metric", (key, value, expected) => {
    expect(new BoundedValues().fold({ [key]: value }, 200)).toEqual({ [key]: expected });
  });

  it("K4 too long ones take no place of others", () => {
    const values = new BoundedValues();
    for (let each = 0; each < 10; each += 1) values.fold({ [NAME]: `${each}`.repeat(300) }, 1);
    expect(values.fold({ [NAME]: "short" }, 1)).toEqual({ [NAME]: "short" });
  });

  it("K4 sixty unknown names, versions and error types of 1 MiB each cost less than 8 MiB for good, and no export", async () => {
    const recorded = recordMetrics();
    const { forceFlush, shutdown } = { forceFlush: async () => undefined, shutdown: async () => undefined };
    logs.setGlobalLoggerProvider(
      new LoggerProvider({ processors: [{ onEmit: () => undefined, forceFlush, shutdown }] }),
    );
    onTestFinished(() => logs.disable());
    const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
      middlewares: () => [metrics(), logging(), caching({ activities: { fails: { ttl: "1m" } } })],
    });
    const longText = (of: number): string => `${of} `.repeat(2 ** 20).slice(0, 2 ** 20);
    let type = "";
    worker.addNamedActivity("fails", () => {
      throw Object.assign(new Error(type), { name: type });
    });
    const one = async (of: number): Promise<void> => {
      const name = longText(of);
      type = longText(of + 100);
      await runEpisode(worker, { fresh: [history.episode(), history.started(name, { version: longText(of + 200) })] });
      await runActivity(worker, "fails");
      await runActivity(worker, name);
    };
    await one(0);
    const before = heapUsed();
    for (let of = 1; of <= 60; of += 1) await one(of);
    const grown = heapUsed() - before;
    expect(grown).toBeLessThan(8 * 2 ** 20);
    const collected = await recorded.collect();
    expect(JSON.stringify(collected.instruments).length).toBeLessThan(100_000);
    expect(collected.counts("durabletask.orchestration.started", NAME, VERSION)).toEqual({ "_other _other": 61 });
    expect(collected.total("durabletask.activity.duration", { [NAME]: "fails", "error.type": "_OTHER" }).count).toBe(
      61,
    );
  });
});

/** The bytes that are in use once all that can go has gone. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

describe("The options of metrics", () => {
  it.each<[given: unknown, says: string]>([
    [null, "metrics: the options must be an object."],
    [{ limit: 1 }, 'metrics: unknown option "limit"; the options are nameLimit, tags.'],
    [{ nameLimit: 0 }, 'metrics: option "nameLimit" must be a whole number, 1 or more.'],
    [{ nameLimit: 1.5 }, 'metrics: option "nameLimit" must be a whole number, 1 or more.'],
    [{ nameLimit: Number.POSITIVE_INFINITY }, 'metrics: option "nameLimit" must be a whole number, 1 or more.'],
    [{ nameLimit: "200" }, 'metrics: option "nameLimit" must be a whole number, 1 or more.'],
  ])("%j are refused", (given, says) => {
    expect(() => metrics(given as MetricsOptions)).toThrow(new TypeError(says));
  });

  it("may be left out, or be undefined", () => {
    for (const options of [undefined, {}, { nameLimit: undefined }]) {
      const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
        middlewares: () => [metrics(options as MetricsOptions)],
      });
      expect(worker.middlewares).toEqual(["metrics"]);
    }
  });
});
