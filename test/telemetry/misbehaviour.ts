/** Values that do as little as they can of what is expected from them. */

/** Throws whatever `cause` is. */
export function fault(cause: unknown): never {
  throw cause;
}

/** All promises that are settled have had their reactions when it resolves. */
export const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function define<T extends object>(target: T, name: string, descriptor: PropertyDescriptor): T {
  return Object.defineProperty(target, name, descriptor);
}

/** An object, or `target`, whose `then` is `then`. */
export function withThen<T extends object>(then: unknown, target: T = {} as T): T {
  return define(target, "then", { value: then });
}

/** An object whose `then` can't be read. */
export function withThrowingThen(cause: unknown): object {
  return define({}, "then", { get: () => fault(cause) });
}

/** A proxy that throws at every touch. */
export function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** An object in an object, and so on. */
export function nested(depth: number): object {
  let value: object = {};
  for (let level = 0; level < depth; level += 1) value = { value };
  return value;
}
