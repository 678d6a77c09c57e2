import { describe, expect, it } from "vitest";
import { caching, type CacheStore } from "../../middlewares/index.ts";
import { createMiddlewareFeature, MiddlewareFeatures } from "../../src/index.ts";
import { cachedWorker, Gate, name } from "./calls.ts";
import { TestRuntime } from "./clock.ts";

describe("cache.delete", () => {
  it("takes away one entry, and no other", async () => {
    const calls = cachedWorker({});
    for (const input of [{ a: 1, b: 2 }, 7]) await calls.call(input);
    await calls.cache.delete(name, { b: 2, a: 1 });
    expect((await calls.call({ a: 1, b: 2 })).outcome).toBe("miss");
    expect((await calls.call(7)).outcome).toBe("hit");
  });

  it("finds an entry by the version, tags and features of its calls", async () => {
    const calls = cachedWorker({ activity: { ttl: "5m", namespace: ({ tags }) => tags["tenant"], key: ({ input }) => (input as { id: number }).id } });
    const options = { version: "2", tags: { tenant: "acme" } };
    await calls.call({ id: 1 }, options);
    await calls.cache.delete(name, { id: 1 }, { tags: { tenant: "acme" } });
    expect((await calls.call({ id: 1 }, options)).outcome).toBe("hit");
    await calls.cache.delete(name, { id: 1, at: "any time" }, options);
    expect((await calls.call({ id: 1 }, options)).outcome).toBe("miss");

    const Tenant = createMiddlewareFeature<string>("tenant");
    const tenant = { name: "tenant", activity: async (ctx: Parameters<typeof calls.cache.activity>[0], next: Parameters<typeof calls.cache.activity>[1]) => {
      ctx.features.set(Tenant, "acme");
      await next(ctx);
    } };
    const guarded = cachedWorker({ use: [tenant], activity: { ttl: "5m", namespace: ({ features }) => features.get(Tenant) } });
    await guarded.call(1);
    await guarded.cache.delete(name, 1, { features: new MiddlewareFeatures().set(Tenant, "acme") });
    expect((await guarded.call(1)).outcome).toBe("miss");
  });

  it("makes later calls run anew while a run is under way, whose result is not kept", async () => {
    const gates = [new Gate(), new Gate()];
    const calls = cachedWorker({}, async (_, run) => {
      await gates[run - 1]?.pass();
      return run;
    });
    const old = calls.call(1);
    const alsoOld = calls.call(1);
    await gates[0]?.reached;
    await calls.cache.delete(name, 1);
    const fresh = calls.call(1);
    await gates[1]?.reached;
    // The old run ends last.
    gates[1]?.open();
    expect((await fresh).json).toBe("2");
    gates[0]?.open();
    expect([await old, await alsoOld].map(({ json }) => json)).toEqual(["1", "1"]);
    expect(await calls.call(1)).toMatchObject({ json: "2", outcome: "hit" });
  });

  it("rejects for what is not cached, or has no entry", async () => {
    const calls = cachedWorker({ activity: { ttl: "5m", namespace: ({ tags }) => tags["tenant"] } });
    await expect(calls.cache.delete("other", 1)).rejects.toThrow(/the activity "other" is not cached; those that are: quote/);
    await expect(calls.cache.delete(name, 1)).rejects.toThrow(/has no entry; give the input, version, tags and features/);
    await expect(cachedWorker({}).cache.delete(name, new Map())).rejects.toThrow(TypeError);
  });

  it("rejects where the store fails, and within the timeout where it hangs: the entry may still be there", async () => {
    const closed: CacheStore = { get: () => undefined, set: () => true, delete: () => Promise.reject(new Error("closed")) };
    await expect(cachedWorker({ store: closed }).cache.delete(name, 1)).rejects.toThrow(/the store failed, so the entry of "quote" may still be there/);
    const runtime = new TestRuntime();
    const hanging: CacheStore = { ...closed, delete: () => new Promise(() => undefined) };
    const deleted = cachedWorker({ store: hanging, runtime, timeout: 100 }).cache.delete(name, 1);
    const refused = expect(deleted).rejects.toThrow(/the store failed/);
    await runtime.advance(100);
    await refused;
  });
});

