/** An object's members by name, for members without a public type. */
export type Members = Record<string, unknown>;

/** Those of `names` that are not functions on `object`. */
export function missingFunctions(object: unknown, names: readonly string[], prefix = ""): string[] {
  const members = typeof object === "object" && object !== null ? (object as Members) : {};
  return names.filter((name) => typeof members[name] !== "function").map((name) => `${prefix}${name}`);
}

/** Replaces the method `name` of `object`, on the instance. */
export function wrapMethod<TArgs extends unknown[], TResult>(
  object: object,
  name: string,
  wrap: (original: (...args: TArgs) => TResult) => (...args: TArgs) => TResult,
): void {
  const original = (object as Members)[name] as (...args: TArgs) => TResult;
  replaceMethod(object, name, wrap(original.bind(object)));
}

/**
 * Puts `method` in the place of the method `name` of an object or a class. It has the name and length of that, which code may
 * look at, and is not enumerable, as nothing else that is added to the SDK's objects.
 */
export function replaceMethod(object: object, name: string, method: object): void {
  const original = (object as Members)[name] as object;
  for (const key of ["name", "length"])
    Object.defineProperty(method, key, { value: (original as Members)[key], configurable: true });
  Object.defineProperty(object, name, { value: method, writable: true, configurable: true, enumerable: false });
}
