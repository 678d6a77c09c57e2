import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { describe, expect, it } from "vitest";
import { caching } from "../../middlewares/index.ts";
import type { MiddlewareObject } from "../../src/index.ts";
import { startHub, type Steps } from "../harness.ts";
import { cachedWorker, Gate, name } from "./calls.ts";

describe("Which activities are cached", () => {
  it("C1 only those that are named, and no orchestration", async () => {
    const hub = await startHub();
    const ran: string[] = [];
    const worker = await hub.worker({ caching: { activities: { named: { ttl: "5m" } } } }, (own) => {
      for (const activity of ["named", "other"]) own.addNamedActivity(activity, () => void ran.push(activity));
      own.addNamedOrchestrator("twice", async function* (ctx: OrchestrationContext): Steps<void> {
        if (!ctx.isReplaying) ran.push("orchestrator");
        for (const activity of ["named", "named", "other", "other"]) yield ctx.callActivity(activity, 1);
      });
    });
    expect(worker.middlewares).toContain("caching");
    expect(caching({ activities: {} }).orchestration).toBeUndefined();
    await hub.run("twice");
    await hub.run("twice");
    expect(ran).toEqual(["orchestrator", "named", "other", "other", "orchestrator", "other", "other"]);
  });

  it("C1 none where the option is not given", async () => {
    const hub = await startHub();
    const worker = await hub.worker({}, () => undefined);
    expect(worker.middlewares).not.toContain("caching");
  });

  it("R6 the cache is the innermost by default, so that guards see hits", async () => {
    const hub = await startHub();
    const guarded: unknown[] = [];
    const guard: MiddlewareObject = {
      name: "guard",
      activity: async (ctx, next) => {
        await next(ctx);
        guarded.push(ctx.result);
      },
    };
    const worker = await hub.worker({ use: [guard], caching: { activities: { quote: { ttl: "5m" } } } }, (own) => {
      own.addNamedActivity("quote", (_: ActivityContext, symbol: string) => `${symbol} 42`);
      own.addNamedOrchestrator("ask", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("quote", "ACME");
      });
    });
    expect(worker.middlewares).toEqual(["tracing", "metrics", "logging", "guard", "caching"]);
    await hub.run("ask");
    await hub.run("ask");
    expect(guarded).toEqual(["ACME 42", "ACME 42"]);
  });
});

