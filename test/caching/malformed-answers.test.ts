import { gunzipSync, gzipSync } from "node:zlib";
import { Keyv, type KeyvOptions } from "keyv";
import { Keyv as Keyv6 } from "keyv-6";
import { describe, expect, it } from "vitest";
import type { CacheStore } from "../../middlewares/index.ts";
import { cachedWorker } from "./calls.ts";
import { TestRuntime } from "./clock.ts";

type Settle = (value: unknown) => void;

const keeping = (answer: unknown): CacheStore => ({ get: () => answer, set: () => true, delete: () => true });
const failingWith = (error: unknown): CacheStore => {
  const fail = (): never => {
    throw error;
  };
  return { get: fail, set: fail, delete: fail };
};
// An object with such a member is taken for a promise.
const then = ["th", "en"].join("");

const touchy = Object.defineProperty({}, then, {
  get() {
    throw new Error("hands off");
  },
});
function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

// Promises that a library has changed.
const ownThen = (): unknown =>
  Object.assign(Promise.resolve(5), {
    [then]() {
      throw new Error("hands off");
    },
  });
const ownConstructor = (): unknown =>
  Object.defineProperty(Promise.resolve(5), "constructor", {
    get() {
      throw new Error("hands off");
    },
  });

/** Unhandled rejections and exceptions while `run` runs, and some turns of the event loop longer. */
async function straysOf(run: () => Promise<void>): Promise<readonly unknown[]> {
  const strays: unknown[] = [];
  const listener = (stray: unknown): void => void strays.push(stray);
  const events = ["unhandledRejection", "uncaughtException"] as const;
  for (const event of events) process.on(event, listener);
  try {
    await run();
    for (let count = 0; count < 5; count += 1) await new Promise(setImmediate);
  } finally {
    for (const event of events) process.off(event, listener);
  }
  return strays;
}

async function runsAlways(store: CacheStore): Promise<void> {
  const calls = cachedWorker({ store });
  const strays = await straysOf(async () => {
    for (let run = 1; run <= 8; run += 1)
      expect(await calls.call(1)).toEqual({ json: String(run), failure: undefined, outcome: "error" });
  });
  expect(strays).toEqual([]);
}

