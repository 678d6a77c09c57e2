/** Called with the object whose method is about to run. It must not throw. */
export type Before = (target: object) => void;

// On the prototype, so that an ESM and a CJS copy of this package share one patch, and neither removes the other's.
const hooks: unique symbol = Symbol.for("durable-telemetry.before-methods");

interface Hooks {
  readonly callbacks: Set<Before>;
  /** Removes the patch. */
  readonly restore: () => void;
}

/**
 * Calls `before` with the object whenever one of the `methods` of `prototype` is called, before the method runs. Of several
 * callbacks only the last one is called.
 *
 * @returns removes `before`; without callbacks the prototype is restored.
 */
export function beforeMethods(prototype: object, methods: readonly string[], before: Before): () => void {
  const { callbacks, restore } = hooksOf(prototype) ?? patch(prototype, methods);
  callbacks.add(before);
  return () => {
    callbacks.delete(before);
    if (callbacks.size === 0) restore();
  };
}

function hooksOf(prototype: object): Hooks | undefined {
  return Object.hasOwn(prototype, hooks) ? (Reflect.get(prototype, hooks) as Hooks) : undefined;
}

function patch(prototype: object, methods: readonly string[]): Hooks {
  const callbacks = new Set<Before>();
  const patched = methods.flatMap((name) => {
    const original = Object.getOwnPropertyDescriptor(prototype, name);
    const method: unknown = original?.value;
    if (original === undefined || typeof method !== "function") return [];
    const value = function (this: object, ...args: unknown[]): unknown {
      [...callbacks].at(-1)?.(this);
      return Reflect.apply(method, this, args);
    };
    Object.defineProperties(value, { name: { value: method.name }, length: { value: method.length } });
    Object.defineProperty(prototype, name, { ...original, value });
    return [{ name, original, value }];
  });
  const restore = (): void => {
    // A method that someone else has patched since stays patched, and finds no callback here.
    const others = patched.filter(({ name, value }) => Reflect.get(prototype, name) !== value);
    if (others.length > 0) return;
    for (const { name, original } of patched) Object.defineProperty(prototype, name, original);
    Reflect.deleteProperty(prototype, hooks);
  };
  const created: Hooks = { callbacks, restore };
  Object.defineProperty(prototype, hooks, { value: created, configurable: true });
  return created;
}