describe("A second call", () => {
  it("C2 with the same input does not run the activity again, whatever the order of the members", async () => {
    const calls = cachedWorker({});
    expect(await calls.callRaw('{"a":1,"b":[{"c":2,"d":3}]}')).toEqual({
      json: "1",
      failure: undefined,
      outcome: "miss",
    });
    expect(await calls.callRaw('{ "b": [{"d": 3.0, "c": 2e0}], "a": 1 }')).toEqual({
      json: "1",
      failure: undefined,
      outcome: "hit",
    });
    expect(calls.runs).toBe(1);
  });

  it.each<[what: string, first: string, second: string]>([
    ["another order of elements", "[1,2]", "[2,1]"],
    ["null in place of nothing", "", "null"],
    ["a string in place of a number", "1", '"1"'],
    ["an empty object in place of an empty array", "{}", "[]"],
    ["one lone surrogate in place of another", '"\\ud800"', '"\\ud801"'],
    ["a lone surrogate in place of the replacement character", '"\\ud800"', '"\\ufffd"'],
    ["a member named __proto__", '{"__proto__":1}', "{}"],
    ["a string composed in another way", '"\\u00e9"', '"e\\u0301"'],
  ])("C2 with another input does: %s", async (_, first, second) => {
    const calls = cachedWorker({});
    await calls.callRaw(first);
    expect((await calls.callRaw(second)).outcome).toBe("miss");
    expect((await calls.callRaw(first)).outcome).toBe("hit");
    expect(calls.runs).toBe(2);
  });

  it("C2 of another version does", async () => {
    const calls = cachedWorker({});
    for (const version of ["1", "2", undefined]) expect((await calls.call(7, { version })).outcome).toBe("miss");
    expect((await calls.call(7, { version: "1" })).outcome).toBe("hit");
  });

  it("C2 of another activity does, with a store that both share", async () => {
    const store = new Map<string, string>();
    const options = { ttl: "5m" };
    const cache = caching({ activities: { a: options, b: options }, store });
    const hub = await startHub();
    await hub.worker({ caching: cache }, (worker) => {
      for (const activity of ["a", "b"]) worker.addNamedActivity(activity, () => activity);
      worker.addNamedOrchestrator("both", async function* (ctx: OrchestrationContext): Steps {
        return [yield ctx.callActivity("a", 1), yield ctx.callActivity("b", 1)];
      });
    });
    expect((await hub.run("both")).serializedOutput).toBe('["a","b"]');
    expect(store.size).toBe(2);
  });

  it("C2 with another `version` in the options does, so that changed code starts afresh", async () => {
    const store = new Map<string, string>();
    await cachedWorker({ store, activity: { ttl: "5m", version: "1" } }).call(7);
    expect((await cachedWorker({ store, activity: { ttl: "5m", version: "2" } }).call(7)).outcome).toBe("miss");
    expect((await cachedWorker({ store, activity: { ttl: "5m", version: "1" } }).call(7)).outcome).toBe("hit");
  });

  it("C2 two tenants share no entry under namespaces of their own, and one without a name goes past the cache", async () => {
    const calls = cachedWorker({ activity: { ttl: "5m", namespace: ({ tags }) => tags["tenant"] } });
    const ofTenant = async (tenant: string): Promise<unknown> => (await calls.call(7, { tags: { tenant } })).outcome;
    expect([await ofTenant("acme"), await ofTenant("umbrella"), await ofTenant("acme")]).toEqual([
      "miss",
      "miss",
      "hit",
    ]);
    expect((await calls.call(7)).outcome).toBe("bypass");
    expect((await calls.call(7)).outcome).toBe("bypass");
  });

  it("C2 shares an entry where `key` says so, and goes past the cache where it does not know", async () => {
    const calls = cachedWorker({ activity: { ttl: "5m", key: ({ input }) => (input as { symbol?: string }).symbol } });
    expect((await calls.call({ symbol: "ACME", at: 1 })).outcome).toBe("miss");
    expect((await calls.call({ symbol: "ACME", at: 2 })).outcome).toBe("hit");
    expect((await calls.call({ at: 3 })).outcome).toBe("bypass");
    expect((await calls.call({ at: 3 })).outcome).toBe("bypass");
  });

  it("C2 does not take a key for an input that looks the same", async () => {
    const store = new Map<string, string>();
    await cachedWorker({ store }).call("ACME");
    expect((await cachedWorker({ store, activity: { ttl: "5m", key: () => "ACME" } }).call("ACME")).outcome).toBe(
      "miss",
    );
  });
});

