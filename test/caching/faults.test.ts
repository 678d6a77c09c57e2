import { queryObjects } from "node:v8";
import { describe, expect, it, onTestFinished } from "vitest";
import { diag, DiagLogLevel, type Span } from "@opentelemetry/api";
import { stat } from "node:fs/promises";
import { onFault } from "../../src/telemetry/isolate.ts";
import { encode } from "../../middlewares/caching/envelope.ts";
import type { CacheStore } from "../../middlewares/index.ts";
import { ActivitySpan, type MiddlewareObject } from "../../src/index.ts";
import { cachedWorker, Gate } from "./calls.ts";
import { TestRuntime } from "./clock.ts";

const never = new Promise<never>(() => undefined);
const broken = (): never => {
  throw new Error("ECONNREFUSED");
};
const rejecting = async (): Promise<never> => broken();

/** A store that returns a value of the test in place of each entry. */
const keeping = (stored: unknown): CacheStore => ({ get: () => stored, set: () => true, delete: () => true });

/** Unhandled rejections of the process while `run` runs, and one turn of the event loop longer. */
async function unhandledDuring(run: () => Promise<void>): Promise<readonly unknown[]> {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", listener);
  try {
    await run();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
  } finally {
    process.off("unhandledRejection", listener);
  }
  return unhandled;
}

// A thenable that is no promise.
const method = ["th", "en"].join("");

/** What is logged through `diag` while `run` runs. */
async function linesOf(run: () => Promise<void>): Promise<readonly string[]> {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  diag.setLogger({ error: log, warn: log, info: log, debug: log, verbose: log }, DiagLogLevel.ERROR);
  try {
    await run();
  } finally {
    diag.disable();
  }
  return lines;
}

describe("A store that fails", () => {
  it.each<[what: string, store: CacheStore]>([
    ["get throws", { ...keeping(undefined), get: broken }],
    ["get rejects", { ...keeping(undefined), get: rejecting }],
    ["set throws", { ...keeping(undefined), set: broken }],
    ["set rejects", { ...keeping(undefined), set: rejecting }],
    ["set says that it failed", { ...keeping(undefined), set: () => false }],
    ["set says so later", { ...keeping(undefined), set: async () => false }],
    ["get gives a number", keeping(42)],
    ["get gives an object", keeping({ value: 1 })],
    ["get gives a promise of an array", keeping(Promise.resolve(["x"]))],
    ["get gives a thenable that throws", keeping({ [method]: broken })],
    ["all of it is closed", { get: rejecting, set: broken, delete: rejecting }],
  ])("C6 never fails an activity; the outcome is error: %s", async (_, store) => {
    const calls = cachedWorker({ store });
    const unhandled = await unhandledDuring(async () => {
      for (let run = 1; run <= 20; run += 1) {
        expect(await calls.call(1)).toEqual({ json: String(run), failure: undefined, outcome: "error" });
      }
    });
    expect(unhandled).toEqual([]);
  });

  it("C6 does not change how an activity itself fails", async () => {
    const calls = cachedWorker({ store: { get: broken, set: broken, delete: broken } }, () => {
      throw new RangeError("card refused");
    });
    expect(await calls.call(1)).toEqual({ json: undefined, failure: "card refused", outcome: "error" });
  });

  it("C6 tells what broke through diag, once", async () => {
    const calls = cachedWorker({
      store: {
        ...keeping(undefined),
        get: () => {
          throw new Error("logged once");
        },
      },
    });
    const lines = await linesOf(async () => {
      for (let run = 0; run < 5; run += 1) await calls.call(1);
    });
    expect(lines.filter((line) => line.includes("logged once"))).toEqual([
      expect.stringContaining("the activity cache's store failed to get an entry"),
    ]);
  });
});

