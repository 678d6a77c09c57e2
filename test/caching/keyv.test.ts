import { KeyvPostgres } from "@keyv/postgres";
import KeyvRedis from "@keyv/redis";
import { Keyv } from "keyv";
import { Keyv as Keyv6 } from "keyv-6";
import { describe, expect, it, onTestFinished } from "vitest";
import type { CacheStore } from "../../middlewares/index.ts";
import { cachedWorker, name } from "./calls.ts";
import { skipPostgres, skipRedis, startPostgres, startRedis } from "./servers.ts";
import { survives } from "./survives.ts";

const failing = {
  opts: {},
  on: () => failing,
  get: () => Promise.reject(new Error("down")),
  set: () => Promise.reject(new Error("down")),
  delete: () => Promise.reject(new Error("down")),
  clear: async () => undefined,
};

describe.each<[version: string, make: (adapter: unknown) => CacheStore]>([
  ["5", (adapter) => new Keyv({ store: adapter })],
  ["6", (adapter) => new Keyv6({ store: adapter as Map<string, unknown> })],
])("Keyv %s", (_, make) => {
  it("C4 fits as it is", async () => {
    const adapter = new Map<string, unknown>();
    const first = await cachedWorker({ store: make(adapter) }, () => ({ price: 42, void: undefined })).call({
      b: 1,
      a: 2,
    });
    expect(adapter.size).toBe(1);
    const again = cachedWorker({ store: make(adapter) });
    expect(await again.call({ a: 2, b: 1 })).toEqual({ ...first, outcome: "hit" });
    await again.cache.delete(name, { a: 2, b: 1 });
    expect((await again.call({ a: 2, b: 1 })).outcome).toBe("miss");
  });

  it("C4 keeps namespaces of its own and of this cache apart", async () => {
    const worker = cachedWorker({ store: make(new Map()), activity: { ttl: "1h", namespace: "prices" } });
    await worker.call(1);
    expect((await worker.call(1)).outcome).toBe("hit");
    await worker.cache.deleteNamespace("prices");
    expect((await worker.call(1)).outcome).toBe("miss");
  });

  it("cache.delete rejects where its store fails to, and tells that from an entry that was not there", async () => {
    const entries = new Map<string, unknown>();
    const adapter = {
      ...failing,
      get: async (key: string) => entries.get(key),
      set: async (key: string, value: unknown) => (entries.set(key, value), true),
    };
    const store = make(adapter);
    (store as Keyv).on("error", () => undefined);
    const worker = cachedWorker({ store });
    await worker.call(1);
    // Nothing can be deleted, but overwritten.
    await worker.cache.delete(name, 1);
    expect((await worker.call(1)).outcome).toBe("miss");
    adapter.set = () => Promise.reject(new Error("down"));
    await expect(worker.cache.delete(name, 1)).rejects.toThrow(/the store failed/);
    await expect(cachedWorker({ store: make(new Map()) }).cache.delete(name, "never was")).resolves.toBeUndefined();
  });

  it("C6 swallows what its store throws: the outcome is error, as its set says that it failed", async () => {
    const store = make(failing);
    (store as Keyv).on("error", () => undefined);
    const worker = cachedWorker({ store });
    for (let run = 1; run <= 3; run += 1)
      expect(await worker.call(1)).toEqual({ json: String(run), failure: undefined, outcome: "error" });
  });
});

describe.skipIf(skipRedis)("Keyv over Redis", () => {
  it("C4 has the hits of a worker that was there before a restart", async () => {
    const server = await startRedis();
    onTestFinished(() => server[Symbol.asyncDispose]());
    const store = (): Keyv => {
      const keyv = new Keyv(new KeyvRedis(server.url));
      onTestFinished(() => keyv.disconnect());
      return keyv;
    };
    const first = await cachedWorker({ store: store(), timeout: "20s" }, () => ["a result"]).call(1);
    expect(await cachedWorker({ store: store(), timeout: "20s" }).call(1)).toEqual({ ...first, outcome: "hit" });
  });
});

describe.skipIf(skipPostgres)("Keyv over PostgreSQL", () => {
  const keyvOver = (url: string): Keyv => {
    // No connection is left idle: @keyv/postgres does not listen to the errors of those when the server is killed.
    const keyv = new Keyv(new KeyvPostgres({ uri: url, max: 8, maxUses: 1 }));
    keyv.on("error", () => undefined);
    onTestFinished(() => keyv.disconnect());
    return keyv;
  };

  it(
    "C4 has the hits of a worker, and C6 may be killed and come back under load, with what was committed",
    { timeout: 90_000 },
    async () => {
      const server = await startPostgres();
      onTestFinished(() => server[Symbol.asyncDispose]());
      const store = keyvOver(server.url);
      const result = { text: "\u0000 \ud800 é", price: 0.1 };
      const first = await cachedWorker({ store, timeout: "5s" }, () => result).call("before");
      expect(await cachedWorker({ store, timeout: "5s" }).call("before")).toEqual({ ...first, outcome: "hit" });

      await survives(server, { store });
      expect(await cachedWorker({ store, timeout: "5s" }).call("before")).toEqual({ ...first, outcome: "hit" });
    },
  );
});
