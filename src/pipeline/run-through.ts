import { isolate } from "./isolate.ts";

/**
 * Runs `run` by way of `through`, a function that is not the engine's and must call it. Whatever that does, `run` is called
 * exactly once and before this returns, and what it returns or throws is the result.
 *
 * @param onProblem gets what `through` did wrong, and what it threw or rejected with.
 */
export function runThrough<T>(
  through: (run: () => T) => unknown,
  run: () => T,
  onProblem: (problem: "throws" | "does not call the function" | "rejects", error?: unknown) => void,
): T {
  let isCalled = false;
  let hasThrown = false;
  let result: unknown;
  // A second call, or one that comes late, runs nothing.
  const once = (): T => {
    if (!isCalled) {
      isCalled = true;
      try {
        result = run();
      } catch (error) {
        hasThrown = true;
        result = error;
      }
    }
    if (hasThrown) throw result;
    return result as T;
  };
  try {
    const returned = through(once);
    // A promise of its own, an async function's say, may reject.
    if (returned !== result) isolate(() => returned, (error) => onProblem("rejects", error));
  } catch (error) {
    // What `run` threw is thrown again below; what `through` threw is not for the caller.
    if (!hasThrown) onProblem("throws", error);
    return once();
  }
  if (!isCalled) onProblem("does not call the function");
  return once();
}
