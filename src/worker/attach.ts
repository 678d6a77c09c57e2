import { Pipeline, type AwaitGuardOptions } from "../pipeline/index.ts";
import type { WorkerAdapter } from "./adapter.ts";
import { daprWorker, workerIn } from "./dapr-worker.ts";
import { taskHubGrpcWorker } from "./grpc-worker.ts";
import { PipelineHost } from "./host.ts";
import { wrapMethod } from "./members.ts";
import { protocolClash } from "./protocol-clash.ts";
import { reportLost } from "./sdk-internals.ts";
import { isSupported, sdkVersionOf, type SdkVersion, type SupportedSdk } from "./sdk-version.ts";
import { testOrchestrationWorker } from "./test-worker.ts";

/** Every kind of worker that the engine gets into; a fork of the SDK adds its adapter here. */
const adapters: readonly WorkerAdapter[] = [daprWorker, taskHubGrpcWorker, testOrchestrationWorker];

const attached: unique symbol = Symbol.for("durable-telemetry.attached");

/** Whether `object` is a worker of a kind that there is an adapter for, or means to be. */
export function isWorker(object: object): boolean {
  const worker = workerIn(object);
  return adapters.some((adapter) => adapter.recognizes(worker));
}

/** Whether `object` is a worker or builder that is attached to already, by any copy of the package. */
export function isAttached(object: object): boolean {
  return attached in object;
}

/**
 * Marks a worker or builder as attached to, for every copy of the package.
 *
 * @param kind what `object` is called in errors.
 * @throws Error if it is attached already, or can't get new members.
 */
export function markAttached(object: object, kind: string): void {
  checkAttachable(object, kind);
  Object.defineProperty(object, attached, { value: true });
}

function checkAttachable(object: object, kind: string): void {
  if (isAttached(object)) {
    throw new Error(
      `withDurableTelemetry: this ${kind} has durable telemetry already; call it once, and add middleware with worker.use(...).`,
    );
  }
  if (!Object.isExtensible(object)) {
    throw new Error(
      `withDurableTelemetry: this ${kind} can't be decorated: it is frozen or sealed; decorate it before that.`,
    );
  }
}

/**
 * Finds the adapter for `worker` and checks that it can attach; changes nothing.
 *
 * @throws TypeError if `worker` is not a worker.
 * @throws Error if it is attached already, of an SDK version out of range, or lacks a member.
 */
export function adapterFor(
  worker: unknown,
  versionOf: (worker: object, sdks: readonly SupportedSdk[]) => SdkVersion | undefined = sdkVersionOf,
): WorkerAdapter {
  const adapter =
    typeof worker === "object" && worker !== null ? adapters.find((each) => each.recognizes(worker)) : undefined;
  if (adapter === undefined || typeof worker !== "object" || worker === null) {
    const kinds = [...new Set(adapters.map(({ kind }) => kind))].join(", ");
    throw new TypeError(
      `withDurableTelemetry: worker must be a Durable Task worker (${kinds}, a subclass, or a builder with build()), not ${describe(worker)}.`,
    );
  }
  checkAttachable(worker, adapter.kind);
  const version = versionOf(worker, adapter.sdks);
  const [sdk] = version === undefined ? adapter.sdks : [version.sdk];
  const found = `found ${sdk?.name} ${version?.version ?? "of an unknown version"}, supported is ${sdk?.range}`;
  if (version !== undefined && !isSupported(version)) {
    throw new Error(
      `withDurableTelemetry: the Durable Task SDK is out of range: ${found}. Install a version in the range.`,
    );
  }
  const missing = adapter.missing(worker);
  if (missing.length > 0) {
    throw new Error(
      `withDurableTelemetry: this ${adapter.kind} lacks ${missing.join(", ")}, which the middleware engine needs: ${found}. Install a version in the range.`,
    );
  }
  if (adapter.isRunning(worker)) {
    throw new Error("withDurableTelemetry: the worker is running; call withDurableTelemetry before worker.start().");
  }
  return adapter;
}

/** Makes the pipeline of `worker`, which nothing runs through yet; see {@link attach}. */
export function pipelineFor(worker: object, adapter: WorkerAdapter): Pipeline {
  return new Pipeline(() => adapter.isRunning(worker));
}

/** What {@link attach} may be given. */
export interface AttachOptions {
  readonly guard?: AwaitGuardOptions | undefined;
  /** Called when the worker is started for the first time. What it throws is logged, and does not stop the worker. */
  readonly onFirstStart?: ((pipeline: Pipeline, report: PipelineHost["report"]) => void) | undefined;
}

/**
 * Passes all work items of `worker` through `pipeline`.
 *
 * @returns what to call where the worker is starting already; a later `start` is not the first then. And what logs the
 *   warnings of this worker.
 */
export function attach(
  worker: object,
  adapter: WorkerAdapter,
  pipeline: Pipeline,
  { guard, onFirstStart }: AttachOptions = {},
): { readonly runFirstStart: () => void; readonly report: PipelineHost["report"] } {
  // Without a logger of its own a worker logs to the console, as in the SDK.
  const host = new PipelineHost(pipeline, adapter.logger(worker) ?? console, guard);
  markAttached(worker, adapter.kind);
  reportLost(host, adapter.kind, adapter.lost(worker));
  adapter.attach(worker, host);
  let startedBefore = false;
  const runFirstStart = (): void => {
    if (startedBefore) return;
    startedBefore = true;
    const clash = adapter.protocol && protocolClash(adapter.protocol);
    if (clash !== undefined) host.report(clash);
    try {
      onFirstStart?.(pipeline, host.report);
    } catch (error) {
      host.report("the check at the first start failed", error);
    }
  };
  // A start or stop that the worker refuses, because it runs or does not, changes nothing.
  wrapMethod<unknown[], unknown>(worker, "start", (original) => (...args) => {
    if (!adapter.isRunning(worker)) {
      host.started();
      runFirstStart();
    }
    return original(...args);
  });
  wrapMethod<unknown[], unknown>(worker, "stop", (original) => (...args) => {
    if (adapter.isRunning(worker)) host.stopping();
    return original(...args);
  });
  return { runFirstStart, report: host.report };
}

function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  const name = Object.getPrototypeOf(value)?.constructor?.name as unknown;
  return typeof name === "string" && name !== "Object" ? `a ${name}` : "an object";
}
