import { AsyncLocalStorage } from "node:async_hooks";

/** A typed key of {@link MiddlewareFeatures}, created by {@link createMiddlewareFeature}. */
export interface MiddlewareFeature<T> {
  /** What the feature is, for debugging. */
  readonly description: string;
  /** The identity of the key. */
  readonly key: symbol;
  /** Holds the value's type only; does not exist at run time. */
  readonly type?: (value: T) => T;
}

/** A key of any type: `MiddlewareFeature<T>` fits no other type in place of `T`, not even `unknown`. */
type AnyFeature = Pick<MiddlewareFeature<unknown>, "key">;

/**
 * Creates a typed key under which middleware and hosts share a value for one work item (contract.md F1).
 * Each call creates a new key: two keys with the same description are different features.
 *
 * @param description what the feature is, for debugging.
 * @throws TypeError if the description is not a non-empty string.
 * @example
 * const Tenant = createMiddlewareFeature<{ id: string }>("tenant");
 * ctx.features.set(Tenant, { id: "acme" });
 * ctx.features.get(Tenant)?.id; // "acme"
 */
export function createMiddlewareFeature<T>(description: string): MiddlewareFeature<T> {
  if (typeof description !== "string" || description === "") {
    throw new TypeError('createMiddlewareFeature: description must be a non-empty string, such as "tenant".');
  }
  return Object.freeze({ description, key: Symbol(description) });
}

/** Makes a key that the ESM and the CJS copy of this package share. */
export function sharedFeature<T>(name: string): MiddlewareFeature<T> {
  return Object.freeze({ description: name, key: Symbol.for(`durable-telemetry.feature.${name}`) });
}

const tag = "MiddlewareFeatures";

/**
 * The typed values that middleware and hosts share during one work item (contract.md F1, F2).
 * They exist in this process only: not in the history, a response, or `JSON.stringify` (F3).
 *
 * @example
 * const features = new MiddlewareFeatures();
 * features.set(Tenant, { id: "acme" });
 */
export class MiddlewareFeatures {
  // Private, so that no serializer sees the values.
  readonly #values: Map<symbol, unknown>;

  /** @param initial features to start with; they are copied, and later changes on either side don't affect the other. */
  constructor(initial?: MiddlewareFeatures) {
    this.#values = initial === undefined ? new Map<symbol, unknown>() : new Map(initial.entries());
  }

  /** The value under `feature`, or `undefined`. */
  get<T>(feature: MiddlewareFeature<T>): T | undefined {
    // The key's type parameter is the value's type: `set` takes no other.
    return this.#values.get(feature.key) as T | undefined;
  }

  /** Sets `value` under `feature`, replacing an earlier one. */
  set<T>(feature: MiddlewareFeature<T>, value: NoInfer<T>): this {
    this.#values.set(feature.key, value);
    return this;
  }

  /** Whether there is a value under `feature`; `undefined` counts as one. */
  has(feature: AnyFeature): boolean {
    return this.#values.has(feature.key);
  }

  /** Deletes the value under `feature`. Returns whether there was one. */
  delete(feature: AnyFeature): boolean {
    return this.#values.delete(feature.key);
  }

  /** Keeps features out of `JSON.stringify` (F3). */
  toJSON(): undefined {
    return undefined;
  }

  /** Identifies a collection of either copy (ESM or CJS) of this package. */
  get [Symbol.toStringTag](): string {
    return tag;
  }

  /** The raw entries, for a copy. */
  entries(): IterableIterator<[symbol, unknown]> {
    return this.#values.entries();
  }
}

// Process-wide, so that a host which imports the other copy (ESM or CJS) of this package reaches this one.
const hostKey: unique symbol = Symbol.for("durable-telemetry.host-features");
const holder = globalThis as { [hostKey]?: AsyncLocalStorage<MiddlewareFeatures> };
const host: AsyncLocalStorage<MiddlewareFeatures> = (holder[hostKey] ??= new AsyncLocalStorage());

/**
 * Runs `fn`; every work item that starts inside it begins with a copy of `features` (contract.md F4).
 * A host uses it to pass its own objects, such as an Azure Functions `InvocationContext`, to middleware that does not
 * know the host.
 *
 * @param features what the work items see.
 * @param fn what starts the work; its result is returned.
 * @throws TypeError if `features` is not a `MiddlewareFeatures` or `fn` is not a function; otherwise what `fn` throws.
 * @example
 * const features = new MiddlewareFeatures().set(Invocation, context);
 * return runWithFeatures(features, () => worker.processOrchestratorRequest(request));
 */
export function runWithFeatures<T>(features: MiddlewareFeatures, fn: () => T): T {
  // By its tag: the host may hold the other copy (ESM or CJS) of the class.
  if (Object.prototype.toString.call(features) !== `[object ${tag}]`) {
    throw new TypeError(
      "runWithFeatures: features must be a MiddlewareFeatures; make one with new MiddlewareFeatures().",
    );
  }
  if (typeof fn !== "function") throw new TypeError("runWithFeatures: fn must be a function.");
  return host.run(features, fn);
}

/** The features that the host attached with {@link runWithFeatures}. */
export function hostFeatures(): MiddlewareFeatures | undefined {
  return host.getStore();
}
