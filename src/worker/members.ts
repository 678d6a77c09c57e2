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
  Object.defineProperty(object, name, {
    value: wrap(original.bind(object)),
    writable: true,
    configurable: true,
    enumerable: false,
  });
}
