import { diag, DiagLogLevel, metrics as api, type Meter, type MeterProvider } from "@opentelemetry/api";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { metrics } from "../../middlewares/metrics/index.ts";
import { tracing } from "../../middlewares/tracing/index.ts";
import { ActivityCacheOutcome, type Middleware } from "../../src/index.ts";
import { recordSpans, resultOf, startHub, type Hub, type Steps } from "../harness.ts";
import { revokedProxy } from "../telemetry/misbehaviour.ts";
import { meterProvider, recordMetrics, WorkItems, type RecordedMetrics } from "./record-metrics.ts";

const NAME = "durabletask.task.name";
const MIDDLEWARE = "durabletask.middleware";
const workItems = new WorkItems();
let hub: Hub;

beforeAll(async () => {
  hub = await startHub();
  const attributes = (): never => {
    throw new Error("no attributes today");
  };
  // As the activity cache says it.
  const cached: Middleware = {
    name: "cached",
    activity: async (ctx, next) => {
      ctx.features.set(ActivityCacheOutcome, "miss");
      await next(ctx);
    },
  };
  await hub.worker(
    { middlewares: () => [workItems.middleware, tracing({ attributes }), metrics(), cached] },
    (worker) => {
      worker.addNamedActivity("charge", () => 21);
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        const amount: number = yield ctx.callActivity("charge");
        yield ctx.createTimer(0.01);
        return amount * 2;
      });
    },
  );
});
afterEach(() => api.disable());

async function run(): Promise<unknown> {
  const state = await hub.run("order");
  await workItems.over();
  return resultOf(state);
}

/** A provider whose meters are `broken`, in front of a real one. */
function register(broken: (meter: Meter) => Meter): RecordedMetrics {
  const recorded = meterProvider();
  const provider: MeterProvider = { getMeter: (...scope) => broken(recorded.provider.getMeter(...scope)) };
  api.setGlobalMeterProvider(provider);
  return recorded;
}

function fault(what: string): never {
  throw new Error(what);
}

/** `target` with one of its functions replaced. */
function withFunction<T extends object>(
  target: T,
  name: string,
  replace: (original: (...args: unknown[]) => unknown) => (...args: unknown[]) => unknown,
): T {
  return new Proxy(target, {
    get(_, member) {
      const value: unknown = Reflect.get(target, member, target);
      if (typeof value !== "function") return value;
      const original = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
      return member === name ? replace(original) : original;
    },
  });
}

