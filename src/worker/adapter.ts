import type { MiddlewareLogger } from "../pipeline/index.ts";
import type { PipelineHost } from "./host.ts";
import type { Protocol } from "./protocol-clash.ts";
import type { SdkInternal } from "./sdk-internals.ts";
import type { SupportedSdk } from "./sdk-version.ts";

/**
 * How the engine gets into one kind of worker. The non-public members that adapters use stand in `sdk-internals.ts`;
 * another fork of the SDK needs one more adapter in `attach.ts`, nothing else.
 */
export interface WorkerAdapter {
  /** What the worker is called in errors. */
  readonly kind: string;
  /** The SDKs that have such workers. */
  readonly sdks: readonly SupportedSdk[];
  /** Which protobuf classes they have; `undefined` for workers that have none. */
  readonly protocol?: Protocol;
  /** Whether `worker` is of this kind, or means to be. */
  recognizes(worker: object): boolean;
  /** The members that the adapter needs and `worker` lacks; empty for a worker it can attach to. */
  missing(worker: object): readonly string[];
  /** The optional members that `worker` lacks. */
  lost(worker: object): readonly SdkInternal[];
  /** Whether the worker runs. */
  isRunning(worker: object): boolean;
  /** The logger that the worker was made with, if it takes one. */
  logger(worker: object): MiddlewareLogger | undefined;
  /** Leads every work item of `worker` through `host`. Called once, and only when nothing is missing. */
  attach(worker: object, host: PipelineHost): void;
}

/** An object's members by name, for looks at what has no public type. */
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
    value: wrap((...args) => original.apply(object, args)),
    writable: true,
    configurable: true,
    enumerable: false,
  });
}
