import { expect, it, onTestFinished, vi } from "vitest";
import { realRuntime } from "../../middlewares/caching/runtime.ts";

it("C6 waits go by a clock that nobody sets, and entries by the time of day", () => {
  const [begin, time] = [realRuntime.elapsed(), Date.now()];
  onTestFinished(() => void vi.restoreAllMocks());
  vi.spyOn(Date, "now").mockReturnValue(time - 86_400_000);
  expect(realRuntime.elapsed()).toBeGreaterThanOrEqual(begin);
  expect(realRuntime.now()).toBe(time - 86_400_000);
});

it("C6 a wait for a lock keeps no process alive", () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
  const before = timers();
  const callOff = realRuntime.after(3_600_000, false, () => undefined);
  expect(timers()).toBe(before);
  callOff();
});

it("jitter is not the same each time", () => {
  const chances = Array.from({ length: 100 }, () => realRuntime.random());
  expect(new Set(chances).size).toBeGreaterThan(1);
  expect(chances.every((chance) => chance >= 0 && chance <= 1)).toBe(true);
});