describe("A hit", () => {
  const dated = { at: new Date(0), kept: undefined, nested: [undefined, Number.NaN, -0], map: new Map([[1, 2]]) };
  it.each<[what: string, result: unknown]>([
    ["undefined", undefined],
    ["null", null],
    ["0", 0],
    ["an empty string", ""],
    ["false", false],
    ["a function, which has no JSON", () => 1],
    ["what JSON changes", dated],
    ["what says itself what its JSON is", { toJSON: () => ["own"] }],
    ["a toJSON that says nothing", { toJSON: () => undefined }],
    ["a member named __proto__", JSON.parse('{"__proto__":{"a":1},"constructor":2}')],
    ["members that count up", { 10: "a", 9: "b", x: 1, 1: "c" }],
    ["lone surrogates", ["\ud800", "\udfff\ud800", "\u2028"]],
    ["extreme numbers", [Number.MAX_VALUE, Number.MIN_VALUE, 0.1 + 0.2, 1e21, -1e-7]],
  ])("C3 returns what the activity would have returned: %s", async (_, result) => {
    const calls = cachedWorker({}, () => result);
    const first = await calls.call(1);
    expect(first.outcome).toBe("miss");
    expect(await calls.call(1)).toEqual({ ...first, outcome: "hit" });
    expect(calls.runs).toBe(1);
  });

  it("C3 is a value of its own: what middleware does to it, the next hit does not see", async () => {
    const spoiler: MiddlewareObject = {
      name: "spoiler",
      activity: async (ctx, next) => {
        await next(ctx);
        (ctx.result as unknown[]).push("spoilt");
      },
    };
    const calls = cachedWorker({ use: [spoiler] }, () => ["fresh"]);
    for (let round = 0; round < 3; round += 1) expect((await calls.call(1)).json).toBe('["fresh","spoilt"]');
    expect(calls.runs).toBe(1);
  });

  it("C3 is there at once where the store answers at once: nothing waits, and nobody can come between", async () => {
    const returned: unknown[] = [];
    const cache = caching({ activities: { [name]: { ttl: "5m" } } });
    const direct: MiddlewareObject = {
      name: "direct",
      activity: (ctx, next) => {
        const answer = cache.activity(ctx, next);
        returned.push(answer);
        return answer;
      },
    };
    const calls = cachedWorker({ use: [direct] });
    for (let round = 0; round < 2; round += 1) expect((await calls.call(1)).json).toBe("1");
    expect(returned).toEqual([expect.any(Promise), undefined]);
  });

  it("C3 is one also where several calls waited for one look-up", async () => {
    const spoiler: MiddlewareObject = {
      name: "spoiler",
      activity: async (ctx, next) => {
        await next(ctx);
        (ctx.result as unknown[]).push("spoilt");
      },
    };
    const entries = new Map<string, string>();
    const store = {
      get: async (key: string) => entries.get(key),
      set: async (key: string, value: string) => entries.set(key, value),
      delete: async (key: string) => entries.delete(key),
    };
    const calls = cachedWorker({ store, use: [spoiler] }, () => ["fresh"]);
    await calls.call(1);
    for (const { json, outcome } of await Promise.all([calls.call(1), calls.call(1), calls.call(1)])) {
      expect([json, outcome]).toEqual(['["fresh","spoilt"]', "hit"]);
    }
  });

  it("C3 is not there for a result whose JSON a value can't have again", async () => {
    const { rawJSON } = JSON as unknown as { readonly rawJSON: (this: void, text: string) => unknown };
    const calls = cachedWorker({}, () => rawJSON("12345678901234567890123"));
    for (let round = 0; round < 2; round += 1) {
      expect(await calls.call(1)).toEqual({ json: "12345678901234567890123", failure: undefined, outcome: "bypass" });
    }
    expect(calls.runs).toBe(2);
  });

  it("C3 is not there for a promise that middleware inside set as the result", async () => {
    const promising: MiddlewareObject = {
      name: "promising",
      activity: async (ctx, next) => {
        await next(ctx);
        ctx.setResult(Promise.resolve("kept"));
      },
    };
    const inside = caching({ activities: { [name]: { ttl: "5m" } } });
    const outside: MiddlewareObject = { name: "outside", activity: inside.activity };
    const calls = cachedWorker({ use: [outside, promising] });
    for (let round = 0; round < 2; round += 1) expect((await calls.call(round)).json).toBe('"kept"');
    expect((await calls.call(0)).json).toBe('"kept"');
  });

  it("C2 is found under the input that the activity would see, which middleware may have changed", async () => {
    const editor: MiddlewareObject = {
      name: "editor",
      activity: async (ctx, next) => {
        (ctx.input as { tenant: unknown }).tenant = ctx.tags["tenant"];
        await next(ctx);
      },
    };
    const calls = cachedWorker({ use: [editor] }, (input) => input);
    expect((await calls.call({ tenant: "?" }, { tags: { tenant: "a" } })).json).toBe('{"tenant":"a"}');
    expect((await calls.call({ tenant: "?" }, { tags: { tenant: "b" } })).json).toBe('{"tenant":"b"}');
    expect((await calls.call({ tenant: "a" }, { tags: { tenant: "a" } })).outcome).toBe("hit");
  });
});

