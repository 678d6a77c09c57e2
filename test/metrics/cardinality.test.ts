import { NoOpLogger, TaskHubGrpcWorker, whenAll, type ActivityContext, type OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import { BoundedValues } from "../../middlewares/metrics/bounded-values.ts";
import { metrics, type MetricsOptions } from "../../middlewares/metrics/index.ts";
import { withDurableTelemetry } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { recordMetrics, WorkItems } from "./record-metrics.ts";
import { runActivity } from "./work-items.ts";

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
    worker.addNamedOrchestrator("calls", async function* (ctx: OrchestrationContext, names: readonly string[]): Steps<void> {
      try {
        yield whenAll(names.map((name) => ctx.callActivity(name, null, { version: `version of ${name}` })));
      } catch {
        return;
      }
    });
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
    withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), { middlewares: () => [metrics({ nameLimit })] });

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

describe("The options of metrics", () => {
  it.each<[given: unknown, says: string]>([
    [null, "metrics: the options must be an object."],
    [{ limit: 1 }, 'metrics: unknown option "limit"; the options are nameLimit.'],
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