describe("A store that hangs", () => {
  it.each<[what: string, store: CacheStore]>([
    ["get", { ...keeping(undefined), get: () => never }],
    ["set", { ...keeping(undefined), set: () => never }],
  ])("C6 costs an activity its timeout and not more: %s", async (_, store) => {
    const runtime = new TestRuntime();
    const calls = cachedWorker({ store, timeout: 100, runtime });
    const called = calls.call(1);
    await runtime.waiting();
    let over = false;
    void called.then(() => (over = true));
    await runtime.advance(99);
    expect(over).toBe(false);
    await runtime.advance(1);
    expect(await called).toEqual({ json: "1", failure: undefined, outcome: "error" });
    expect(runtime.timers).toBe(0);
  });

  it("C6 and answers late is not listened to, be it with a result or an error", async () => {
    const runtime = new TestRuntime();
    const answers: PromiseWithResolvers<string>[] = [];
    const store: CacheStore = {
      ...keeping(undefined),
      get: () => {
        const answer = Promise.withResolvers<string>();
        answers.push(answer);
        return answer.promise;
      },
    };
    const calls = cachedWorker({ store, timeout: 100, runtime });
    const unhandled = await unhandledDuring(async () => {
      for (let run = 1; run <= 4; run += 1) {
        const called = calls.call(run);
        await runtime.waiting();
        await runtime.advance(100);
        expect(await called).toEqual({ json: String(run), failure: undefined, outcome: "error" });
      }
      for (const answer of answers) answer.reject(new Error("too late"));
    });
    expect(unhandled).toEqual([]);
    expect(calls.runs).toBe(4);
    // Nor do four faults count twice: after five the store would not be asked.
    const next = calls.call(5);
    answers[4]?.resolve("");
    expect((await next).outcome).toBe("miss");
    const last = calls.call(6);
    await runtime.waiting();
    await runtime.advance(100);
    answers[5]?.resolve("too late");
    expect(await last).toEqual({ json: "6", failure: undefined, outcome: "error" });
  });

  it("C6 is left alone after five faults in a row, then tried by one call at a time, until it answers again", async () => {
    const runtime = new TestRuntime();
    const entries = new Map<string, string>();
    let asked = 0;
    let alive = false;
    const store: CacheStore = {
      get: (key) => {
        asked += 1;
        return alive ? entries.get(key) : never;
      },
      set: (key, value) => entries.set(key, value),
      delete: (key) => entries.delete(key),
    };
    const calls = cachedWorker({ store, timeout: 100, runtime }, (input) => input);
    const hung = Array.from({ length: 5 }, (_, input) => calls.call(input));
    await runtime.waiting(5);
    await runtime.advance(100);
    await Promise.all(hung);
    expect(asked).toBe(5);
    // Left alone: nobody waits.
    for (let input = 0; input < 100; input += 1) expect((await calls.call(input)).outcome).toBe("error");
    expect([asked, runtime.timers]).toEqual([5, 0]);
    // One tries; the others still don't wait.
    await runtime.advance(1_000);
    const trying = calls.call(1);
    await runtime.waiting();
    expect((await calls.call(2)).outcome).toBe("error");
    await runtime.advance(100);
    expect((await trying).outcome).toBe("error");
    expect(asked).toBe(6);
    // After a second fault the pause is twice as long.
    await runtime.advance(1_000);
    await calls.call(1);
    expect(asked).toBe(6);
    await runtime.advance(1_000);
    alive = true;
    expect((await calls.call(1)).outcome).toBe("miss");
    expect((await calls.call(1)).outcome).toBe("hit");
  });

  it("C6 has a bounded number of operations under way, however many calls there are, and tells of that", async () => {
    const runtime = new TestRuntime();
    let asked = 0;
    const store: CacheStore = {
      ...keeping(undefined),
      get: () => {
        asked += 1;
        return never;
      },
    };
    const calls = cachedWorker({ store, timeout: 100, runtime });
    const lines = await linesOf(async () => {
      const all = Array.from({ length: 4200 }, (_, input) => calls.call(input));
      await runtime.waiting(4096);
      await runtime.advance(100);
      await Promise.all(all);
    });
    expect(lines.filter((line) => line.includes("outstanding"))).toEqual([
      expect.stringContaining("the activity cache's store failed to get an entry: 4096 operations are outstanding"),
    ]);
    expect(calls.runs).toBe(4200);
    expect(asked).toBe(4096);
    expect(runtime.timers).toBe(0);
  });

  it.each<[what: string, store: CacheStore, asked: "get" | "set"]>([
    ["writes", { ...keeping(undefined), get: async () => undefined, set: () => never }, "set"],
    ["reads", { ...keeping(undefined), get: () => never }, "get"],
  ])("C6 is left alone with its %s when they hang, whatever else answers", async (_, store, asked) => {
    const runtime = new TestRuntime();
    let count = 0;
    const counting: CacheStore = { ...store, [asked]: (key: string) => ((count += 1), store[asked](key, "", 0)) };
    const calls = cachedWorker({ runtime, store: counting, timeout: 100 });
    for (let input = 0; input < 50; input += 1) {
      const called = calls.call(input);
      await new Promise(setImmediate);
      await runtime.advance(100);
      expect(await called).toMatchObject({ outcome: "error", failure: undefined });
    }
    // Five faults, and a try after one second and after two more.
    expect(count).toBe(7);
  });

  it("C6 is not late where the process was busy, and the answer was there by then", async () => {
    const entries = new Map<string, string>();
    const store: CacheStore = {
      // Answers from outside of the process's one thread, as a socket does.
      get: async (key) => (await stat("."), entries.get(key)),
      set: async (key, value) => (await stat("."), entries.set(key, value)),
      delete: () => true,
    };
    const calls = cachedWorker({ store, timeout: 50 }, (input) => input);
    const all = Array.from({ length: 6 }, (_, input) => calls.call(input));
    await new Promise(setImmediate);
    const end = performance.now() + 100;
    while (performance.now() < end);
    expect(new Set((await Promise.all(all)).map(({ outcome }) => outcome))).toEqual(new Set(["miss"]));
  });

  it("C6 keeps no process alive once its activity is done", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
    const before = timers();
    const gate = new Gate();
    const calls = cachedWorker({ store: { ...keeping(undefined), get: () => gate.pass() }, timeout: "1h" });
    const called = calls.call(1);
    await gate.reached;
    // Until then it does, as nothing else may.
    expect(timers()).toBe(before + 1);
    gate.open();
    await called;
    expect(timers()).toBe(before);
  });
});

