import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { diag, DiagLogLevel } from "@opentelemetry/api";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { runInWorkItem, type Episode } from "../../src/pipeline/index.ts";
import { Isolation, messageOf, onFault } from "../../src/telemetry/isolate.ts";
import { fault, revokedProxy, settle, withThen, withThrowingThen } from "./misbehaviour.ts";

const isolated = new Isolation("tests");
const counted: string[] = [];
const logged: string[] = [];
const none = (): void => undefined;

beforeEach(() => {
  // The quiet time of the causes of one test is over in the next.
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  counted.length = logged.length = 0;
  onFault((middleware) => counted.push(middleware));
  diag.setLogger(
    { error: (line) => void logged.push(line), warn: none, info: none, debug: none, verbose: none },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  return () => {
    vi.runOnlyPendingTimers();
    vi.runOnlyPendingTimers();
    vi.useRealTimers();
    diag.disable();
    onFault(none);
  };
});

const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));
afterAll(() => expect(unhandled).toEqual([]));

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

const line = (message: string): string => `durable-telemetry: ${message}. The workflow goes on without it.`;

describe("K1 a fault", () => {
  it("is counted each time, and logged at once and then once a minute with its number, for as long as it goes on", () => {
    for (const cause of ["one", "one", "two", "one"])
      expect(isolated.run("lost", () => fault(new Error(cause)))).toBeUndefined();
    expect(logged).toEqual([line("lost: one"), line("lost: two")]);
    logged.length = 0;
    vi.advanceTimersByTime(60_000);
    expect(logged).toEqual([line("lost: one (2 more within a minute)")]);
    isolated.run("lost", () => fault(new Error("one")));
    expect(logged).toHaveLength(1);
    vi.advanceTimersByTime(60_000);
    expect(logged.slice(1)).toEqual([line("lost: one (1 more within a minute)")]);
    vi.advanceTimersByTime(60_000);
    isolated.run("lost", () => fault(new Error("one")));
    expect(logged.slice(2)).toEqual([line("lost: one")]);
    expect(counted).toHaveLength(6);
  });

  it("of any number of causes has a bounded number of lines, each of a bounded length, and none is lost in silence", () => {
    for (let cause = 0; cause < 1_000; cause += 1) isolated.fault("lost", new Error(`${cause} ${"x".repeat(100_000)}`));
    expect(counted).toHaveLength(1_000);
    expect(logged).toHaveLength(101);
    expect(Math.max(...logged.map(({ length }) => length))).toBeLessThan(600);
    logged.length = 0;
    vi.advanceTimersByTime(60_000);
    expect(logged).toEqual([line("other faults (899 more within a minute)")]);
  });

  it("K4 keeps nothing of the work item that it disturbs, while its cause is not logged again", () => {
    vi.useRealTimers();
    const collect = garbageCollector();
    const heap = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = heap();
    for (let cause = 0; cause < 20; cause += 1) {
      const item = { large: Array.from({ length: 2 ** 18 }, Math.random) } as unknown as Episode;
      runInWorkItem(item, () => isolated.fault("lost", new Error(`cause ${cause}`)));
    }
    expect(logged).toHaveLength(20);
    const grown = heap() - before;
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    // They are 2 MiB each.
    expect(grown).toBeLessThan(4 * 2 ** 20);
  });

  it("is logged through the logger of the worker whose work item it disturbs, too", () => {
    const warn = vi.fn<(message: string) => void>();
    const item = { logger: { warn } } as unknown as Episode;
    runInWorkItem(item, () => isolated.fault("lost", new Error("one")));
    expect(warn.mock.calls).toEqual([[line("lost: one")]]);
    expect(logged).toEqual([line("lost: one")]);
  });

  it.each<[string, () => unknown]>([
    ["throws", () => fault(new Error("no logger"))],
    ["rejects", async () => fault(new Error("no logger"))],
  ])("is no fault again if the worker's logger %s", async (_, warn) => {
    const item = { logger: { warn } } as unknown as Episode;
    runInWorkItem(item, () => isolated.fault("lost", new Error("one")));
    await settle();
    expect(counted).toEqual(["tests"]);
  });

  it("in counting or logging a fault is not counted, and has no end of its own", () => {
    onFault((middleware) => {
      counted.push(middleware);
      isolated.fault("counting is lost", "again");
      fault("no counting");
    });
    isolated.fault("lost", "once");
    expect(counted).toEqual(["tests"]);
    expect(logged).toEqual([line("counting is lost: again"), line("lost: once")]);
  });

  it("in counting that comes to light later is not counted either, but logged", async () => {
    onFault((middleware) => {
      counted.push(middleware);
      isolated.start("counting is lost", async () => fault("later"));
    });
    isolated.fault("lost", "once");
    await settle();
    expect(counted).toEqual(["tests"]);
    expect(logged).toEqual([line("lost: once"), line("counting is lost: later")]);
  });

  it.each<[string, unknown, string]>([
    ["a revoked proxy", revokedProxy(), "what was thrown can't be read"],
    [
      "an error whose message throws",
      Object.defineProperty(new Error("hidden"), "message", { get: () => fault("no message") }),
      "what was thrown can't be read",
    ],
    ["an object without a prototype", Object.create(null), "what was thrown can't be read"],
    ["undefined", undefined, "undefined"],
    ["a symbol", Symbol("thrown"), "Symbol(thrown)"],
    ["a string", "thrown", "thrown"],
  ])("has a message where %s was thrown", (_, thrown, message) => {
    expect(messageOf(thrown)).toBe(message);
    expect(isolated.run("lost", () => fault(thrown))).toBeUndefined();
    expect(logged).toEqual([line(`lost: ${message}`)]);
  });
});