describe("cache.deleteNamespace", () => {
  const activity = { ttl: "5m", namespace: ({ tags }: { tags: Readonly<Record<string, string>> }) => tags["tenant"] };
  const of = (tenant: string): { tags: Record<string, string> } => ({ tags: { tenant } });

  it("makes misses of all entries of a namespace, and of no other, in all processes that share the store", async () => {
    const store = new Map<string, string>();
    const [here, there] = [cachedWorker({ store, activity }), cachedWorker({ store, activity })];
    for (const tenant of ["acme", "umbrella"]) for (const input of [1, 2, 3]) await here.call(input, of(tenant));
    expect((await there.call(1, of("acme"))).outcome).toBe("hit");
    await here.cache.deleteNamespace("acme");
    for (const input of [1, 2, 3]) {
      expect((await there.call(input, of("acme"))).outcome).toBe("miss");
      expect((await there.call(input, of("umbrella"))).outcome).toBe("hit");
    }
    expect((await here.call(1, of("acme"))).outcome).toBe("hit");
  });

  it("costs one operation, and a look-up two that go side by side", async () => {
    const entries = new Map<string, string>();
    const operations: string[] = [];
    const store: CacheStore = {
      get: (key) => (operations.push("get"), entries.get(key)),
      set: (key, value) => (operations.push("set"), entries.set(key, value)),
      delete: (key) => (operations.push("delete"), entries.delete(key)),
    };
    const calls = cachedWorker({ store, activity });
    await calls.call(1, of("acme"));
    operations.length = 0;
    await calls.call(1, of("acme"));
    expect(operations).toEqual(["get", "get"]);
    operations.length = 0;
    await calls.cache.deleteNamespace("acme");
    expect(operations).toEqual(["set"]);
  });

  it("also reaches runs that are under way, here and in other processes", async () => {
    const store = new Map<string, string>();
    const gate = new Gate();
    const there = cachedWorker({ store, activity }, async (_, run) => {
      if (run === 1) await gate.pass();
      return `there ${run}`;
    });
    const here = cachedWorker({ store, activity }, () => "here");
    const old = there.call(1, of("acme"));
    await gate.reached;
    await here.cache.deleteNamespace("acme");
    gate.open();
    expect((await old).json).toBe('"there 1"');
    expect(await here.call(1, of("acme"))).toMatchObject({ json: '"here"', outcome: "miss" });
    expect(await there.call(1, of("acme"))).toMatchObject({ json: '"here"', outcome: "hit" });
  });

  it("brings nothing back where the store loses what it knows of the namespace", async () => {
    const store = new Map<string, string>();
    const calls = cachedWorker({ store, activity });
    await calls.call(1, of("acme"));
    const before = new Map(store);
    await calls.cache.deleteNamespace("acme");
    for (const key of store.keys()) if (key.includes("generation")) store.delete(key);
    for (const [key, value] of before) if (key.includes("entry")) store.set(key, value);
    expect((await calls.call(1, of("acme"))).outcome).toBe("miss");
  });

  it("rejects for anything but a name, and where the store fails", async () => {
    const { cache } = cachedWorker({ store: { get: () => undefined, set: () => false, delete: () => true }, activity });
    await expect(cache.deleteNamespace("")).rejects.toThrow(/namespace must be a non-empty string/);
    await expect(cache.deleteNamespace("acme")).rejects.toThrow(/the store failed, so entries of "acme" may still be there/);
  });

  it("C6 a namespace whose generation can't be read or set goes past the store: the outcome is error", async () => {
    const entries = new Map<string, string>();
    for (const member of ["get", "set"] as const) {
      const store: CacheStore = {
        get: (key) => entries.get(key),
        set: (key, value) => entries.set(key, value),
        delete: (key) => entries.delete(key),
        [member]: (key: string) => {
          if (key.includes("generation")) throw new Error("down");
          return undefined;
        },
      };
      const calls = cachedWorker({ store, activity });
      for (let run = 1; run <= 2; run += 1) expect(await calls.call(1, of("acme"))).toMatchObject({ json: String(run), outcome: "error" });
      expect(entries.size).toBe(0);
    }
  });
});

it("C4 the store in memory is bounded by entries and by bytes; what was used least recently goes first", async () => {
  const few = cachedWorker({ maxEntries: 2 }, (input) => input);
  for (const input of [1, 2, 1, 3]) await few.call(input);
  expect([(await few.call(1)).outcome, (await few.call(2)).outcome]).toEqual(["hit", "miss"]);

  const small = cachedWorker({ maxBytes: 100_000 }, (input) => "x".repeat(10_000) + String(input));
  for (let input = 0; input < 10; input += 1) await small.call(input);
  const outcomes: unknown[] = [];
  for (const input of [9, 8, 7, 6]) outcomes.push((await small.call(input)).outcome);
  expect(outcomes).toEqual(["hit", "hit", "hit", "hit"]);
  expect((await small.call(0)).outcome).toBe("miss");
  expect(caching({ activities: {} }).name).toBe("caching");
});
