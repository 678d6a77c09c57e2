import { nextTick } from "node:process";

/**
 * Calls `fn` once when nothing is left to do. What listeners to `beforeExit` start, the program's and others', is
 * waited for.
 *
 * @returns what takes it back.
 */
export function whenIdle(fn: () => void): () => void {
  const onBeforeExit = (): void => {
    const before = process.getActiveResourcesInfo().length;
    // By then all listeners were called.
    nextTick(() => {
      if (process.getActiveResourcesInfo().length > before) return; // The event is emitted again after that.
      process.off("beforeExit", onBeforeExit);
      fn();
    });
  };
  process.prependListener("beforeExit", onBeforeExit);
  return () => void process.off("beforeExit", onBeforeExit);
}