describe("Concurrent identical calls", () => {
  it("C5 run the activity once, be there 1,000 of them, and each gets a result of its own", async () => {
    const gate = new Gate();
    const calls = cachedWorker({}, async () => {
      await gate.pass();
      return { price: 42 };
    });
    const all = Array.from({ length: 1000 }, () => calls.call({ symbol: "ACME" }));
    await gate.reached;
    gate.open();
    const called = await Promise.all(all);
    expect(calls.runs).toBe(1);
    expect(new Set(called.map(({ json }) => json))).toEqual(new Set(['{"price":42}']));
    expect(Map.groupBy(called, ({ outcome }) => outcome).get("coalesced")).toHaveLength(999);
    expect((await calls.call({ symbol: "ACME" })).outcome).toBe("hit");
  });

  it("C5 share a failure, which later calls don't see", async () => {
    const gate = new Gate();
    const calls = cachedWorker({}, async (_, run) => {
      if (run > 1) return "ok";
      await gate.pass();
      throw new RangeError("down");
    });
    const all = Array.from({ length: 10 }, () => calls.call(1));
    await gate.reached;
    gate.open();
    for (const { failure } of await Promise.all(all)) expect(failure).toBe("down");
    expect(calls.runs).toBe(1);
    expect(await calls.call(1)).toEqual({ json: '"ok"', failure: undefined, outcome: "miss" });
  });

  it("C5 share the failure of one that ran, also where middleware inside broke a rule", async () => {
    const gate = new Gate();
    const twice: MiddlewareObject = {
      name: "twice",
      activity: async (ctx, next) => {
        await next(ctx);
        await next(ctx);
      },
    };
    const calls = cachedWorker({ inside: [twice] }, () => gate.pass());
    const all = Array.from({ length: 10 }, () => calls.call(1));
    await gate.reached;
    gate.open();
    for (const { failure } of await Promise.all(all)) expect(failure).toContain('Middleware "twice" broke rule A1');
    expect(calls.runs).toBe(1);
  });

  it.each([
    [
      "one runs in place of one that was given up before it could run",
      1,
      ["miss", ...Array<string>(9).fill("coalesced")],
    ],
    ["each runs for itself where the one in its place was given up, too", 2, Array<string>(9).fill("bypass")],
  ])("C5 %s", async (_, late, outcomes) => {
    const answers = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    let asked = 0;
    const store = {
      get: () => answers[(asked += 1) - 1]?.promise,
      set: () => true,
      delete: () => true,
    };
    const isLate = new Gate();
    let started = 0;
    const timeLimit: MiddlewareObject = {
      name: "time limit",
      activity: async (ctx, next) => {
        started += 1;
        const tooLate = started > late ? [] : [isLate.pass().then(() => Promise.reject(new Error("too slow")))];
        await Promise.race([next(ctx), ...tooLate]);
      },
    };
    const gate = new Gate();
    const cached = cachedWorker({ store, timeout: "1m", use: [timeLimit] }, async (_input, run) => {
      await gate.pass();
      return run;
    });
    const given = Array.from({ length: late }, () => cached.call(1));
    const waiting = Array.from({ length: outcomes.length }, () => cached.call(1));
    isLate.open();
    for (const { failure } of await Promise.all(given)) expect(failure).toBe("too slow");
    for (const { resolve } of answers) resolve(undefined);
    await gate.reached;
    gate.open();
    expect((await Promise.all(waiting)).map(({ outcome }) => outcome)).toEqual(outcomes);
    expect(cached.runs).toBe(late === 1 ? 1 : outcomes.length);
  });

  it("C5 run each for itself where the result can't be shared", async () => {
    const gate = new Gate();
    const calls = cachedWorker({}, async () => {
      await gate.pass();
      return 1n;
    });
    const all = Array.from({ length: 3 }, () => calls.call(1));
    await gate.reached;
    gate.open();
    for (const { failure, outcome } of await Promise.all(all)) {
      expect(failure).toContain("BigInt");
      expect(outcome).toBe("bypass");
    }
    expect(calls.runs).toBe(3);
  });

  it("C5 wait for one look-up, with a store that takes its time", async () => {
    const gate = new Gate();
    let asked = 0;
    const store = new Map<string, string>();
    const slow = {
      set: (key: string, value: string) => store.set(key, value),
      delete: (key: string) => store.delete(key),
      async get(key: string) {
        asked += 1;
        await gate.pass();
        return store.get(key);
      },
    };
    const calls = cachedWorker({ store: slow, timeout: "1m" });
    const all = Array.from({ length: 5 }, () => calls.call(1));
    await gate.reached;
    gate.open();
    await Promise.all(all);
    expect([asked, calls.runs]).toEqual([1, 1]);
  });

  it("C5 with other inputs don't wait for each other", async () => {
    const gate = new Gate();
    const calls = cachedWorker({}, async (input) => {
      if (input === 1) await gate.pass();
      return input;
    });
    const held = calls.call(1);
    await gate.reached;
    expect((await calls.call(2)).outcome).toBe("miss");
    gate.open();
    expect((await held).json).toBe("1");
  });
});

describe("shouldCache", () => {
  it("keeps what it returns true for, and gets the result as a hit would have it", async () => {
    const seen: unknown[] = [];
    const shouldCache = (result: unknown): boolean => {
      seen.push(result);
      return (result as { ok: boolean }).ok;
    };
    const calls = cachedWorker({ activity: { ttl: "5m", shouldCache } }, (_, run) => ({
      ok: run > 1,
      at: new Date(0),
    }));
    const outcomes: unknown[] = [];
    for (let round = 0; round < 3; round += 1) outcomes.push((await calls.call(1)).outcome);
    expect(outcomes).toEqual(["miss", "miss", "hit"]);
    expect(seen).toEqual([false, true].map((ok) => ({ ok, at: "1970-01-01T00:00:00.000Z" })));
  });
});

it("C2 and C4 workers share entries through a store, and not without one", async () => {
  const store = new Map<string, string>();
  await cachedWorker({ store }).call(1);
  expect((await cachedWorker({ store }).call(1)).outcome).toBe("hit");
  expect((await cachedWorker({}).call(1)).outcome).toBe("miss");
});
