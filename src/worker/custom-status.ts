import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { Episode } from "../pipeline/index.ts";
import { replaceMethod, wrapMethod, type Members } from "./members.ts";
import { orchestrationContextInternals, readInternal } from "./sdk-internals.ts";

const method = "setCustomStatus";
const observedClasses = new WeakSet<object>();
// A `WeakMap` in its place would keep the whole history for a collection of garbage longer.
const observer = Symbol("durable-telemetry.custom-status");

/** A context; those of workers that observe no custom status have no observer. */
interface ObservedContext {
  [observer]?: Episode;
}

/**
 * Reports to `item` each change of the custom status: history does not record it, and replay sets it again. Each episode has
 * a context of its own, and to define a method on it takes longer than all else before its code runs: so the method of
 * the class asks who observes its context.
 */
export function observeCustomStatus(context: OrchestrationContext, item: Episode): void {
  const prototype = Object.getPrototypeOf(context) as object;
  if (observedClasses.has(prototype) || observeClass(prototype)) (context as ObservedContext)[observer] = item;
  else
    wrapMethod<[unknown], void>(
      context,
      method,
      (original) => (status) => reportChange(context, item, () => original(status)),
    );
}

/** Returns whether the class of contexts has the method, and can be given another one. */
function observeClass(prototype: object): boolean {
  const original = (prototype as Members)[method];
  const observed = function (this: ObservedContext, ...args: unknown[]): void {
    const set = (): unknown => Reflect.apply(original as () => unknown, this, args);
    const item = this[observer];
    if (item === undefined) set();
    else reportChange(this, item, set);
  };
  if (typeof original !== "function" || Object.getOwnPropertyDescriptor(prototype, method)?.configurable !== true)
    return false;
  replaceMethod(prototype, method, observed);
  observedClasses.add(prototype);
  return true;
}

function reportChange(context: object, item: Episode, set: () => void): void {
  // The SDK keeps it as JSON.
  const before = readInternal(context, orchestrationContextInternals.customStatus);
  set();
  const now = readInternal(context, orchestrationContextInternals.customStatus);
  if (now !== before) item.customStatusChanged(typeof now === "string" ? now : undefined);
}
