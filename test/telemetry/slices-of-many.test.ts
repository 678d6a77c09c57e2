/** Many episodes that emit at the same time: hundreds of orchestrations may be resumed at once. */
import { expect, it, vi } from "vitest";
import { inSlices } from "../../src/telemetry/slices.ts";

let now = 0;
vi.spyOn(performance, "now").mockImplementation(() => now);

it("K1 the spans of many episodes together hold the event loop no longer than 20 ms in a turn", async () => {
  const episodes = 50;
  const steps = 200;
  const done = new Set<number>();
  const startAll = (): void => {
    for (let episode = 0; episode < episodes; episode += 1) {
      // 0.2 ms each, as a span takes about that long.
      inSlices(
        Array.from({ length: steps }),
        () => (now += 0.2),
        () => done.add(episode),
        () => expect.unreachable(),
      );
    }
  };
  // The start of each belongs to its own work item.
  startAll();
  const turns: number[] = [];
  while (done.size < episodes) {
    const before = now;
    await new Promise((resolve) => setImmediate(resolve));
    turns.push(now - before);
  }
  expect(Math.max(...turns)).toBeLessThan(20);
});
