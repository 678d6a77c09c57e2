/** What a task hub says of its instances, as metrics. */
import { setImmediate } from "node:timers/promises";
import { createAsyncPageable, OrchestrationStatus, Page, type OrchestrationContext } from "@microsoft/durabletask-js";
import { diag, DiagLogLevel, metrics, type ObservableGauge } from "@opentelemetry/api";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import {
  observeTaskHub,
  type ObservableClient,
  type ObservedInstance,
  type ObserveTaskHubOptions,
} from "../../src/index.ts";
import { hubDefinitions } from "../../middlewares/metrics/task-hub.ts";
import { SCOPE_NAME } from "../../src/telemetry/semconv.ts";
import { version } from "../../src/version.ts";
import { page, tableBelow } from "../docs/markdown.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { recordMetrics, type Collected } from "./record-metrics.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker({}, (worker) => {
    worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.waitForExternalEvent("go");
    });
    worker.addNamedOrchestrator("short", () => 1);
  });
});

const counts = (collected: Collected): Record<string, number> =>
  Object.fromEntries(
    collected
      .points("durabletask.hub.orchestrations")
      .map(({ attributes, sum }) => [
        `${String(attributes["durabletask.task.name"])} ${String(attributes["durabletask.task.status"])}`,
        sum,
      ]),
  );

const instance = (name: string, runtimeStatus: number, age: number, idle: number): ObservedInstance => ({
  name,
  runtimeStatus,
  createdAt: new Date(Date.now() - age * 1000),
  lastUpdatedAt: new Date(Date.now() - idle * 1000),
});

function clientOf(...instances: readonly ObservedInstance[]): ObservableClient {
  return {
    getAllInstances: async function* () {
      yield* instances;
    },
  };
}

/** One look, and what it reports. */
async function lookAt(client: ObservableClient, options?: ObserveTaskHubOptions): Promise<Collected> {
  const recorded = recordMetrics();
  const observation = observeTaskHub(client, options);
  await observation.look();
  const collected = await recorded.collect();
  observation.stop();
  metrics.disable();
  return collected;
}

