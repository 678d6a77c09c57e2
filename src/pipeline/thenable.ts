import { isPromise } from "node:util/types";

/** Whether the SDK waits for `value` where it is the result of an activity: a promise, or what is chained to `next`. */
export const isPromised = (value: unknown): boolean => isPromise(value) || value instanceof Promise;

/** Whether `await` waits for `value`. Throws what a getter of `value` throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return typeof (value as { readonly then?: unknown }).then === "function";
}

/**
 * The value with which a promise fulfills for `value`: `value` itself, or `undefined` for a thenable. A promise would
 * call the thenable, and the SDK serializes it.
 */
export function fulfillment(value: unknown): unknown {
  try {
    return isThenable(value) ? undefined : value;
  } catch {
    return undefined;
  }
}