/** What was reported through `diag`, in one test. */
function diagnostics(tell: (message: string) => void = () => undefined): string[] {
  const reported: string[] = [];
  const error = (message: string): void => {
    reported.push(message);
    tell(message);
  };
  const quiet = (): void => undefined;
  diag.setLogger(
    { error, warn: quiet, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  onTestFinished(() => diag.disable());
  return reported;
}

describe("K1 metrics that break cost metrics only", () => {
  it.each<[string, (meter: Meter) => Meter]>([
    ["a provider that throws", () => fault("no meter")],
    [
      "a meter that makes no histograms",
      (meter) => withFunction(meter, "createHistogram", () => () => fault("no histogram")),
    ],
    [
      "a meter that makes no counters",
      (meter) => withFunction(meter, "createCounter", () => () => fault("no counter")),
    ],
    [
      "a meter that makes no up-down counters",
      (meter) => withFunction(meter, "createUpDownCounter", () => () => fault("no counter")),
    ],
    ["a meter that makes nothing at all", (meter) => withFunction(meter, "createHistogram", () => () => undefined)],
    [
      "histograms that throw",
      (meter) =>
        withFunction(
          meter,
          "createHistogram",
          (create) =>
            (...args) =>
              withFunction(create(...args) as object, "record", () => () => fault("no measurement")),
        ),
    ],
    [
      "counters that throw",
      (meter) =>
        withFunction(
          meter,
          "createCounter",
          (create) =>
            (...args) =>
              withFunction(create(...args) as object, "add", () => () => fault("no count")),
        ),
    ],
    [
      "an up-down counter that throws",
      (meter) =>
        withFunction(
          meter,
          "createUpDownCounter",
          (create) =>
            (...args) =>
              withFunction(create(...args) as object, "add", () => () => fault("no count")),
        ),
    ],
  ])("K1 with %s the orchestration's outcome is its own", async (_, broken) => {
    diagnostics();
    register(broken);
    await expect(run()).resolves.toBe(42);
  });

  it("K1 with a provider that is none the orchestration's outcome is its own, and what is lost is reported", async () => {
    const reported = diagnostics();
    api.setGlobalMeterProvider("no provider" as unknown as MeterProvider);
    await expect(run()).resolves.toBe(42);
    expect(reported).toEqual([expect.stringContaining("durable-telemetry: there are no metrics: ")]);
  });

  it.each<[string, () => unknown, says: string]>([
    ["null", () => null, "getMeter returned null, which has no createHistogram, createCounter, createUpDownCounter"],
    [
      "an empty object",
      () => ({}),
      "getMeter returned object, which has no createHistogram, createCounter, createUpDownCounter",
    ],
    ["a promise that rejects", async () => fault("no meter"), "getMeter returned a promise; it must not be async"],
    ["a revoked proxy", revokedProxy, "Cannot perform 'get' on a proxy that has been revoked"],
  ])("K1 with a meter that is %s there are no metrics, and one line reports it", async (_, meter, says) => {
    const reported = diagnostics();
    api.setGlobalMeterProvider({ getMeter: () => meter() as Meter });
    await expect(run()).resolves.toBe(42);
    expect(reported).toEqual([`durable-telemetry: there are no metrics: ${says}. The workflow goes on without it.`]);
  });

  it.each<[string, unknown]>([
    ["null", null],
    ["an object without methods", {}],
    ["a promise", Promise.resolve({})],
  ])("K1 with instruments that are %s there is one line for each, and nothing else is lost", async (_, instrument) => {
    const reported = diagnostics();
    register((meter) => withFunction(meter, "createHistogram", () => () => instrument));
    await expect(run()).resolves.toBe(42);
    await expect(run()).resolves.toBe(42);
    const histograms = reported.flatMap((line) => / there is no (durabletask\.\S+): /.exec(line)?.[1] ?? []);
    expect(histograms.toSorted()).toEqual(
      [
        "activity.duration",
        "activity.turnaround",
        "episode.duration",
        "episode.replayed_events",
        "orchestration.duration",
        "orchestration.episodes",
        "orchestration.history.size",
        "timer.lag",
      ].map((name) => `durabletask.${name}`),
    );
  });

  it("K1 with a measurement that rejects the process goes on, and each is counted", async () => {
    diagnostics();
    const recorded = register((meter) =>
      withFunction(
        meter,
        "createHistogram",
        (create) =>
          (...args) =>
            withFunction(create(...args) as object, "record", () => async () => fault("too late")),
      ),
    );
    await expect(run()).resolves.toBe(42);
    await new Promise(setImmediate);
    const faults = (await recorded.collect()).total("durabletask.middleware.errors", { [MIDDLEWARE]: "metrics" });
    // Three episodes with two measurements each, the activity with two, the timer, and the three of the finish.
    expect(faults.sum).toBe(3 * 2 + 2 + 1 + 3);
  });

  it("K1 what is not broken is measured, and the faults are counted", async () => {
    const reported = diagnostics();
    const recorded = register((meter) =>
      withFunction(meter, "createHistogram", (create) => (...args) => {
        const [name] = args;
        if (name === "durabletask.timer.lag") fault("no timers today");
        const histogram = create(...args) as object;
        if (name !== "durabletask.episode.duration") return histogram;
        return withFunction(histogram, "record", () => () => fault("no episodes today"));
      }),
    );
    await expect(run()).resolves.toBe(42);
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.orchestration.started", NAME)).toEqual({ order: 1 });
    expect(collected.counts("durabletask.orchestration.duration", NAME)).toEqual({ order: 1 });
    expect(collected.counts("durabletask.activity.turnaround", NAME)).toEqual({ charge: 1 });
    expect(collected.instrument("durabletask.timer.lag")).toBeUndefined();
    // Once for the timers, which are not tried again, and once for each of the three episodes.
    expect(collected.counts("durabletask.middleware.errors", MIDDLEWARE)).toEqual({ metrics: 4 });
    expect(reported.filter((line) => line.includes("today"))).toEqual([
      "durable-telemetry: a measurement of durabletask.episode.duration was lost: no episodes today. The workflow goes on without it.",
      "durable-telemetry: there is no durabletask.timer.lag: no timers today. The workflow goes on without it.",
    ]);
  });

  it("K1 faults of other middleware are counted under its name", async () => {
    diagnostics();
    const spans = recordSpans();
    const recorded = recordMetrics();
    await expect(run()).resolves.toBe(42);
    const collected = await recorded.collect();
    // The attributes function throws for the activity and in each of the three episodes.
    expect(collected.counts("durabletask.middleware.errors", MIDDLEWARE)).toEqual({ tracing: 4 });
    expect(spans.finished.some(({ name }) => name === "orchestration:order")).toBe(true);
  });

  it("K1 a diag logger that throws breaks nothing either", async () => {
    const reported = diagnostics(() => fault("no diagnostics"));
    register(() => fault(`no meter for ${crypto.randomUUID()}`));
    await expect(run()).resolves.toBe(42);
    expect(reported).toEqual([expect.stringContaining("there are no metrics: no meter for ")]);
  });
});
