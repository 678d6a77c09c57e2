import { resultNow } from "../../src/telemetry/isolate.ts";
import { entryKey, type EntryKey } from "./entries.ts";
import type { CacheRequest, Policy } from "./options.ts";
import { isolated } from "./outcome.ts";

/** Where the result of a call stands; else why the call goes past the cache. */
export function keyOf(request: CacheRequest, { key: makeKey, namespace: own, version }: Policy): EntryKey | "bypass" | "error" {
  let namespace: unknown;
  let subject: readonly unknown[] | undefined;
  try {
    namespace = typeof own === "function" ? resultNow<unknown>(own(request), "namespace") : own;
    subject = makeKey === undefined ? ofInput(request) : ofKey(resultNow(makeKey(request), "key"));
  } catch (error) {
    isolated.fault(`a function in the cache's options of "${request.name}" failed`, error);
    return "error";
  }
  if (subject === undefined || (own !== undefined && !isText(namespace))) return "bypass";
  const named = isText(namespace) ? namespace : undefined;
  try {
    // What is absent is `null`, which is none of the texts.
    return { key: entryKey([named ?? null, request.name, request.version ?? null, version ?? null, ...subject]), namespace: named };
  } catch {
    // It has no canonical form.
    return "bypass";
  }
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

// The parts of the key that stand for the input. No input is not the same as `null`, and a key is not the same as an input.
function ofInput({ input }: CacheRequest): readonly unknown[] {
  return input === undefined ? ["no input"] : ["input", input];
}

function ofKey(key: unknown): readonly unknown[] | undefined {
  return key === undefined ? undefined : ["key", key];
}

/** Whether `shouldCache` lets a result be kept; `"error"` if it failed to say. */
export function admits(read: () => unknown, request: CacheRequest, { shouldCache }: Policy): boolean | "error" {
  if (shouldCache === undefined) return true;
  try {
    // A value of its own, so that nothing it does to it reaches the orchestrator.
    const admitted: unknown = resultNow(shouldCache(read(), request), "shouldCache");
    if (typeof admitted !== "boolean") throw new TypeError(`shouldCache returned a value of type ${typeof admitted}; it must say true or false`);
    return admitted;
  } catch (error) {
    isolated.fault(`a function in the cache's options of "${request.name}" failed`, error);
    return "error";
  }
}
