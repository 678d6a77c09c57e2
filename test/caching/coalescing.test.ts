import { describe, expect, it } from "vitest";
import type { MiddlewareObject } from "../../src/index.ts";
import { encode } from "../../middlewares/caching/envelope.ts";
import type { CacheStore } from "../../middlewares/index.ts";
import { cachedWorker, Gate, name } from "./calls.ts";
import { TestRuntime } from "./clock.ts";

const nextTurn = async (): Promise<void> => {
  for (let count = 0; count < 20; count += 1) await new Promise(setImmediate);
};

describe("Calls that wait for a run", () => {
  it.each([false, true])(
    "C5 share one after an invalidation, also when the run from before it ends meanwhile (it fails: %s)",
    async (fails) => {
      const gates = [new Gate(), new Gate()];
      const calls = cachedWorker({}, async (_, run) => {
        await gates[run - 1]?.pass();
        if (run === 1 && fails) throw new Error("down");
        return run;
      });
      const before = calls.call(1);
      await gates[0]?.reached;
      await calls.cache.delete(name, 1);
      const second = calls.call(1);
      await gates[1]?.reached;
      gates[0]?.open();
      expect(await before).toMatchObject({ failure: fails ? "down" : undefined, outcome: "miss" });
      const third = calls.call(1);
      await nextTurn();
      gates[1]?.open();
      expect([await second, await third]).toMatchObject([
        { json: "2", outcome: "miss" },
        { json: "2", outcome: "coalesced" },
      ]);
      expect(calls.runs).toBe(2);
    },
  );

  it("C5 are counted as coalesced also where it fails", async () => {
    const gate = new Gate();
    const calls = cachedWorker({}, async () => {
      await gate.pass();
      throw new Error("down");
    });
    const all = Array.from({ length: 3 }, () => calls.call(1));
    await gate.reached;
    await nextTurn();
    gate.open();
    expect((await Promise.all(all)).map(({ outcome }) => outcome)).toEqual(["miss", "coalesced", "coalesced"]);
  });

  it("C3 have a result of their own: what middleware does to one of them, the others don't see", async () => {
    const gate = new Gate();
    const marking: MiddlewareObject = {
      name: "marking",
      activity: async (ctx, next) => {
        await next(ctx);
        (ctx.result as unknown[]).push(ctx.taskId);
      },
    };
    const calls = cachedWorker({ use: [marking] }, async () => {
      await gate.pass();
      return [];
    });
    const all = Array.from({ length: 3 }, () => calls.call(1));
    await gate.reached;
    await nextTurn();
    gate.open();
    expect((await Promise.all(all)).map(({ json }) => json)).toEqual(["[1]", "[2]", "[3]"]);
    expect((await calls.call(1)).json).toBe("[4]");
  });

  it.each([undefined, "prices"])(
    "C5 don't wait for ever where the cache itself has a fault (in the namespace %s)",
    async (namespace) => {
      const gate = new Gate();
      const runtime = new TestRuntime();
      const store: CacheStore = {
        get: async (key) => {
          if (key.includes("generation")) return "first";
          await gate.pass();
          // Nothing of the store's or the options' can do it.
          runtime.now = () => {
            throw new Error("a bug");
          };
          return encode({ key, epoch: namespace === undefined ? "" : "first", expires: 0 }, "1");
        },
        set: () => true,
        delete: () => true,
      };
      const calls = cachedWorker({
        store,
        runtime,
        activity: { ttl: "5m", ...(namespace !== undefined && { namespace }) },
      });
      const all = Array.from({ length: 3 }, () => calls.call(1));
      await gate.reached;
      await nextTurn();
      gate.open();
      expect((await Promise.all(all)).map(({ failure }) => failure)).toContain("a bug");
    },
  );

  it("C5 get the result also where middleware outside of it fails the call that they wait for", async () => {
    const gate = new Gate();
    const refusing: MiddlewareObject = {
      name: "refusing",
      activity: async (ctx, next) => {
        await next(ctx);
        if (ctx.taskId === 1) throw new Error("refused");
      },
    };
    const calls = cachedWorker({ use: [refusing] }, async () => {
      await gate.pass();
      return "result";
    });
    const all = [calls.call(1), calls.call(1)];
    await gate.reached;
    await nextTurn();
    gate.open();
    expect((await Promise.all(all)).map(({ failure, json }) => failure ?? json)).toEqual(["refused", '"result"']);
    expect((await calls.call(1)).outcome).toBe("hit");
  });
});
