import { expect, it, vi } from "vitest";
import { finishSlices, inSlices } from "../../src/telemetry/slices.ts";

let now = 0;
vi.spyOn(performance, "now").mockImplementation(() => now);

it("K1 a flush in the middle of a slice, which a processor of the program starts say, does nothing twice", async () => {
  const steps: number[] = [];
  let ends = 0;
  inSlices(
    Array.from({ length: 101 }, (_, index) => index),
    (step) => {
      now += 1;
      steps.push(step);
      if (step === 50) finishSlices();
    },
    () => (ends += 1),
    () => expect.unreachable(),
  );
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect([steps.length, ends]).toEqual([101, 1]);
});