describe("C6 A malformed answer of a store never fails an activity, and leaves nothing unhandled", () => {
  it.each<[what: string, answer: unknown]>([
    ["a Buffer", Buffer.from("{}")],
    ["a String object", Object("{}")],
    ["a symbol", Symbol("malformed")],
    ["a BigInt", 1n],
    ["a function", () => "{}"],
    ["an object without a prototype", Object.create(null)],
    [
      "a promise that settles in every way",
      {
        [then](resolve: Settle, reject: Settle): void {
          resolve(5);
          resolve(6);
          reject(new Error("7"));
          throw new Error("8");
        },
      },
    ],
    [
      "a promise of a promise that rejects with a symbol",
      { [then]: (resolve: Settle) => resolve({ [then]: (_: Settle, reject: Settle) => reject(Symbol("no")) }) },
    ],
    ["what throws when it is asked whether it is a promise", touchy],
    ["a proxy that was revoked", revoked()],
    ["a promise whose constructor throws", ownConstructor()],
    ["a promise whose own member throws", ownThen()],
  ])("C6 get gives %s", async (_, answer) => runsAlways(keeping(answer)));

  it.each<[what: string, answer: unknown]>([
    ["what throws when it is asked whether it is a promise", touchy],
    ["a proxy that was revoked", revoked()],
    ["a promise whose constructor throws", ownConstructor()],
  ])("C6 set, setIfAbsent and deleteIfEqual give %s", async (_, answer) => {
    await runsAlways({ ...keeping(undefined), set: () => answer });
    const locking = { ...keeping(undefined), setIfAbsent: () => true, deleteIfEqual: () => answer };
    const activity = { ttl: "1h", lockFor: "1m" };
    expect(await cachedWorker({ store: locking, activity }).call(1)).toEqual({
      json: "1",
      failure: undefined,
      outcome: "miss",
    });
    const notLocking = { ...locking, setIfAbsent: () => answer as boolean };
    expect(await cachedWorker({ store: notLocking, activity }).call(1)).toEqual({
      json: "1",
      failure: undefined,
      outcome: "error",
    });
  });

  it("C6 which comes at the try after a pause, is asked again after the next one", async () => {
    const runtime = new TestRuntime();
    const entries = new Map<string, string>();
    let get: (key: string) => unknown = () => {
      throw new Error("down");
    };
    const calls = cachedWorker({
      runtime,
      store: { get: (key) => get(key), set: (key, value) => entries.set(key, value), delete: () => true },
    });
    for (let run = 1; run <= 5; run += 1) await calls.call(1);
    await runtime.advance(1_000);
    get = () => touchy;
    expect((await calls.call(1)).outcome).toBe("error");
    get = (key) => entries.get(key);
    await runtime.advance(2_000);
    expect([(await calls.call(1)).outcome, (await calls.call(1)).outcome]).toEqual(["miss", "hit"]);
  });

  const nameless = Object.defineProperty(new Error("hidden"), "message", {
    get() {
      throw new Error("no message either");
    },
  });
  it.each<[what: string, error: unknown]>([
    ["undefined", undefined],
    ["a symbol", Symbol("thrown")],
    ["an object without a prototype", Object.create(null)],
    ["an error whose message throws", nameless],
  ])("C6 it throws %s", async (_, error) => {
    await runsAlways(failingWith(error));
    await runsAlways({ ...failingWith(error), get: () => Promise.reject(error) });
  });
});

describe("Keyv as it is", () => {
  const down = (): Promise<never> => Promise.reject(new Error("down"));
  const dead = { opts: {}, on: () => dead, get: down, set: down, delete: down, clear: async () => undefined };
  const dead6 = dead as unknown as Map<string, unknown>;
  it.each<[what: string, store: CacheStore]>([
    ["5, and nobody listens to its errors", new Keyv({ store: dead })],
    ["6, and nobody listens to its errors", new Keyv6({ store: dead6 })],
    ["5 that throws them", new Keyv({ store: dead, throwOnErrors: true })],
    ["6 that throws them", new Keyv6({ store: dead6, throwOnErrors: true })],
    ["5 that keeps them to itself", new Keyv({ store: dead, emitErrors: false })],
  ])("C6 whose store is dead: %s", async (_, store) => runsAlways(store));

  const compression = {
    compress: async (value: unknown) => gzipSync(String(value)).toString("base64"),
    decompress: async (value: unknown) => gunzipSync(Buffer.from(String(value), "base64")).toString(),
  } as unknown as NonNullable<KeyvOptions["compression"]>;
  it.each<[what: string, make: () => CacheStore]>([
    ["5 with a namespace and a time to live of its own", () => new Keyv({ ttl: 5, namespace: "own" })],
    ["6 with a namespace and a time to live of its own", () => new Keyv6({ ttl: 5, namespace: "own" })],
    ["5 with compression", () => new Keyv({ compression })],
    ["5 without prefixes", () => new Keyv({ useKeyPrefix: false })],
  ])("C3 has each result as it was: %s", async (_, make) => {
    const results = [
      undefined,
      null,
      "",
      ":base64:x",
      '{"value":1}',
      { a: "\ud800" },
      JSON.parse('{"__proto__":{"x":1},"2":1,"1":2}'),
    ];
    for (const result of results) {
      const calls = cachedWorker({ store: make(), activity: { ttl: "1h", namespace: "prices" } }, () => result);
      const first = await calls.call(1);
      expect(first.outcome).toBe("miss");
      expect(await calls.call(1)).toEqual({ ...first, outcome: "hit" });
    }
  });
});
