import { isPromise } from "node:util/types";
import { isPromiseLike } from "../logging/faults.ts";
import { NoCanonicalForm } from "./canonical.ts";
import { entryKey, type EntryKey } from "./entries.ts";
import type { CacheRequest, Policy } from "./options.ts";
import { report } from "./outcome.ts";

/** Where the result of a call stands; else why the call goes past the cache. */
export function keyOf(request: CacheRequest, { key: makeKey, namespace: own, version }: Policy): EntryKey | "bypass" | "error" {
  try {
    const namespace = typeof own === "function" ? notAsync("namespace", own(request)) : own;
    if (own !== undefined && (typeof namespace !== "string" || namespace === "")) return "bypass";
    const subject = makeKey === undefined ? ofInput(request) : ofKey(notAsync("key", makeKey(request)));
    if (subject === undefined) return "bypass";
    // What is absent is `null`, which is none of the texts.
    const key = entryKey([namespace ?? null, request.name, request.version ?? null, version ?? null, ...subject]);
    return { key, namespace };
  } catch (error) {
    if (error instanceof NoCanonicalForm) return "bypass";
    report(`a function in the cache's options of "${request.name}" failed`, error);
    return "error";
  }
}

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
    const admitted: unknown = notAsync("shouldCache", shouldCache(read(), request));
    if (typeof admitted !== "boolean") throw new TypeError(`shouldCache returned a value of type ${typeof admitted}; it must say true or false`);
    return admitted;
  } catch (error) {
    report(`a function in the cache's options of "${request.name}" failed`, error);
    return "error";
  }
}

function notAsync<T>(name: string, returned: T): T {
  if (!isPromiseLike(returned)) return returned;
  // Others than promises have nothing under way as long as nobody calls their `then`.
  if (isPromise(returned)) void returned.catch(() => undefined);
  throw new TypeError(`${name} returned a promise; it must not be async`);
}
