/** Work of an episode that would hold the event loop for too long. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { finishSlices, inSlices } from "../../src/telemetry/slices.ts";

let now = 0;
vi.spyOn(performance, "now").mockImplementation(() => now);
afterEach(() => {
  now = 0;
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const range = (size: number): readonly number[] => Array.from({ length: size }, (_, index) => index);

describe("K1 An episode's spans and measurements", () => {
  it.each([
    ["that take long", 1, 16],
    ["that take no time", 0.001, 10_000],
  ])(
    "%s are emitted in order, in slices of a few milliseconds, and then comes what follows",
    async (_, milliseconds, most) => {
      const steps: number[] = [];
      const perTurn: number[] = [];
      let isOver = false;
      inSlices(
        range(10_000),
        (step) => {
          now += milliseconds;
          steps.push(step);
        },
        () => (isOver = true),
        () => expect.unreachable(),
      );
      for (let before = 0; steps.length < 10_000; before = steps.length) {
        await turn();
        perTurn.push(steps.length - before);
      }
      await turn();
      expect([steps, isOver]).toEqual([range(10_000), true]);
      expect(Math.max(...perTurn)).toBeLessThanOrEqual(most);
    },
  );

  it("are finished before a flush, those that follow them too", () => {
    const steps: number[] = [];
    const step = (each: number): void => {
      now += 10;
      steps.push(each);
    };
    const fail = (): void => expect.unreachable();
    inSlices(range(100), step, () => inSlices(range(50), step, () => steps.push(-1), fail), fail);
    expect(steps.length).toBeLessThan(100);
    finishSlices();
    expect(steps).toEqual([...range(100), ...range(50), -1]);
  });

  it("end at the first that throws, which is isolated, in a later turn too", async () => {
    const faults: unknown[] = [];
    let isOver = false;
    inSlices(
      range(100),
      (step) => {
        now += 10;
        if (step === 20) throw new RangeError("no span");
      },
      () => (isOver = true),
      (error) => faults.push(error),
    );
    for (let turns = 0; turns < 100; turns += 1) await turn();
    expect([faults, isOver]).toEqual([[new RangeError("no span")], false]);
  });
});