describe("K1 a callback whose result is needed now", () => {
  it("returns any value that is no promise", () => {
    for (const value of [undefined, null, 0, "text", withThen("later"), () => 1])
      expect(isolated.call("lost", () => value)).toBe(value);
    expect(counted).toEqual([]);
  });

  it.each<[string, () => unknown, cause: string]>([
    ["throws", () => fault(new Error("thrown")), "thrown"],
    ["rejects", async () => fault(new Error("rejected")), "it returned a promise; it must not be async"],
    ["resolves", async () => 1, "it returned a promise; it must not be async"],
    ["never settles", () => new Promise(none), "it returned a promise; it must not be async"],
    [
      "rejects with a promise whose then was replaced",
      () => withThen(1, Promise.reject(new Error("rejected"))),
      "it returned a promise; it must not be async",
    ],
    ["returns a thenable", () => withThen(() => fault("not called")), "it returned a promise; it must not be async"],
    ["returns what has a throwing then", () => withThrowingThen("no then"), "no then"],
    ["returns a revoked proxy", revokedProxy, "Cannot perform 'get' on a proxy that has been revoked"],
  ])("is one fault if it %s", async (_, callback, cause) => {
    expect(isolated.call("lost", callback)).toBeUndefined();
    await settle();
    expect(counted).toEqual(["tests"]);
    expect(logged).toEqual([line(`lost: ${cause}`)]);
  });
});

describe("K1 a callback whose result is not used", () => {
  it.each<[string, () => unknown]>([
    ["nothing", none],
    ["itself", vi.fn<() => void>],
    ["a promise", async () => 1],
    ["a promise that is never settled", () => new Promise(none)],
    [
      "a thenable that calls back twice",
      () => withThen((resolve: () => void, reject: () => void) => void [resolve(), reject(), resolve()]),
    ],
    [
      "a thenable that throws when it has called back",
      () => withThen((resolve: () => void) => [resolve(), fault("late")]),
    ],
    ["a thenable that never calls back", () => withThen(none)],
  ])("may return %s", async (_, callback) => {
    isolated.start("lost", callback);
    await settle();
    expect(counted).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ["throws", () => fault(new Error("cause"))],
    ["rejects", async () => fault(new Error("cause"))],
    [
      "rejects with a promise whose then throws",
      () => withThen(() => fault("then"), Promise.reject(new Error("cause"))),
    ],
    ["returns a thenable that throws", () => withThen(() => fault(new Error("cause")))],
    [
      "returns a thenable that rejects twice",
      () =>
        withThen(
          (_: unknown, reject: (error: Error) => void) => void [reject(new Error("cause")), reject(new Error("2"))],
        ),
    ],
    ["returns what has a throwing then", () => withThrowingThen(new Error("cause"))],
  ])("is one fault if it %s", async (_, callback) => {
    isolated.start("lost", callback);
    await settle();
    expect(counted).toEqual(["tests"]);
    expect(logged).toEqual([line("lost: cause")]);
  });
});