describe("What is under a key and is no entry of this cache", () => {
  const key = "durable-telemetry:entry:x";
  // Good for another minute.
  const header = { key, epoch: "", expires: Date.now() + 60_000 };
  const good = encode(header, '"wrong"');

  it.each<[what: string, stored: string | null]>([
    ["what a store may say where there is nothing", null],
    ["another application's string", "hello"],
    ["another application's JSON", '{"value":1,"expires":9e15}'],
    ["JSON that is no object", "[1]"],
    ["null", "null"],
    ["an entry of another key", good],
    ["nothing but a beginning", "{"],
    ["an empty string", ""],
  ])("C6 is a miss: %s", async (_, stored) => {
    const kept: string[] = [];
    const calls = cachedWorker({
      store: { get: () => stored, set: (_key, value) => kept.push(value), delete: () => true },
    });
    expect(await calls.call(1)).toEqual({ json: "1", failure: undefined, outcome: "miss" });
    // And it is put right.
    expect(kept).toHaveLength(1);
  });

  it("C6 is a miss where a later version wrote it, whatever it means there", async () => {
    const store = new Map<string, string>();
    await cachedWorker({ store }, () => "first").call(1);
    for (const [at, stored] of store)
      store.set(at, stored.replace("durable-telemetry.cache/1", "durable-telemetry.cache/2"));
    const later = cachedWorker({ store }, () => "ran");
    expect(await later.call(1)).toMatchObject({ json: '"ran"', outcome: "miss" });
    expect(await later.call(1)).toMatchObject({ json: '"ran"', outcome: "hit" });
  });

  it("C6 is a miss where it was written half, wherever it was cut off", async () => {
    const store = new Map<string, string>();
    const result = { price: 12345, notes: ["a", { b: null }] };
    await cachedWorker({ store }, () => result).call(1);
    const [[at, stored] = ["", ""]] = store;
    expect(stored.length).toBeGreaterThan(100);
    for (let length = 0; length < stored.length; length += 1) {
      store.set(at, stored.slice(0, length));
      expect((await cachedWorker({ store }, () => "ran").call(1)).json).toBe('"ran"');
    }
    store.set(at, stored);
    expect((await cachedWorker({ store }, () => "ran").call(1)).json).toBe(JSON.stringify(result));
  });

  it.each<[what: string, change: (entry: Record<string, unknown>) => void]>([
    ["no time to expire", (entry) => delete entry["expires"]],
    ["a string for the time", (entry) => (entry["expires"] = "soon")],
    ["no key", (entry) => delete entry["key"]],
    ["no epoch", (entry) => delete entry["generation"]],
    ["neither a value nor none", (entry) => delete entry["value"]],
    ["both", (entry) => (entry["void"] = true)],
  ])("C6 is an error where it says that it is an entry, and has another shape: %s", async (_, change) => {
    const store = new Map<string, string>();
    await cachedWorker({ store }, () => "first").call(1);
    const [[at, stored] = ["", ""]] = store;
    const entry = JSON.parse(stored) as Record<string, unknown>;
    change(entry);
    store.set(at, JSON.stringify(entry));
    const calls = cachedWorker({ store }, () => "ran");
    expect(await calls.call(1)).toEqual({ json: '"ran"', failure: undefined, outcome: "error" });
    // And it is put right.
    expect(await calls.call(1)).toEqual({ json: '"ran"', failure: undefined, outcome: "hit" });
  });
});

