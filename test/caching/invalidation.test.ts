import { describe, expect, it } from "vitest";
import { caching, type CacheStore } from "../../middlewares/index.ts";
import { createMiddlewareFeature, MiddlewareFeatures } from "../../src/index.ts";
import { cachedWorker, Gate, name } from "./calls.ts";
import { TestRuntime } from "./clock.ts";
import { LockingMemory } from "./locking-store.ts";

const nextTurn = async (): Promise<void> => {
  for (let count = 0; count < 20; count += 1) await new Promise(setImmediate);
};

describe("cache.delete", () => {
  it("takes away one entry, and no other", async () => {
    const calls = cachedWorker({});
    for (const input of [{ a: 1, b: 2 }, 7]) await calls.call(input);
    await calls.cache.delete(name, { b: 2, a: 1 });
    expect((await calls.call({ a: 1, b: 2 })).outcome).toBe("miss");
    expect((await calls.call(7)).outcome).toBe("hit");
  });

  it("finds an entry by the version, tags and features of its calls", async () => {
    const calls = cachedWorker({
      activity: {
        ttl: "5m",
        namespace: ({ tags }) => tags["tenant"],
        key: ({ input }) => (input as { id: number }).id,
      },
    });
    const options = { version: "2", tags: { tenant: "acme" } };
    await calls.call({ id: 1 }, options);
    await calls.cache.delete(name, { id: 1 }, { tags: { tenant: "acme" } });
    expect((await calls.call({ id: 1 }, options)).outcome).toBe("hit");
    await calls.cache.delete(name, { id: 1, at: "any time" }, options);
    expect((await calls.call({ id: 1 }, options)).outcome).toBe("miss");

    const Tenant = createMiddlewareFeature<string>("tenant");
    const tenant = {
      name: "tenant",
      activity: async (
        ctx: Parameters<typeof calls.cache.activity>[0],
        next: Parameters<typeof calls.cache.activity>[1],
      ) => {
        ctx.features.set(Tenant, "acme");
        await next(ctx);
      },
    };
    const guarded = cachedWorker({
      use: [tenant],
      activity: { ttl: "5m", namespace: ({ features }) => features.get(Tenant) },
    });
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

  it("also reaches a run that found the entry while it was being deleted", async () => {
    const entries = new Map<string, string>();
    const deleted = Promise.withResolvers<void>();
    const store: CacheStore = {
      get: async (key) => entries.get(key),
      set: async (key, value) => void entries.set(key, value),
      delete: (key) => deleted.promise.then(() => entries.delete(key)),
    };
    const runtime = new TestRuntime();
    const gate = new Gate();
    const calls = cachedWorker({ store, runtime, activity: { ttl: "5m", staleFor: "1h" } }, async (_, run) => {
      if (run === 2) await gate.pass();
      return run;
    });
    await calls.call(1);
    await runtime.advance(301_000);
    const deleting = calls.cache.delete(name, 1);
    const renewing = calls.call(1);
    await gate.reached;
    deleted.resolve();
    await deleting;
    expect(await calls.call(1)).toMatchObject({ json: "3", outcome: "miss" });
    gate.open();
    expect((await renewing).json).toBe("2");
    expect(await calls.call(1)).toMatchObject({ json: "3", outcome: "hit" });
  });

  it("keeps the result of every call that runs out of the store, also of one that another has taken the place of", async () => {
    const entries = new Map<string, string>();
    let failures = 0;
    const store: CacheStore = {
      get: async (key) => {
        failures -= 1;
        return failures >= 0 ? Promise.reject(new Error("down")) : entries.get(key);
      },
      set: async (key, value) => void entries.set(key, value),
      delete: async (key) => entries.delete(key),
    };
    const gate = new Gate();
    const calls = cachedWorker({ store, activity: { ttl: "5m", namespace: "acme" } }, async (_, run) => {
      if (run === 1) await gate.pass();
      return run;
    });
    const first = calls.call(1);
    await gate.reached;
    // The next call can't tell whether its namespace was invalidated, and runs too.
    failures = 2;
    expect((await calls.call(1)).json).toBe("2");
    await calls.cache.delete(name, 1);
    gate.open();
    expect((await first).json).toBe("1");
    expect(await calls.call(1)).toMatchObject({ json: "3", outcome: "miss" });
  });

  it("takes away what is still on its way to the store, also where operations overtake each other", async () => {
    const entries = new Map<string, string>();
    const setting = new Gate();
    let writes = 0;
    const pool: CacheStore = {
      get: async (key) => entries.get(key),
      set: async (key, value) => {
        writes += 1;
        if (writes === 1) await setting.pass();
        entries.set(key, value);
      },
      delete: async (key) => void entries.delete(key),
    };
    const calls = cachedWorker({ store: pool, timeout: "1m" });
    const first = calls.call(1);
    await setting.reached;
    const deleted = [calls.cache.delete(name, 1)];
    // Another run is written in the meantime, and at once.
    expect(await calls.call(1)).toMatchObject({ json: "2", outcome: "miss" });
    let over = false;
    const again = calls.cache.delete(name, 1).then(() => (over = true));
    await nextTurn();
    // It waits for the first one too, which may be the last to arrive.
    expect(over).toBe(false);
    setting.open();
    await Promise.all([first, again, ...deleted]);
    expect(entries.size).toBe(0);
    expect((await calls.call(1)).json).toBe("3");
  });

  it("overwrites the entry, for a minute, in a store that says that there was nothing to delete", async () => {
    const written: unknown[] = [];
    const store: CacheStore = {
      get: () => undefined,
      set: (_, value, ttl) => written.push([value, ttl]),
      delete: async () => false,
    };
    await cachedWorker({ store }).cache.delete(name, 1);
    expect(written).toEqual([["deleted", 60_000]]);
  });

  it("rejects for what is not cached, or has no entry", async () => {
    const calls = cachedWorker({ activity: { ttl: "5m", namespace: ({ tags }) => tags["tenant"] } });
    await expect(calls.cache.delete("other", 1)).rejects.toThrow(TypeError);
    await expect(calls.cache.delete("other", 1)).rejects.toThrow(
      /the activity "other" is not cached; those that are: quote/,
    );
    await expect(calls.cache.delete(name, 1)).rejects.toThrow(
      /has no entry; give the input, version, tags and features/,
    );
    await expect(cachedWorker({}).cache.delete(name, new Map())).rejects.toThrow(TypeError);
  });

  it("rejects where the store fails, and within the timeout where it hangs: the entry may still be there", async () => {
    const closed: CacheStore = {
      get: () => undefined,
      set: () => true,
      delete: () => Promise.reject(new Error("closed")),
    };
    await expect(cachedWorker({ store: closed }).cache.delete(name, 1)).rejects.toThrow(
      /the store failed, so the entry of "quote" may still be there/,
    );
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
    for (let round = 0; round < 2; round += 1) {
      await here.cache.deleteNamespace("acme");
      for (const input of [1, 2, 3]) {
        expect((await there.call(input, of("acme"))).outcome).toBe("miss");
        expect((await there.call(input, of("umbrella"))).outcome).toBe("hit");
      }
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

  it("also reaches a run of this process that makes the namespace's epoch, with a store that can't set a value if there is none", async () => {
    const entries = new Map<string, string>();
    const setting = new Gate();
    let writes = 0;
    const store: CacheStore = {
      get: async (key) => entries.get(key),
      set: async (key, value) => {
        writes += 1;
        // The first one is overtaken.
        if (writes === 1) await setting.pass();
        entries.set(key, value);
      },
      delete: async () => true,
    };
    const calls = cachedWorker({ store, activity, timeout: "1m" });
    const old = calls.call(1, of("acme"));
    await setting.reached;
    await calls.cache.deleteNamespace("acme");
    setting.open();
    expect(await old).toMatchObject({ json: "1", outcome: "miss" });
    expect((await calls.call(1, of("acme"))).json).toBe("2");
  });

  it("is seen by calls that come later in other processes while a run is under way there: they share one anew", async () => {
    const entries = new Map<string, string>();
    const store: CacheStore = {
      get: async (key) => entries.get(key),
      set: async (key, value) => entries.set(key, value),
      delete: async (key) => entries.delete(key),
    };
    const gates = [new Gate(), new Gate()];
    const there = cachedWorker({ store, activity }, async (_, run) => {
      await gates[run - 1]?.pass();
      return run;
    });
    const old = there.call(1, of("acme"));
    await gates[0]?.reached;
    const alsoOld = there.call(1, of("acme"));
    await nextTurn();
    await cachedWorker({ store, activity }).cache.deleteNamespace("acme");
    const later = Array.from({ length: 10 }, () => there.call(1, of("acme")));
    await gates[1]?.reached;
    await nextTurn();
    for (const gate of gates) gate.open();
    expect((await Promise.all([old, alsoOld])).map(({ json }) => json)).toEqual(["1", "1"]);
    const called = await Promise.all(later);
    expect(new Set(called.map(({ json }) => json))).toEqual(new Set(["2"]));
    expect(Map.groupBy(called, ({ outcome }) => outcome).get("coalesced")).toHaveLength(9);
    expect(there.runs).toBe(2);
    expect(await there.call(1, of("acme"))).toMatchObject({ json: "2", outcome: "hit" });
  });

  it("is seen by them too where they would get a stale result", async () => {
    const [runtime, store, gate] = [new TestRuntime(), new Map<string, string>(), new Gate()];
    const stale = { ...activity, staleFor: "1h" };
    const there = cachedWorker({ store, runtime, activity: stale }, async (_, run) => {
      if (run === 2) await gate.pass();
      return run;
    });
    await there.call(1, of("acme"));
    await runtime.advance(301_000);
    const renewing = there.call(1, of("acme"));
    await gate.reached;
    expect((await there.call(1, of("acme"))).outcome).toBe("hit");
    await cachedWorker({ store, runtime, activity: stale }).cache.deleteNamespace("acme");
    expect(await there.call(1, of("acme"))).toMatchObject({ json: "3", outcome: "miss" });
    gate.open();
    expect((await renewing).json).toBe("2");
    // The old run has not taken the new result's place.
    expect(await there.call(1, of("acme"))).toMatchObject({ json: "3", outcome: "hit" });
  });

  it("leaves runs of other namespaces, and of none, to be shared", async () => {
    const gate = new Gate();
    const calls = cachedWorker({ activity }, async () => gate.pass());
    const all = [calls.call(1, of("umbrella"))];
    await gate.reached;
    await calls.cache.deleteNamespace("acme");
    all.push(calls.call(1, of("umbrella")));
    await nextTurn();
    gate.open();
    expect((await Promise.all(all)).map(({ outcome }) => outcome)).toEqual(["miss", "coalesced"]);
  });

  it("an empty string is no namespace: such a call goes past the cache", async () => {
    const calls = cachedWorker({ activity });
    for (let run = 1; run <= 2; run += 1)
      expect(await calls.call(1, of(""))).toMatchObject({ json: String(run), outcome: "bypass" });
  });

  it("C5 calls in a namespace share one run where the store is down", async () => {
    const gate = new Gate();
    const down = (): never => {
      throw new Error("down");
    };
    const calls = cachedWorker({ store: { get: down, set: down, delete: down }, activity }, async () => gate.pass());
    const all = Array.from({ length: 5 }, () => calls.call(1, of("acme")));
    await gate.reached;
    await nextTurn();
    gate.open();
    expect((await Promise.all(all)).map(({ outcome }) => outcome)).toEqual([
      "error",
      ...Array.from({ length: 4 }, () => "coalesced"),
    ]);
  });

  it("C5 they do so too where it goes down while a call runs, which they don't follow", async () => {
    const entries = new Map<string, string>();
    let isDown = false;
    const store: CacheStore = {
      get: async (key) => (isDown ? Promise.reject(new Error("down")) : entries.get(key)),
      set: async (key, value) => void entries.set(key, value),
      delete: async (key) => entries.delete(key),
    };
    const gates = [new Gate(), new Gate()];
    const calls = cachedWorker({ store, activity }, async (_, run) => {
      await gates[run - 1]?.pass();
      return run;
    });
    const before = calls.call(1, of("acme"));
    await gates[0]?.reached;
    isDown = true;
    const all = Array.from({ length: 100 }, () => calls.call(1, of("acme")));
    await gates[1]?.reached;
    await nextTurn();
    for (const gate of gates) gate.open();
    expect((await before).json).toBe("1");
    expect(new Set((await Promise.all(all)).map(({ json }) => json))).toEqual(new Set(["2"]));
  });

  it("C5 calls in a new namespace share one namespace epoch, in a process and between those that start together", async () => {
    const runtime = new TestRuntime();
    const store = new LockingMemory(runtime);
    const [here, there] = [cachedWorker({ runtime, store, activity }), cachedWorker({ runtime, store, activity })];
    const first = await Promise.all(
      [here, there].flatMap((calls, index) => Array.from({ length: 5 }, () => calls.call(index, of("acme")))),
    );
    expect([here.runs, there.runs]).toEqual([1, 1]);
    expect(Map.groupBy(first, ({ outcome }) => outcome).get("miss")).toHaveLength(2);
    for (const [calls, input] of [
      [here, 0],
      [here, 1],
      [there, 0],
      [there, 1],
    ] as const)
      expect((await calls.call(input, of("acme"))).outcome).toBe("hit");
  });

  it("C5 they do so in a process with a store that can't set a value if there is none", async () => {
    const entries = new Map<string, string>();
    const store: CacheStore = {
      get: async (key) => entries.get(key),
      set: async (key, value) => entries.set(key, value),
      delete: async () => true,
    };
    const calls = cachedWorker({ store, activity });
    await Promise.all([1, 1, 2, 2, 3, 3].map((input) => calls.call(input, of("acme"))));
    expect(calls.runs).toBe(3);
    for (const input of [1, 2, 3]) expect((await calls.call(input, of("acme"))).outcome).toBe("hit");
  });

  it("C6 a namespace epoch that is there when it is set, and gone when it is read, is an error", async () => {
    const store: CacheStore = { get: () => undefined, set: () => true, delete: () => true, setIfAbsent: () => false };
    expect(await cachedWorker({ store, activity }).call(1, of("acme"))).toMatchObject({ json: "1", outcome: "error" });
  });

  it("C2 keys are short, however long the names are", async () => {
    const store = new Map<string, string>();
    await cachedWorker({ store, activity }).call("x".repeat(10_000), of("acme".repeat(1_000)));
    for (const key of store.keys()) expect(key).toMatch(/^durable-telemetry:(entry|generation):[\w-]{43}$/);
    expect(store.size).toBe(2);
  });

  it("C4 a namespace epoch outlives the entries of its namespace", async () => {
    const runtime = new TestRuntime();
    const calls = cachedWorker({
      runtime,
      store: new LockingMemory(runtime),
      activity: { ...activity, ttl: "30d", staleFor: "10d" },
    });
    await calls.cache.deleteNamespace("acme");
    await calls.call(1, of("acme"));
    for (let days = 0; days < 29; days += 1) await runtime.advance(86_400_000);
    expect((await calls.call(1, of("acme"))).outcome).toBe("hit");
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
    await expect(cache.deleteNamespace("acme")).rejects.toThrow(
      /the store failed, so entries of "acme" may still be there/,
    );
  });

  it("C6 a namespace whose epoch can't be read or set goes past the store: the outcome is error", async () => {
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
      for (let run = 1; run <= 2; run += 1)
        expect(await calls.call(1, of("acme"))).toMatchObject({ json: String(run), outcome: "error" });
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
  for (const input of [9, 8, 7, 6, 5]) outcomes.push((await small.call(input)).outcome);
  expect(outcomes).toEqual(["hit", "hit", "hit", "hit", "miss"]);
  expect((await small.call(0)).outcome).toBe("miss");
  expect(caching({ activities: {} }).name).toBe("caching");

  const tiny = cachedWorker({ maxBytes: 2_000 }, (input) => "x".repeat(Number(input)));
  // The longest that has room for certain, with its quotes.
  for (const outcome of ["miss", "hit"]) expect((await tiny.call(598)).outcome).toBe(outcome);
  // What has no room at all is not kept, and says so.
  for (let round = 0; round < 2; round += 1) expect((await tiny.call(599)).outcome).toBe("bypass");
});
