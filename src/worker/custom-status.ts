import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { Episode } from "../pipeline/index.ts";
import { wrapMethod, type Members } from "./members.ts";
import { orchestrationContextInternals, readInternal } from "./sdk-internals.ts";

const method = "setCustomStatus";
const observedClasses = new WeakSet<object>();

/**
 * Reports to `item` each change of the custom status: history does not record it, and replay sets it again. Each episode has
 * a context of its own, and to define a method on it takes longer than all else before its code runs: so the method of
 * the class asks who observes its context.
 */
export function observeCustomStatus(context: OrchestrationContext, item: Episode): void {
  const prototype = Object.getPrototypeOf(context) as object;
  if (observedClasses.has(prototype) || observeClass(prototype)) Observer.set(context, item);
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
    const item = Observer.of(this);
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
  const now = readInternal(context, orchestrationContextInternals.customStatus);
  if (now !== before) item.customStatusChanged(typeof now === "string" ? now : undefined);
}

// oxlint-disable-next-line typescript/no-extraneous-class -- its subclass adds a field to what the constructor returns
class Given {
  constructor(object: object) {
    return object;
  }
}

/** Gives an object a private field, which nobody else sees. A `WeakMap` would keep the whole history for a collection longer. */
class Observer extends Given {
  #item: Episode;

  private constructor(context: object, item: Episode) {
    super(context);
    this.#item = item;
  }

  static set(context: object, item: Episode): void {
    if (#item in context) context.#item = item;
    else void new Observer(context, item);
  }

  static of(context: object): Episode | undefined {
    return typeof context === "object" && context !== null && #item in context ? context.#item : undefined;
  }
}
