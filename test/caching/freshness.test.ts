import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cachedWorker, Gate } from "./calls.ts";
import { TestRuntime } from "./clock.ts";

const minute = 60_000;

describe("The time to live", () => {
  it("C3 ends a result's life to the millisecond, with a store that keeps it for longer", async () => {
    const runtime = new TestRuntime();
    const calls = cachedWorker({ runtime, store: new Map<string, string>() });
    await calls.call(1);
    await runtime.advance(5 * minute - 1);
    expect((await calls.call(1)).outcome).toBe("hit");
    await runtime.advance(1);
    expect(await calls.call(1)).toMatchObject({ json: "2", outcome: "miss" });
  });

  it("C4 is given to the store, in milliseconds", async () => {
    const given: unknown[] = [];
    const store = {
      get: () => undefined,
      set: (_: string, __: string, ttl: number) => given.push(ttl),
      delete: () => true,
    };
    await cachedWorker({ store, activity: { ttl: "1.5s" } }).call(1);
    await cachedWorker({ store, activity: { ttl: "1m", staleFor: "30s" } }).call(1);
    expect(given).toEqual([1_500, 90_000]);
  });

  it("C3 starts when the activity has returned, not when it started", async () => {
    const runtime = new TestRuntime();
    const gate = new Gate();
    const calls = cachedWorker({ runtime }, async (_, run) => {
      await gate.pass();
      return run;
    });
    const first = calls.call(1);
    await gate.reached;
    await runtime.advance(10 * minute);
    gate.open();
    await first;
    await runtime.advance(4 * minute);
    expect((await calls.call(1)).outcome).toBe("hit");
  });

  it("jitter makes it shorter by that fraction at most, and never longer", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (jitter, chance) => {
          const runtime = new TestRuntime();
          runtime.chance = chance;
          const given: number[] = [];
          const store = {
            get: () => undefined,
            set: (_: string, __: string, ttl: number) => given.push(ttl),
            delete: () => true,
          };
          await cachedWorker({ runtime, store, activity: { ttl: 1000, jitter } }).call(1);
          expect(given).toEqual([Math.max(1, Math.round(1000 - 1000 * jitter * chance))]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("jitter lets entries that were created together expire at different times", async () => {
    const runtime = new TestRuntime();
    const calls = cachedWorker({ runtime, activity: { ttl: 1000, jitter: 0.5 } }, (input) => input);
    for (let input = 0; input <= 10; input += 1) {
      runtime.chance = input / 10;
      await calls.call(input);
    }
    const expired: number[] = [];
    for (let time = 50; time <= 1000; time += 50) {
      await runtime.advance(50);
      for (let input = 0; input <= 10; input += 1) {
        if (expired[input] === undefined && (await calls.call(input)).outcome === "miss") expired[input] = time;
      }
    }
    expect(expired).toEqual([1000, 950, 900, 850, 800, 750, 700, 650, 600, 550, 500]);
  });
});

it("C3 a clock that was set back lets no result live on: what has more time left than there is, is a miss", async () => {
  const runtime = new TestRuntime();
  const calls = cachedWorker({ runtime, store: new Map<string, string>() });
  await calls.call(1);
  // Clocks of two machines are never quite the same.
  runtime.setBack = minute;
  expect((await calls.call(1)).outcome).toBe("hit");
  runtime.setBack = minute + 1;
  expect((await calls.call(1)).outcome).toBe("miss");
});

it("C3 a result that takes its time to be kept is shared until it expires, and no longer", async () => {
  const runtime = new TestRuntime();
  const setting = new Gate();
  const store = { get: () => undefined, set: () => setting.pass(), delete: () => true };
  const calls = cachedWorker({ runtime, store, timeout: "1h" });
  const first = calls.call(1);
  await setting.reached;
  await runtime.advance(5 * minute - 1);
  expect(await calls.call(1)).toMatchObject({ json: "1", outcome: "coalesced" });
  await runtime.advance(1);
  const later = calls.call(1);
  setting.open();
  expect([await first, await later]).toMatchObject([{ json: "1" }, { json: "2", outcome: "miss" }]);
});

describe("A stale result", () => {
  const activity = { ttl: "5m", staleFor: "1m" };

  it("C3 is not served after staleFor to those who come while it is renewed: they wait for that", async () => {
    const runtime = new TestRuntime();
    const gate = new Gate();
    const calls = cachedWorker({ runtime, activity }, async (_, run) => {
      if (run === 2) await gate.pass();
      return run;
    });
    await calls.call(1);
    await runtime.advance(5.5 * minute);
    const renewing = calls.call(1);
    await gate.reached;
    await runtime.advance(0.5 * minute - 1);
    expect(await calls.call(1)).toMatchObject({ json: "1", outcome: "hit" });
    await runtime.advance(1);
    const late = calls.call(1);
    gate.open();
    expect([await renewing, await late]).toMatchObject([
      { json: "2", outcome: "miss" },
      { json: "2", outcome: "coalesced" },
    ]);
  });

  it("is served to those who come while one call renews it", async () => {
    const runtime = new TestRuntime();
    const gate = new Gate();
    const calls = cachedWorker({ runtime, activity }, async (_, run) => {
      if (run === 2) await gate.pass();
      return run;
    });
    await calls.call(1);
    await runtime.advance(5.5 * minute);
    const renewing = calls.call(1);
    await gate.reached;
    // They don't wait: the run is still going on.
    for (let call = 0; call < 10; call += 1) expect(await calls.call(1)).toMatchObject({ json: "1", outcome: "hit" });
    gate.open();
    expect(await renewing).toMatchObject({ json: "2", outcome: "miss" });
    expect(await calls.call(1)).toMatchObject({ json: "2", outcome: "hit" });
    expect(calls.runs).toBe(2);
  });

  it("is served to those, too, who came before it was found", async () => {
    const [runtime, gate, entries] = [new TestRuntime(), new Gate(), new Map<string, string>()];
    const store = {
      get: async (key: string) => entries.get(key),
      set: async (key: string, value: string) => entries.set(key, value),
      delete: () => true,
    };
    const calls = cachedWorker({ runtime, activity, store }, async (_, run) => {
      if (run === 2) await gate.pass();
      return run;
    });
    await calls.call(1);
    await runtime.advance(5.5 * minute);
    const [renewing, meanwhile] = [calls.call(1), calls.call(1)];
    expect(await meanwhile).toMatchObject({ json: "1", outcome: "hit" });
    gate.open();
    expect(await renewing).toMatchObject({ json: "2", outcome: "miss" });
  });

  it("is one from the millisecond on in which its time to live ends", async () => {
    const runtime = new TestRuntime();
    const calls = cachedWorker({ runtime, activity });
    await calls.call(1);
    await runtime.advance(5 * minute - 1);
    expect((await calls.call(1)).outcome).toBe("hit");
    await runtime.advance(1);
    expect(await calls.call(1)).toMatchObject({ json: "2", outcome: "miss" });
  });

  it("is not served after staleFor, nor without it", async () => {
    for (const options of [{ runtime: new TestRuntime(), activity }, { runtime: new TestRuntime() }]) {
      const gate = new Gate();
      const calls = cachedWorker({ ...options, store: new Map<string, string>() }, async (_, run) => {
        if (run === 2) await gate.pass();
        return run;
      });
      await calls.call(1);
      await options.runtime.advance(6 * minute);
      const all = [calls.call(1), calls.call(1)];
      await gate.reached;
      gate.open();
      for (const { json } of await Promise.all(all)) expect(json).toBe("2");
    }
  });

  it("stays where renewing fails: the call that renews fails, and the next one renews", async () => {
    const runtime = new TestRuntime();
    const calls = cachedWorker({ runtime, activity }, (_, run) => {
      if (run === 2) throw new Error("down");
      return run;
    });
    await calls.call(1);
    await runtime.advance(5.5 * minute);
    expect(await calls.call(1)).toMatchObject({ failure: "down", outcome: "miss" });
    expect(await calls.call(1)).toMatchObject({ json: "3", outcome: "miss" });
  });
});