it.each<[what: string, opening: string, closing: string]>([
  ["arrays", "[", "]"],
  ["objects", '{"a":', "}"],
])(
  "C6 is an error where its value is nested deeper than JSON can be written, in %s: the activity does not fail by it",
  async (_, opening, closing) => {
    const store = new Map<string, string>();
    await cachedWorker({ store }, () => "first").call(1);
    const [[at, stored] = ["", ""]] = store;
    store.set(at, stored.replace('"first"', opening.repeat(50_000) + "1" + closing.repeat(50_000)));
    expect(await cachedWorker({ store }, () => "ran").call(1)).toEqual({
      json: '"ran"',
      failure: undefined,
      outcome: "error",
    });
    // What the SDK can write is served, though it has as many brackets.
    const many = Array.from({ length: 5_000 }, () => [{}]);
    store.set(at, stored.replace('"first"', JSON.stringify(many)));
    expect(await cachedWorker({ store }, () => "ran").call(1)).toEqual({
      json: JSON.stringify(many),
      failure: undefined,
      outcome: "hit",
    });
  },
);

it("C6 each fault is counted, also a value that is marked as an entry and malformed", async () => {
  const faults: string[] = [];
  onFault((middleware) => faults.push(middleware));
  onTestFinished(() => onFault(() => undefined));
  const shapeless = JSON.stringify({
    ...JSON.parse(encode({ key: "x", epoch: "", expires: 9e15 }, "1")),
    expires: "soon",
  });
  for (const store of [keeping(shapeless), keeping(42), { ...keeping(undefined), get: rejecting }]) {
    const calls = cachedWorker({ store });
    for (let run = 0; run < 2; run += 1) expect((await calls.call(1)).outcome).toBe("error");
  }
  await cachedWorker({ activity: { ttl: "5m", shouldCache: (() => "yes") as unknown as () => boolean } }).call(1);
  expect(faults).toEqual(Array.from({ length: 7 }, () => "caching"));
});

it.each([undefined, "prices"])(
  "C6 what is there and is no string is an error, and is put right (in the namespace %s)",
  async (namespace) => {
    const entries = new Map<string, unknown>();
    const store: CacheStore = {
      get: (key) => (key.includes("entry") && !entries.has(key) ? 42 : entries.get(key)),
      set: (key, value) => entries.set(key, value),
      delete: (key) => entries.delete(key),
    };
    const calls = cachedWorker({ store, activity: { ttl: "5m", ...(namespace !== undefined && { namespace }) } });
    expect([(await calls.call(1)).outcome, (await calls.call(1)).outcome]).toEqual(["error", "hit"]);
  },
);

it("C6 nothing is held of operations that are over", async () => {
  const entries = new Map<string, string>();
  const store: CacheStore = {
    get: async (key) => entries.get(key),
    set: async (key, value) => void entries.set(key, value),
    delete: async (key) => void entries.delete(key),
  };
  const calls = cachedWorker({ store });
  const promises = async (): Promise<number> => {
    for (let input = 0; input < 1_000; input += 1) await calls.call(`${entries.size} ${input}`);
    await new Promise(setImmediate);
    return queryObjects(Promise, { format: "count" });
  };
  const before = await promises();
  expect((await promises()) - before).toBeLessThan(500);
  expect(entries.size).toBe(2_000);
});

