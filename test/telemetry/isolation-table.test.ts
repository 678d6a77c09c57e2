import { OrchestrationStatus, type ActivityContext, type OrchestrationContext } from "@microsoft/durabletask-js";
import {
  diag,
  DiagLogLevel,
  logs,
  metrics as metricsApi,
  type LoggerProvider,
  type Meter,
  type MeterProvider,
} from "@opentelemetry/api";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { caching, logging, metrics } from "../../middlewares/index.ts";
import { currentLogger, type Middleware, type MiddlewareLogger } from "../../src/index.ts";
import type { Steps } from "../harness.ts";
import { meterProvider, WorkItems } from "../metrics/record-metrics.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { fault, nested, revokedProxy, settle, withThen, withThrowingThen } from "./misbehaviour.ts";

// Every callback and every object of the user's that logging, metrics and caching call, with everything that it may do
// instead of what it should.

type Does = () => unknown;

const misbehaviours = {
  throws: () => fault(new Error("thrown")),
  "throws what can't be read": () => fault(revokedProxy()),
  rejects: async () => fault(new Error("rejected")),
  "never settles": () => new Promise(() => undefined),
  "returns a thenable that calls back twice": () =>
    withThen((resolve: (value?: unknown) => void, reject: (error: Error) => void) => {
      resolve();
      reject(new Error("the second call"));
      resolve();
    }),
  "returns a thenable that throws": () => withThen(() => fault(new Error("thrown by then"))),
  "returns what has a throwing then": () => withThrowingThen(new Error("no then")),
  "returns a revoked proxy": revokedProxy,
  "returns what has a throwing getter": () =>
    Object.defineProperty({}, "lost", { enumerable: true, get: () => fault(new Error("no getter")) }),
  "returns what is nested 20,000 deep": () => nested(20_000),
} satisfies Record<string, Does>;
type Misbehaviour = keyof typeof misbehaviours;
const all = Object.keys(misbehaviours) as Misbehaviour[];

/** What is called, and which of the above is no fault in it. */
interface Callback {
  readonly middlewares: (does: Does) => readonly Middleware[];
  readonly harmless: readonly Misbehaviour[];
}

const odd: readonly Misbehaviour[] = ["returns what has a throwing getter", "returns what is nested 20,000 deep"];
const silent: MiddlewareLogger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};
const include = { input: true, output: true };

const cached = (options: Record<string, unknown>): readonly Middleware[] => [
  caching({ activities: { charge: { ttl: "1m", ...options } } }),
];
const stored = (member: string, does: Does): readonly Middleware[] => {
  const entries = new Map<string, string>();
  const store = {
    get: (key: string) => entries.get(key),
    set: (key: string, value: string) => void entries.set(key, value),
    delete: (key: string) => entries.delete(key),
    setIfAbsent: (key: string, value: string) => !entries.has(key) && entries.set(key, value).has(key),
    deleteIfEqual: (key: string, value: string) => entries.get(key) === value && entries.delete(key),
    [member]: does,
  };
  return [caching({ store, timeout: 5, activities: { charge: { ttl: "1m", lockFor: 5, namespace: "tenant" } } })];
};
const logger = (level: keyof MiddlewareLogger): Callback => ({
  middlewares: (does) => [logging({ logger: { ...silent, [level]: does } })],
  // Nobody reads what it returns.
  harmless: ["never settles", "returns a thenable that calls back twice", ...odd],
});

