import { isolate } from "./isolate.ts";

/** What a function did wrong that must call another one. */
export type Problem = "throws" | "rejects" | "does not call the function" | "calls the function again";

/**
 * Runs `run` by way of `through`, which calls code that is not the engine's. Whatever that does, `run` is called exactly
 * once and before this returns, and what it returns or throws is the result.
 *
 * It runs for each work item, so it takes functions that need no closure.
 *
 * @param through gets `subject`, and the function that it must call.
 * @param onProblem gets `subject`, what `through` did wrong, and what it threw or rejected with.
 */
export function runThrough<T, TSubject>(
  through: (subject: TSubject, once: () => T) => unknown,
  subject: TSubject,
  run: () => T,
  onProblem: (subject: TSubject, problem: Problem, error?: unknown) => void,
): T {
  let isCalled = false;
  let hasThrown = false;
  let isReported = false;
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
    } else if (!isReported) {
      isReported = true;
      onProblem(subject, "calls the function again");
    }
    if (hasThrown) throw result;
    return result as T;
  };
  let returned: unknown;
  try {
    returned = through(subject, once);
  } catch (error) {
    // What `run` threw is thrown again below; what `through` threw is not for the caller.
    if (!hasThrown) onProblem(subject, "throws", error);
    if (!isCalled) return once();
    returned = result;
  }
  if (!isCalled) {
    isReported = true;
    onProblem(subject, "does not call the function");
    return once();
  }
  // A promise of its own, an async function's say, may reject.
  if (returned !== result) isolateReturned(subject, returned, onProblem);
  if (hasThrown) throw result;
  return result as T;
}

function isolateReturned<TSubject>(
  subject: TSubject,
  returned: unknown,
  onProblem: (subject: TSubject, problem: Problem, error?: unknown) => void,
): void {
  isolate(
    () => returned,
    (error) => onProblem(subject, "rejects", error),
  );
}