describe("A function of the options that fails", () => {
  const failing = (): never => {
    throw new Error("a bug in the options");
  };
  it.each([
    ["key throws", { key: failing }],
    ["key is async", { key: async () => failing() }],
    ["key gives what starts when it is awaited", { key: () => ({ [method]: async () => failing() }) }],
    ["namespace throws", { namespace: failing }],
    ["namespace is async", { namespace: (async () => failing()) as unknown as () => string }],
    ["shouldCache throws", { shouldCache: failing }],
    ["shouldCache is async", { shouldCache: (async () => true) as unknown as () => boolean }],
    ["shouldCache returns no boolean", { shouldCache: (() => "yes") as unknown as () => boolean }],
  ])("C6 lets the activity run; the outcome is error: %s", async (_, options) => {
    const calls = cachedWorker({ activity: { ttl: "5m", ...options } });
    const unhandled = await unhandledDuring(async () => {
      for (let run = 1; run <= 2; run += 1) {
        expect(await calls.call(1)).toEqual({ json: String(run), failure: undefined, outcome: "error" });
      }
    });
    expect(unhandled).toEqual([]);
  });

  it("C3 and what shouldCache does to the result reaches nobody", async () => {
    const shouldCache = (result: unknown): boolean => (result as number[]).push(2) > 0;
    const calls = cachedWorker({ activity: { ttl: "5m", shouldCache } }, () => [1]);
    for (let round = 0; round < 3; round += 1) expect((await calls.call(1)).json).toBe("[1]");
  });
});

it("C7 a span that takes no attribute costs that, and nothing else", async () => {
  const span = { setAttribute: broken } as unknown as Span;
  const tracer: MiddlewareObject = {
    name: "tracer",
    activity: async (ctx, next) => {
      ctx.features.set(ActivitySpan, span);
      await next(ctx);
    },
  };
  const calls = cachedWorker({ use: [tracer] });
  expect([await calls.call(1), await calls.call(1)]).toMatchObject([
    { json: "1", outcome: "miss" },
    { json: "1", outcome: "hit" },
  ]);
});

describe("A result that can't be kept", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  it.each<[what: string, result: unknown, failure: string]>([
    ["a BigInt", 1n, "BigInt"],
    ["a cycle", cycle, "circular"],
  ])("C6 fails as it does without the cache, as JSON can't hold it: %s", async (_, result, failure) => {
    const store = new Map<string, string>();
    const calls = cachedWorker({ store }, () => result);
    const called = await calls.call(1);
    expect(called.failure).toContain(failure);
    expect(called.outcome).toBe("bypass");
    expect(store.size).toBe(0);
  });

  it("C4 is one above maxValueSize, in bytes", async () => {
    const calls = cachedWorker({ maxValueSize: 10 }, (input) => input);
    const outcomes = async (input: string): Promise<unknown> => [
      (await calls.call(input)).outcome,
      (await calls.call(input)).outcome,
    ];
    expect(await outcomes("12345678")).toEqual(["miss", "hit"]);
    expect(await outcomes("123456789")).toEqual(["bypass", "bypass"]);
    expect(await outcomes("éééé")).toEqual(["miss", "hit"]);
    expect(await outcomes("ééééé")).toEqual(["bypass", "bypass"]);
    // A store of one's own has other bounds than that in memory.
    const own = cachedWorker({ store: new Map<string, string>(), maxBytes: 1_000 }, () => "x".repeat(10_000));
    expect([(await own.call(1)).outcome, (await own.call(1)).outcome]).toEqual(["miss", "hit"]);
  });
});

it("C6 a store that is closed under load fails no activity, and no result is wrong", async () => {
  const entries = new Map<string, string>();
  let closed = false;
  const open =
    <T>(run: () => T) =>
    async (): Promise<T> => {
      await new Promise(setImmediate);
      if (closed) throw new Error("closed");
      return run();
    };
  const store: CacheStore = {
    get: (key) => open(() => entries.get(key))(),
    set: (key, value) => open(() => entries.set(key, value))(),
    delete: (key) => open(() => entries.delete(key))(),
  };
  const gate = new Gate();
  const calls = cachedWorker({ store }, async (input) => {
    if (input === 50) {
      closed = true;
      gate.open();
    }
    return { doubled: Number(input) * 2 };
  });
  const outcomes = new Map<unknown, number>();
  for (let round = 0; round < 4; round += 1) {
    const all = Array.from({ length: 100 }, (_, input) => calls.call(input));
    for (const [input, called] of (await Promise.all(all)).entries()) {
      expect(called.json).toBe(JSON.stringify({ doubled: input * 2 }));
      outcomes.set(called.outcome, (outcomes.get(called.outcome) ?? 0) + 1);
    }
    if (round === 1) expect(closed).toBe(true);
  }
  await gate.pass();
  expect(outcomes.get("error")).toBeGreaterThan(0);
});
