import type { MiddlewareLogger } from "../pipeline/index.ts";
import type { PipelineHost } from "./host.ts";
import type { Protocol } from "./protocol-clash.ts";
import type { SdkInternal } from "./sdk-internals.ts";
import type { SupportedSdk } from "./sdk-version.ts";

/**
 * Hooks the engine into one kind of worker. The non-public members that adapters use are in `sdk-internals.ts`;
 * another fork of the SDK needs one more adapter in `attach.ts`, nothing else.
 */
export interface WorkerAdapter {
  /** The name of this kind of worker in errors. */
  readonly kind: string;
  /** The SDKs that have such workers. */
  readonly sdks: readonly SupportedSdk[];
  /** Which protobuf classes they have; `undefined` for workers that have none. */
  readonly protocol?: Protocol;
  /** Whether `worker` is of this kind, or resembles it. */
  recognizes(worker: object): boolean;
  /** The members that the adapter needs and `worker` lacks; empty for a worker it can attach to. */
  missing(worker: object): readonly string[];
  /** The optional members that `worker` lacks. */
  lost(worker: object): readonly SdkInternal[];
  /** Whether the worker runs. */
  isRunning(worker: object): boolean;
  /** The logger that the worker was created with, if it takes one. */
  logger(worker: object): MiddlewareLogger | undefined;
  /** Passes every work item of `worker` through `host`. Called once, and only if no member is missing. */
  attach(worker: object, host: PipelineHost): void;
}
