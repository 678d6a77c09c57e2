import { describe, expect, it } from "vitest";
import { cachedWorker, Gate, name, type ActivityFunction, type Calls } from "./calls.ts";
import { TestRuntime } from "./clock.ts";
import { LockingMemory } from "./locking-store.ts";

// Processes stand side by side as workers with caches of their own; redis.test.ts has real ones.

const activity = { ttl: "1h", lockFor: "10s" };

function processes(
  activityFunction: ActivityFunction,
  count = 2,
  own: object = {},
): { runtime: TestRuntime; store: LockingMemory; workers: readonly Calls[] } {
  const runtime = new TestRuntime();
  const store = new LockingMemory(runtime);
  const workers = Array.from({ length: count }, () =>
    cachedWorker({ runtime, store, activity: { ...activity, ...own } }, activityFunction),
  );
  return { runtime, store, workers };
}

const totalRuns = (workers: readonly Calls[]): number => workers.reduce((sum, { runs }) => sum + runs, 0);
const nextTurn = async (): Promise<void> => {
  for (let count = 0; count < 10; count += 1) await new Promise(setImmediate);
};

describe("Coalescing between processes", () => {
  it("C5 runs the activity once in all; the others get its result", async () => {
    const gate = new Gate();
    const { runtime, workers } = processes(async () => {
      await gate.pass();
      return "result";
    }, 4);
    const all = workers.flatMap((worker) => Array.from({ length: 50 }, () => worker.call(1)));
    await gate.reached;
    await nextTurn();
    gate.open();
    await nextTurn();
    await runtime.advance(300);
    const called = await Promise.all(all);
    expect(totalRuns(workers)).toBe(1);
    expect(new Set(called.map(({ json }) => json))).toEqual(new Set(['"result"']));
    const outcomes = Map.groupBy(called, ({ outcome }) => outcome);
    expect([outcomes.get("miss")?.length, outcomes.get("coalesced")?.length]).toEqual([1, 199]);
    expect(runtime.timers).toBe(0);
  });

  it("C5 goes on when the holder dies: when its lock has gone, one of the others runs it, and one only", async () => {
    const died = new Gate();
    const { runtime, workers } = processes(
      (_, run, { orchestrationId }) => (orchestrationId === "instance-1" && run === 1 && holder ? died.pass() : "heir"),
      4,
    );
    let holder = true;
    void workers[0]?.call(1);
    await died.reached;
    holder = false;
    const others = workers.slice(1).map((worker) => worker.call(1));
    await nextTurn();
    await runtime.advance(9_500);
    expect(totalRuns(workers)).toBe(1);
    await runtime.advance(2_000);
    for (const { json } of await Promise.all(others)) expect(json).toBe('"heir"');
    expect(totalRuns(workers)).toBe(2);
  });

  it("C5 never waits for longer than twice the lock's time, whoever holds it: then the activity runs", async () => {
    const { runtime, store, workers } = processes(() => "own", 1);
    // Somebody takes the lock anew each time.
    store.setIfAbsent = async () => false;
    const called = workers[0]?.call(1);
    await nextTurn();
    await runtime.advance(19_900);
    expect(totalRuns(workers)).toBe(0);
    await runtime.advance(400);
    expect(await called).toEqual({ json: '"own"', failure: undefined, outcome: "miss" });
  });

  it("C5 gives the lock to the next one at once where the run failed", async () => {
    const gate = new Gate();
    let fail = true;
    const { runtime, workers } = processes(async () => {
      if (!fail) return "second";
      fail = false;
      await gate.pass();
      throw new Error("down");
    });
    const [first, second] = workers.map((worker) => worker.call(1));
    await gate.reached;
    await nextTurn();
    gate.open();
    await nextTurn();
    await runtime.advance(300);
    const called = [await first, await second];
    expect(new Set(called.map((each) => each?.failure ?? each?.json))).toEqual(new Set(['"second"', "down"]));
    expect(totalRuns(workers)).toBe(2);
  });

  it("C5 a holder whose time was up does not take the lock of the next one away", async () => {
    const gate = new Gate();
    const later = new Gate();
    let runs = 0;
    const { runtime, store, workers } = processes(async () => {
      runs += 1;
      await (runs === 1 ? gate.pass() : later.pass());
      return "result";
    });
    const slow = workers[0]?.call(1);
    await gate.reached;
    await runtime.advance(10_001);
    const next = workers[1]?.call(1);
    await later.reached;
    gate.open();
    await slow;
    await nextTurn();
    expect([...store.values.keys()].filter((key) => key.endsWith(":lock"))).toHaveLength(1);
    later.open();
    await next;
    await nextTurn();
    expect([...store.values.keys()].filter((key) => key.endsWith(":lock"))).toHaveLength(0);
  });

  it("C5 finds a result that came between the look-up and the lock", async () => {
    const { store, workers } = processes(() => "result");
    const take = store.setIfAbsent.bind(store);
    let raced = false;
    store.setIfAbsent = async (key, value, ttl) => {
      if (!raced) {
        raced = true;
        await workers[1]?.call(1);
      }
      return take(key, value, ttl);
    };
    expect(await workers[0]?.call(1)).toMatchObject({ json: '"result"', outcome: "hit" });
    expect(totalRuns(workers)).toBe(1);
  });

  it("serves a stale result while another process renews it", async () => {
    const gate = new Gate();
    let runs = 0;
    const { runtime, workers } = processes(
      async () => {
        runs += 1;
        if (runs === 2) await gate.pass();
        return runs;
      },
      2,
      { staleFor: "1h" },
    );
    await workers[0]?.call(1);
    await nextTurn();
    await runtime.advance(3_600_001);
    const renewing = workers[0]?.call(1);
    await gate.reached;
    expect(await workers[1]?.call(1)).toMatchObject({ json: "1", outcome: "hit" });
    gate.open();
    expect(await renewing).toMatchObject({ json: "2", outcome: "miss" });
  });

  it("C3 without staleFor serves no result that has expired, not even in the millisecond when it does", async () => {
    const { runtime, store, workers } = processes(() => "own");
    await workers[0]?.call(1);
    await nextTurn();
    // Redis, too, may keep an entry for longer.
    const [[key, entry] = ["", undefined]] = store.values;
    await runtime.advance(3_600_000);
    store.values.set(key, { value: entry?.value ?? "", until: Infinity });
    store.setIfAbsent = async () => false;
    const late = workers[1]?.call(1);
    await nextTurn();
    await runtime.advance(21_000);
    expect((await late)?.outcome).toBe("miss");
  });

  it.each<[what: string, fault: () => Promise<boolean>]>([
    [
      "throws",
      async () => {
        throw new Error("down");
      },
    ],
    ["answers as Redis does", async () => "OK" as unknown as boolean],
  ])("C6 a lock that fails lets the activity run; the outcome is error: it %s", async (_, fault) => {
    const { store, workers } = processes(() => "own", 1);
    store.setIfAbsent = fault;
    expect(await workers[0]?.call(1)).toMatchObject({ json: '"own"', outcome: "error" });
  });

  it("C6 a malformed answer to a lock costs the lock, and nothing else: the result is kept", async () => {
    const { store, workers } = processes(() => "own", 1);
    store.setIfAbsent = async () => "OK" as unknown as boolean;
    expect([(await workers[0]?.call(1))?.outcome, (await workers[0]?.call(1))?.outcome]).toEqual(["error", "hit"]);
  });

  it("C6 a lock that was set but answered too late is not left to others to wait for", async () => {
    const { runtime, store, workers } = processes(() => "own");
    const take = store.setIfAbsent.bind(store);
    store.setIfAbsent = async (...lock) => {
      await take(...lock);
      return new Promise(() => undefined);
    };
    const first = workers[0]?.call(1);
    await runtime.waiting();
    await nextTurn();
    await runtime.advance(250);
    expect((await first)?.outcome).toBe("error");
    await nextTurn();
    store.setIfAbsent = take;
    // At once: no timer has to go off.
    expect((await workers[1]?.call(1))?.outcome).toBe("miss");
  });

  it("C5 gives the lock back where it found a result in the end", async () => {
    const { store, workers } = processes(() => "result");
    const take = store.setIfAbsent.bind(store);
    store.setIfAbsent = async (...lock) => {
      store.setIfAbsent = take;
      await workers[1]?.call(1);
      return take(...lock);
    };
    expect((await workers[0]?.call(1))?.outcome).toBe("hit");
    await nextTurn();
    expect([...store.values.keys()].filter((key) => key.endsWith(":lock"))).toEqual([]);
  });

  it("C5 looks for the result less and less often, four times a second in the end, and for twice the lock's time at most", async () => {
    const { runtime, store, workers } = processes(() => "own", 1);
    const begin = runtime.elapsed();
    const times: number[] = [];
    store.setIfAbsent = async () => {
      times.push(runtime.elapsed() - begin);
      return false;
    };
    const called = workers[0]?.call(1);
    await nextTurn();
    await runtime.advance(30_000);
    expect((await called)?.outcome).toBe("miss");
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(pauses.slice(0, 6)).toEqual([20, 40, 80, 160, 250, 250]);
    expect(Math.max(...pauses)).toBe(250);
    expect(times.at(-1)).toBe(20_000);
  });

  it("C6 a store that breaks while a call waits for the lock lets the activity run", async () => {
    const { runtime, store, workers } = processes(() => "own", 1);
    store.setIfAbsent = async () => false;
    const called = workers[0]?.call(1);
    await nextTurn();
    store.get = async () => Promise.reject(new Error("down"));
    await runtime.advance(20);
    expect(await called).toEqual({ json: '"own"', failure: undefined, outcome: "error" });
  });

  it("C6 a lock that can't be given back changes nothing", async () => {
    const { store, workers } = processes(() => "own", 1);
    store.deleteIfEqual = async () => Promise.reject(new Error("down"));
    expect(await workers[0]?.call(1)).toMatchObject({ json: '"own"', outcome: "miss" });
    expect(await workers[0]?.call(1)).toMatchObject({ json: '"own"', outcome: "hit" });
  });

  it("C5 who gets the lock after waiting renews what went stale meanwhile, and gives the lock back", async () => {
    const gate = new Gate();
    const { runtime, store, workers } = processes(
      async (input) => {
        await gate.pass();
        return input;
      },
      2,
      { ttl: 10, staleFor: "1h" },
    );
    const [first, second] = workers.map((worker) => worker.call(1));
    await gate.reached;
    await nextTurn();
    gate.open();
    expect((await first)?.outcome).toBe("miss");
    await runtime.advance(20);
    expect((await second)?.outcome).toBe("miss");
    expect(totalRuns(workers)).toBe(2);
    await nextTurn();
    expect([...store.values.keys()].filter((key) => key.endsWith(":lock"))).toEqual([]);
  });

  it.each<[where: string, worker: 0 | 1]>([
    ["the process of", 0],
    ["another process than", 1],
  ])(
    "C5 nobody waits for a run from before its namespace was invalidated, in %s the one that runs it",
    async (_, later) => {
      const gate = new Gate();
      let runs = 0;
      const { workers } = processes(
        async () => {
          runs += 1;
          const run = runs;
          if (run === 1) await gate.pass();
          return run;
        },
        2,
        { namespace: "prices" },
      );
      const old = workers[0]?.call(1);
      await gate.reached;
      await workers[1]?.cache.deleteNamespace("prices");
      // At once: no timer has to go off.
      expect(await workers[later]?.call(1)).toMatchObject({ json: "2", outcome: "miss" });
      gate.open();
      expect((await old)?.json).toBe("1");
      expect((await workers[later]?.call(1))?.json).not.toBe("1");
    },
  );

  it("C5 calls with other inputs don't wait for each other", async () => {
    const gate = new Gate();
    const { workers } = processes(async (input) => {
      if (input === 1) await gate.pass();
      return input;
    });
    const held = workers[0]?.call(1);
    await gate.reached;
    // At once: no timer has to go off.
    expect(await workers[1]?.call(2)).toMatchObject({ json: "2", outcome: "miss" });
    gate.open();
    expect((await held)?.json).toBe("1");
  });

  it("C5 nobody waits for a run from before its entry was deleted in its process", async () => {
    const gate = new Gate();
    let runs = 0;
    const { workers } = processes(async () => {
      runs += 1;
      const run = runs;
      if (run === 1) await gate.pass();
      return run;
    });
    const old = workers[0]?.call(1);
    await gate.reached;
    await workers[0]?.cache.delete(name, 1);
    expect(await workers[1]?.call(1)).toMatchObject({ json: "2", outcome: "miss" });
    gate.open();
    expect((await old)?.json).toBe("1");
    expect(await workers[0]?.call(1)).toMatchObject({ json: "2", outcome: "hit" });
  });

  it("C5 nobody waits for one that still waited for the lock then, either", async () => {
    const gates = [new Gate(), new Gate()];
    let runs = 0;
    const { runtime, workers } = processes(async () => {
      runs += 1;
      const run = runs;
      await gates[run - 1]?.pass();
      if (run === 1) throw new Error("down");
      return run;
    });
    const holder = workers[0]?.call(1);
    await gates[0]?.reached;
    const old = workers[1]?.call(1);
    await nextTurn();
    await workers[1]?.cache.delete(name, 1);
    const later = workers[1]?.call(1);
    await nextTurn();
    gates[0]?.open();
    await holder;
    await runtime.advance(250);
    expect(await later).toMatchObject({ json: "3", outcome: "miss" });
    gates[1]?.open();
    expect((await old)?.json).toBe("2");
  });

  it("C6 a store that can't be read is not asked for a lock", async () => {
    const { store, workers } = processes(() => "own", 1);
    store.get = async () => Promise.reject(new Error("down"));
    expect((await workers[0]?.call(1))?.outcome).toBe("error");
    expect(store.operations).toEqual([]);
  });

  it("C5 takes no lock for a hit, nor without lockFor", async () => {
    const { store, workers } = processes(() => "own", 1);
    await workers[0]?.call(1);
    await nextTurn();
    store.operations.length = 0;
    await workers[0]?.call(1);
    expect(store.operations).toEqual(["get"]);
    const plain = cachedWorker({ runtime: new TestRuntime(), store });
    await plain.call(2);
    expect(store.operations).toEqual(["get", "get", "set"]);
  });
});