describe("observeTaskHub", () => {
  it("M1 keeps several task hubs of a process apart by their names", async () => {
    const recorded = recordMetrics();
    onTestFinished(() => metrics.disable());
    using one = observeTaskHub(clientOf(instance("order", 0, 10, 5), instance("order", 0, 9, 4)), { name: "one" });
    using other = observeTaskHub(clientOf(instance("order", 0, 30, 20)), { name: "other" });
    await Promise.all([one.look(), other.look()]);
    const collected = await recorded.collect();
    const of = (gauge: string, name: string): number =>
      Math.round(collected.total(`durabletask.hub.${gauge}`, { "durabletask.hub.name": name }).sum);
    const gauges = ["orchestrations", "oldest.age", "oldest.idle", "observation.complete", "observation.age"];
    expect(gauges.map((gauge) => of(gauge, "one"))).toEqual([2, 10, 5, 1, 0]);
    expect(gauges.map((gauge) => of(gauge, "other"))).toEqual([1, 30, 20, 1, 0]);
    for (const gauge of gauges) expect(collected.points(`durabletask.hub.${gauge}`), gauge).toHaveLength(2);
  });

  it.each([{}, { name: "orders" }])(
    "K5 says once if two observations of a process have the same name: %j",
    (options) => {
      const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
      onTestFinished(() => warn.mockRestore());
      const first = observeTaskHub(clientOf(), options);
      expect(warn).not.toHaveBeenCalled();
      const second = observeTaskHub(clientOf(), options);
      expect(warn.mock.calls).toEqual([
        [expect.stringMatching(/is observed already in this process.*\{ name: "\.\.\." \}/)],
      ]);
      first.stop();
      second.stop();
      observeTaskHub(clientOf(), options).stop();
      expect(warn).toHaveBeenCalledTimes(1);
    },
  );

  it("K5 says so of any two that run with the same name, whichever was stopped before", () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    onTestFinished(() => warn.mockRestore());
    for (const stops of ["first", "second"]) {
      warn.mockClear();
      const both = [observeTaskHub(clientOf(), { name: "twice" }), observeTaskHub(clientOf(), { name: "twice" })];
      const [stopped, running] = stops === "first" ? both : both.toReversed();
      stopped?.stop();
      const third = observeTaskHub(clientOf(), { name: "twice" });
      expect(warn, stops).toHaveBeenCalledTimes(2);
      running?.stop();
      third.stop();
    }
  });

  it("K4 keeps one observation of those that were stopped, and reports on as zero what it has seen", async () => {
    const recorded = recordMetrics();
    const meter = metrics.getMeterProvider().getMeter(SCOPE_NAME, version);
    const create = meter.createObservableGauge.bind(meter);
    const callbacks = new Set<unknown>();
    vi.spyOn(meter, "createObservableGauge").mockImplementation((name, options) => {
      const gauge: ObservableGauge = create(name, options);
      const add = gauge.addCallback.bind(gauge);
      const remove = gauge.removeCallback.bind(gauge);
      gauge.addCallback = (callback) => (callbacks.add(callback), add(callback));
      gauge.removeCallback = (callback) => (callbacks.delete(callback), remove(callback));
      return gauge;
    });
    for (const name of ["a", "b", "c"]) {
      const observation = observeTaskHub(clientOf(instance(name, 0, 100, 40)), { name: "again" });
      await observation.look();
      await recorded.collect();
      observation.stop();
    }
    expect(callbacks.size).toBe(Object.keys(hubDefinitions).length);
    expect(counts(await recorded.collect())).toEqual({ "a Running": 0, "b Running": 0, "c Running": 0 });
  });

  it("M1 reports by name and status what has not finished on a real task hub, and zero for what is gone", async () => {
    const recorded = recordMetrics();
    const { client } = hub;
    const ids = await Promise.all([1, 2, 3].map(() => client.scheduleNewOrchestration("order")));
    await Promise.all(ids.map((id) => client.waitForOrchestrationStart(id, false, 20)));
    await hub.run("short");
    await client.suspendOrchestration(ids[0] ?? "");
    await vi.waitFor(async () => {
      const state = await client.getOrchestrationState(ids[0] ?? "");
      if (state?.runtimeStatus !== OrchestrationStatus.SUSPENDED) throw new Error("It is not suspended yet.");
    }, 20_000);
    using observation = observeTaskHub(client);
    await observation.look();
    const first = await recorded.collect();
    expect(counts(first)).toEqual({ "order Running": 2, "order Suspended": 1 });
    expect(first.total("durabletask.hub.observation.complete").sum).toBe(1);
    expect(first.total("durabletask.hub.oldest.age", { "durabletask.task.status": "Running" }).sum).toBeGreaterThan(0);
    for (const id of ids) await client.terminateOrchestration(id, "enough");
    await Promise.all(ids.map((id) => client.waitForOrchestrationCompletion(id, false, 20)));
    await observation.look();
    expect(counts(await recorded.collect())).toEqual({ "order Running": 0, "order Suspended": 0 });
  });

  it("M1 reports the age of the oldest one, and the time since the last change of the one that waits longest", async () => {
    const collected = await lookAt(
      clientOf(instance("order", 0, 100, 5), instance("order", 0, 50, 40), instance("order", 6, 7, 7)),
    );
    const seconds = (name: string, status?: string): number =>
      Math.floor(collected.total(name, status === undefined ? {} : { "durabletask.task.status": status }).sum);
    expect(seconds("durabletask.hub.oldest.age", "Running")).toBe(100);
    expect(seconds("durabletask.hub.oldest.age", "Pending")).toBe(7);
    expect(seconds("durabletask.hub.oldest.idle")).toBe(40);
  });

  it("M1 stops at its limits of instances and time, and says so", async () => {
    const many = clientOf(...Array.from({ length: 30 }, (_, number) => instance(`order ${number}`, 0, 1, 1)));
    const cut = await lookAt(many, { maxInstances: 10, nameLimit: 3 });
    expect(counts(cut)).toEqual({
      "order 0 Running": 1,
      "order 1 Running": 1,
      "order 2 Running": 1,
      "_other Running": 7,
    });
    expect(cut.total("durabletask.hub.observation.complete").sum).toBe(0);
    const never = new Promise<never>(() => undefined);
    const hanging: ObservableClient = {
      getAllInstances: async function* () {
        yield instance("order", 0, 1, 1);
        await never;
      },
    };
    const late = await lookAt(hanging, { timeout: 20 });
    expect(counts(late)).toEqual({ "order Running": 1 });
    expect(late.total("durabletask.hub.observation.complete").sum).toBe(0);
  });

  it("K5 says on the console, unless somebody has a logger, which limit cut a look, and what a look failed of", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    onTestFinished(() => warn.mockRestore());
    const failing: ObservableClient = {
      getAllInstances: () => {
        throw new Error("the hub is down");
      },
    };
    const many = clientOf(...Array.from({ length: 3 }, () => instance("order", 0, 1, 1)));
    const whole = await lookAt(many, { name: "big", maxInstances: 3 });
    expect(whole.total("durabletask.hub.observation.complete").sum).toBe(1);
    expect(warn).not.toHaveBeenCalled();
    await lookAt(many, { name: "big", maxInstances: 2 });
    await lookAt(failing, { name: "down" });
    expect(warn.mock.calls).toEqual([
      [expect.stringContaining('a look at the task hub "big" ended at its limit maxInstances (2)')],
      [expect.stringContaining('the instances of the task hub "down" are not known: the hub is down')],
    ]);
    const error = vi.fn();
    const none = (): void => undefined;
    diag.setLogger({ error, warn: none, info: none, debug: none, verbose: none }, DiagLogLevel.ERROR);
    onTestFinished(() => diag.disable());
    await lookAt(failing, { name: "down too" });
    expect(warn).toHaveBeenCalledTimes(2);
    expect(error).toHaveBeenCalledTimes(1);
  });

  it("K1 a console that throws costs the line alone", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {
      throw new Error("there is no console");
    });
    onTestFinished(() => warn.mockRestore());
    const many = clientOf(...Array.from({ length: 3 }, () => instance("order", 0, 1, 1)));
    const collected = await lookAt(many, { name: "no console", maxInstances: 2 });
    expect(warn).toHaveBeenCalledTimes(1);
    expect(counts(collected)).toEqual({ "order Running": 2 });
  });

  it("K1 a look that gives up asks for no further page, also if the pages are empty", async () => {
    let asked = 0;
    const client: ObservableClient = {
      getAllInstances: () =>
        createAsyncPageable(async () => {
          asked += 1;
          await setImmediate();
          return new Page<ObservedInstance>([], "more");
        }),
    };
    const collected = await lookAt(client, { name: "empty", timeout: 20 });
    expect(collected.total("durabletask.hub.observation.complete").sum).toBe(0);
    await setImmediate();
    const then = asked;
    for (let turn = 0; turn < 10; turn += 1) await setImmediate();
    expect(asked).toBe(then);
  });

  it("K1 a look that fails after the stop is no fault", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    onTestFinished(() => warn.mockRestore());
    recordMetrics();
    const answer = Promise.withResolvers<never>();
    const client: ObservableClient = {
      getAllInstances: async function* () {
        yield await answer.promise;
      },
    };
    const observation = observeTaskHub(client, { name: "closed" });
    const looking = observation.look();
    observation.stop();
    answer.reject(new Error("the client is closed"));
    await looking;
    expect(warn).not.toHaveBeenCalled();
  });

  it("K1 a client that fails costs the look alone, and the age of the last one that did not fail grows", async () => {
    const recorded = recordMetrics();
    let fails = false;
    const client: ObservableClient = {
      getAllInstances: async function* () {
        if (fails) throw new Error("the hub is down");
        yield instance("order", 0, 1, 1);
      },
    };
    using observation = observeTaskHub(client);
    await observation.look();
    fails = true;
    await observation.look();
    const collected = await recorded.collect();
    expect(collected.total("durabletask.hub.observation.complete").sum).toBe(0);
    expect(collected.points("durabletask.hub.observation.age")).toHaveLength(1);
    expect(counts(collected)).toEqual({ "order Running": 1 });
  });

  it("M1 while looks fail, no age grows but that of the last look: nobody knows what is still pending", async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
    const recorded = recordMetrics();
    let fails = false;
    const client: ObservableClient = {
      getAllInstances: async function* () {
        if (fails) throw new Error("the hub is down for an hour");
        yield* [instance("order", 6, 2, 2), instance("order", 0, 9, 3)];
      },
    };
    using observation = observeTaskHub(client, { name: "down for an hour" });
    await observation.look();
    fails = true;
    vi.advanceTimersByTime(3_600_000);
    await observation.look();
    const collected = await recorded.collect();
    const age = (of: string, where = {}): number => collected.total(`durabletask.hub.${of}`, where).sum;
    expect(age("oldest.age", { "durabletask.task.status": "Pending" })).toBe(2);
    expect(age("oldest.idle")).toBe(3);
    expect(age("observation.age")).toBe(3600);
  });

  it("M1 takes a task hub that does not answer in time for one that failed, not for an empty one", async () => {
    const recorded = recordMetrics();
    let hangs = false;
    const client: ObservableClient = {
      getAllInstances: async function* () {
        if (hangs) await new Promise<never>(() => undefined);
        yield instance("order", 0, 100, 1);
      },
    };
    using observation = observeTaskHub(client, { timeout: 20 });
    await observation.look();
    hangs = true;
    await observation.look();
    const collected = await recorded.collect();
    expect(counts(collected)).toEqual({ "order Running": 1 });
    expect(collected.total("durabletask.hub.observation.complete").sum).toBe(0);
  });

  it("M1 after stop nothing that was seen before is exported again and again", async () => {
    const recorded = recordMetrics();
    const observation = observeTaskHub(clientOf(instance("order", 0, 100, 40)));
    await observation.look();
    expect(counts(await recorded.collect())).toEqual({ "order Running": 1 });
    const looking = observation.look();
    observation.stop();
    await looking;
    const collected = await recorded.collect();
    expect(counts(collected)).toEqual({ "order Running": 0 });
    for (const gauge of ["oldest.age", "oldest.idle", "observation.complete"])
      expect(collected.total(`durabletask.hub.${gauge}`).sum).toBe(0);
  });

  it("K4 an instance without a valid date counts, and has no age", async () => {
    const invalid = { ...instance("order", 0, 1, 1), createdAt: new Date(NaN), lastUpdatedAt: new Date(NaN) };
    const collected = await lookAt(clientOf(invalid, instance("order", 0, 100, 40), invalid));
    expect(counts(collected)).toEqual({ "order Running": 3 });
    expect(Math.floor(collected.total("durabletask.hub.oldest.age").sum)).toBe(100);
    expect(Math.floor(collected.total("durabletask.hub.oldest.idle").sum)).toBe(40);
  });

  it("M1 an instance whose dates the task hub did not send, which the SDK dates 1970, counts, and has no age", async () => {
    const undated = { ...instance("order", 0, 1, 1), createdAt: new Date(0), lastUpdatedAt: new Date(0) };
    const collected = await lookAt(clientOf(undated, instance("order", 0, 100, 40)));
    expect(counts(collected)).toEqual({ "order Running": 2 });
    expect(Math.floor(collected.total("durabletask.hub.oldest.age").sum)).toBe(100);
    expect(Math.floor(collected.total("durabletask.hub.oldest.idle").sum)).toBe(40);
  });

  it("K3 does not keep the process running, asks nothing after stop, and nothing without a MeterProvider", async () => {
    let asked = 0;
    const client: ObservableClient = {
      getAllInstances: async function* () {
        asked += 1;
        yield* [];
      },
    };
    const timers = vi.spyOn(globalThis, "setInterval");
    onTestFinished(() => timers.mockRestore());
    const observation = observeTaskHub(client);
    const timer = timers.mock.results[0]?.value as NodeJS.Timeout;
    expect(timer.hasRef()).toBe(false);
    await observation.look();
    expect(asked).toBe(0);
    const recorded = recordMetrics();
    await observation.look();
    expect(asked).toBe(1);
    observation.stop();
    await observation.look();
    expect(asked).toBe(1);
    expect((await recorded.collect()).points("durabletask.hub.orchestrations")).toEqual([]);
  });

  it.each([
    [clientOf(), { interval: 10 }, /option "interval" must be a whole number from 1000 to 2147483647/],
    [clientOf(), { interval: 2 ** 31 }, /option "interval" must be a whole number from 1000 to 2147483647/],
    [clientOf(), { timeout: 2 ** 31 }, /option "timeout" must be a whole number from 1 to 2147483647/],
    [clientOf(), { name: "" }, /option "name" must be a string that is not empty/],
    [
      clientOf(),
      { every: 1 },
      /unknown option "every"; the options are name, interval, timeout, maxInstances, nameLimit/,
    ],
    [{}, {}, /the client must have the method getAllInstances/],
  ])("X4 refuses what it can't use", (client, options, message) => {
    expect(() => observeTaskHub(client as ObservableClient, options as ObserveTaskHubOptions)).toThrow(message);
  });

  it("M1 the table in docs/metrics.md has its instruments, with their units", () => {
    const documented = tableBelow("hub instruments", page("docs/metrics.md")).map(([name, , unit]) => ({ name, unit }));
    expect(documented).toEqual(Object.entries(hubDefinitions).map(([name, { unit }]) => ({ name, unit })));
  });
});
