import { describe, expect, it } from "vitest";
import { Circuit } from "../../middlewares/caching/circuit.ts";
import { cachedWorker } from "./calls.ts";

/** A circuit, and the time it goes by. */
function circuitAt(): {
  readonly circuit: Circuit;
  readonly fail: (times: number) => void;
  readonly wait: (duration: number) => void;
} {
  let now = 0;
  const circuit = new Circuit(() => now);
  const fail = (times: number): void => {
    for (let count = 0; count < times; count += 1) {
      expect(circuit.admit()).toBe(true);
      circuit.failed();
    }
  };
  return { circuit, fail, wait: (duration) => void (now += duration) };
}

describe("The circuit breaker of a store", () => {
  it("C6 stays closed after four consecutive failures, and after each success counts anew", () => {
    const { circuit, fail } = circuitAt();
    for (let round = 0; round < 3; round += 1) {
      fail(4);
      expect(circuit.admit()).toBe(true);
      circuit.succeeded();
    }
  });

  it("C6 opens for twice as long after each failed attempt, for half a minute at most", () => {
    const { circuit, fail, wait } = circuitAt();
    fail(5);
    for (const pause of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      wait(pause - 1);
      expect(circuit.admit()).toBe(false);
      wait(1);
      fail(1);
    }
  });

  it("C6 lets one operation through, until its result is known", () => {
    const { circuit, fail, wait } = circuitAt();
    fail(5);
    wait(60_000);
    expect([circuit.admit(), circuit.admit(), circuit.admit()]).toEqual([true, false, false]);
    circuit.succeeded();
    expect([circuit.admit(), circuit.admit()]).toEqual([true, true]);
  });

  it("C6 does not stay open longer because of operations that were outstanding when it opened", () => {
    const { circuit, fail, wait } = circuitAt();
    for (let count = 0; count < 100; count += 1) expect(circuit.admit()).toBe(true);
    for (let count = 0; count < 100; count += 1) circuit.failed();
    wait(1_000);
    fail(1);
    wait(2_000);
    expect(circuit.admit()).toBe(true);
  });

  it("C6 admits 4,096 outstanding operations, then opens until one operation succeeds", () => {
    const { circuit, wait } = circuitAt();
    const ends: (() => void)[] = [];
    const begin = (): boolean => {
      try {
        if (!circuit.admit()) return false;
      } catch (error) {
        expect(error).toEqual(new Error("4096 operations are outstanding"));
        circuit.failed();
        return false;
      }
      const { outstanding } = circuit;
      outstanding.count += 1;
      ends.push(() => (outstanding.count -= 1));
      return true;
    };
    for (let count = 0; count < 4096; count += 1) expect(begin()).toBe(true);
    expect(begin()).toBe(false);
    ends.pop()?.();
    expect(begin()).toBe(true);
    for (let count = 0; count < 5; count += 1) expect(begin()).toBe(false);
    wait(1_000);
    expect([begin(), begin()]).toEqual([true, false]);
    circuit.succeeded();
    expect(begin()).toBe(true);
    // What ends after that has been given up, and makes no room.
    for (const end of ends.slice(0, 4096)) end();
    expect(circuit.outstanding.count).toBe(2);
  });

  it("C6 starts again with one second at the next outage", () => {
    const { circuit, fail, wait } = circuitAt();
    for (let outage = 0; outage < 3; outage += 1) {
      fail(5);
      wait(1_000);
      fail(1);
      wait(1_999);
      expect(circuit.admit()).toBe(false);
      wait(1);
      expect(circuit.admit()).toBe(true);
      circuit.succeeded();
    }
  });
});

it("C6 ended operations make room for others, however many there were", async () => {
  const entries = new Map<string, string>();
  const calls = cachedWorker({
    store: {
      get: async (key) => entries.get(key),
      set: async (key, value) => entries.set(key, value),
      delete: async (key) => entries.delete(key),
    },
  });
  for (let count = 0; count < 5_000; count += 1) await calls.call(1);
  expect((await calls.call(1)).outcome).toBe("hit");
  expect(calls.runs).toBe(1);
});
