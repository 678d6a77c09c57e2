import { resultNow } from "../../src/telemetry/isolate.ts";
import { entryKey, type EntryKey } from "./entries.ts";
import type { CacheRequest, Policy } from "./options.ts";
import { isolated } from "./outcome.ts";

/** Where the result of a call is stored, or why the call bypasses the cache. */
export function keyOf(
  request: CacheRequest,
  { key: makeKey, namespace: own, version }: Policy,
): EntryKey | "bypass" | "error" {
  let namespace: unknown;
  let subject: readonly unknown[] | undefined;
  try {
    namespace = typeof own === "function" ? resultNow<unknown>(own(request), "namespace") : own;
    subject = makeKey === undefined ? ofInput(request) : ofKey(resultNow(makeKey(request), "key"));
  } catch (error) {
    isolated.fault(`a function in the cache's options of "${request.name}" failed`, error);
    return "error";
  }
  if (subject === undefined || (own !== undefined && !isNonEmptyString(namespace))) return "bypass";
  const named = isNonEmptyString(namespace) ? namespace : undefined;
  try {
    // `null` stands for an absent part: it differs from every string.
    return {
      key: entryKey([named ?? null, request.name, request.version ?? null, version ?? null, ...subject]),
      namespace: named,
    };
  } catch {
    // The key has no canonical form.
    return "bypass";
  }
}

const isNonEmptyString = (value: unknown): value is string => typeof value === "string" && value !== "";

// The parts of the key for the input. No input differs from the input `null`, and a key from an input of the same value.
function ofInput({ input }: CacheRequest): readonly unknown[] {
  return input === undefined ? ["no input"] : ["input", input];
}

function ofKey(key: unknown): readonly unknown[] | undefined {
  return key === undefined ? undefined : ["key", key];
}

/** Whether `shouldCache` allows to store a result; `"error"` if it failed. */
export function admits(read: () => unknown, request: CacheRequest, { shouldCache }: Policy): boolean | "error" {
  if (shouldCache === undefined) return true;
  try {
    // A separate value, so that changes to it don't reach the orchestrator.
    const admitted: unknown = resultNow(shouldCache(read(), request), "shouldCache");
    if (typeof admitted !== "boolean")
      throw new TypeError(`shouldCache returned a value of type ${typeof admitted}; it must return true or false`);
    return admitted;
  } catch (error) {
    isolated.fault(`a function in the cache's options of "${request.name}" failed`, error);
    return "error";
  }
}