const callbacks: Readonly<Record<string, Callback>> = {
  "logging: redact": { middlewares: (redact) => [logging({ logger: silent, include, redact })], harmless: [] },
  "logging: logger.error": logger("error"),
  "logging: logger.warn": logger("warn"),
  "logging: logger.info": logger("info"),
  "logging: logger.debug": logger("debug"),
  // What has no canonical form, and what is no string, goes past the cache.
  "caching: key": { middlewares: (key) => cached({ key }), harmless: odd },
  "caching: namespace": { middlewares: (namespace) => cached({ namespace }), harmless: odd },
  "caching: shouldCache": { middlewares: (shouldCache) => cached({ shouldCache }), harmless: [] },
  "caching: store.get": { middlewares: (does) => stored("get", does), harmless: [] },
  "caching: store.set": {
    middlewares: (does) => stored("set", does),
    harmless: ["returns a thenable that calls back twice", ...odd],
  },
  "caching: store.setIfAbsent": { middlewares: (does) => stored("setIfAbsent", does), harmless: [] },
  "caching: store.deleteIfEqual": {
    middlewares: (does) => stored("deleteIfEqual", does),
    harmless: ["returns a thenable that calls back twice", ...odd],
  },
};

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
const lines: string[] = [];
const none = (): void => undefined;
beforeAll(() => {
  process.on("unhandledRejection", onUnhandled);
  diag.setLogger(
    { error: (line) => void lines.push(line), warn: none, info: none, debug: none, verbose: none },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
});
afterAll(async () => {
  await settle();
  process.off("unhandledRejection", onUnhandled);
  diag.disable();
});

/** Runs a workflow that gives every callback its work. */
async function run(middlewares: readonly Middleware[]): Promise<unknown> {
  const items = new WorkItems();
  const hub = inMemoryHub({ middlewares: () => [items.middleware, metrics(), ...middlewares] });
  hub.worker.addNamedActivity("charge", (_: ActivityContext, amount: number) => {
    currentLogger()?.debug("charging");
    return amount * 2;
  });
  hub.worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext, amount: number): Steps {
    for (const level of ["error", "warn", "info"] as const) currentLogger()?.[level]("ordering", { amount });
    const [first, second]: number[] = [
      yield ctx.callActivity("charge", amount),
      yield ctx.callActivity("charge", amount),
    ];
    return (first ?? 0) + (second ?? 0);
  });
  const { runtimeStatus, serializedOutput } = await hub.run("order", 1);
  expect(runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
  await items.over();
  await settle();
  return JSON.parse(serializedOutput ?? "");
}

describe.each(Object.entries(callbacks))("K1 %s", (name, { middlewares, harmless }) => {
  it.each(all)("K1 that %s changes nothing of the workflow, and is counted if it is a fault", async (how) => {
    const recorded = meterProvider();
    metricsApi.setGlobalMeterProvider(recorded.provider);
    onTestFinished(() => metricsApi.disable());
    expect(await run(middlewares(misbehaviours[how]))).toBe(4);
    const [middleware = ""] = name.split(":");
    const faults = async (): Promise<Record<string, number>> =>
      (await recorded.collect()).counts("durabletask.middleware.errors", "durabletask.middleware");
    // A lock is given back after the activity: nobody waits for it but its time limit.
    const expected = harmless.includes(how) ? {} : { [middleware]: expect.any(Number) as number };
    await vi.waitFor(async () => expect(await faults()).toEqual(expected), { interval: 1 });
    expect(unhandled).toEqual([]);
  });
});

const emptyMeter = (member: string, does: Does): Meter => {
  const instrument = { record: none, add: none };
  const meter: Record<string, unknown> = {};
  for (const each of ["createHistogram", "createCounter", "createUpDownCounter"])
    meter[each] = () => (Object.hasOwn(instrument, member) ? { ...instrument, [member]: does } : instrument);
  return (Object.hasOwn(meter, member) ? { ...meter, [member]: does } : meter) as unknown as Meter;
};
const listening = { emit: none, enabled: () => true };
const providers: Readonly<Record<string, (does: Does) => void>> = {
  "MeterProvider.getMeter": (does) => void metricsApi.setGlobalMeterProvider({ getMeter: does } as MeterProvider),
  ...Object.fromEntries(
    ["createHistogram", "createCounter", "createUpDownCounter", "record", "add"].map((member) => [
      `a meter's ${member}`,
      (does: Does) => void metricsApi.setGlobalMeterProvider({ getMeter: () => emptyMeter(member, does) }),
    ]),
  ),
  "LoggerProvider.getLogger": (does) => void logs.setGlobalLoggerProvider({ getLogger: does } as LoggerProvider),
  "a logger's emit": (does) => void logs.setGlobalLoggerProvider({ getLogger: () => ({ ...listening, emit: does }) }),
  "a logger's enabled": (does) =>
    void logs.setGlobalLoggerProvider({ getLogger: () => ({ ...listening, enabled: does as () => boolean }) }),
};

describe.each(Object.entries(providers))("K1 %s", (_, register) => {
  it.each(all)("K1 that %s changes nothing of the workflow", async (how) => {
    register(misbehaviours[how]);
    onTestFinished(() => {
      metricsApi.disable();
      logs.disable();
    });
    expect(await run([logging()])).toBe(4);
    expect(unhandled).toEqual([]);
  });
});

describe("K1 all these faults", () => {
  it("are logged, each cause once", () => {
    expect(lines.length).toBeGreaterThan(50);
    expect(lines.length).toBe(new Set(lines).size);
  });
});
