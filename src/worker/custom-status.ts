import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { Episode } from "../pipeline/index.ts";
import { wrapMethod, type Members } from "./members.ts";
import { orchestrationContextInternals, readInternal } from "./sdk-internals.ts";

// Each episode has a context of its own. To define a method on it takes longer than all else that an episode costs before
// its code runs, so the method of the class looks up who observes its context.
const observers = new WeakMap<object, Episode>();
const observedClasses = new WeakSet<object>();
const method = "setCustomStatus";

/** Reports to `item` each change of the custom status: history does not record it, and replay sets it again. */
export function observeCustomStatus(context: OrchestrationContext, item: Episode): void {
  const prototype = Object.getPrototypeOf(context) as object;
  if (observedClasses.has(prototype) || observeClass(prototype)) observers.set(context, item);
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
  const observed = function (this: object, ...args: unknown[]): void {
    const set = (): unknown => Reflect.apply(original as () => unknown, this, args);
    const item = observers.get(this);
    if (item === undefined) set();
    else reportChange(this, item, set);
  };
  const isObserved =
    Object.hasOwn(prototype, method) &&
    typeof original === "function" &&
    Reflect.defineProperty(prototype, method, { value: observed });
  if (isObserved) observedClasses.add(prototype);
  return isObserved;
}

function reportChange(context: object, item: Episode, set: () => void): void {
  // The SDK keeps it as JSON.
  const before = readInternal(context, orchestrationContextInternals.customStatus);
  set();
  if (readInternal(context, orchestrationContextInternals.customStatus) !== before) item.customStatusChanged();
}
