import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import type { ActivityExecution, Episode } from "./execution.ts";
import type { MiddlewareFeatures } from "./features.ts";
import { isolate } from "./isolate.ts";
import { workItemLogger, type MiddlewareLogger } from "./logger.ts";
import type { ParentOrchestration } from "./task-info.ts";

/**
 * Why an episode ended without running the code after `next`: the orchestration still waits; it was terminated from
 * outside; it continued as new while its code was waiting; or the engine failed it, for example because its code did
 * not match its history.
 */
export type SuspendReason = "waiting" | "terminated" | "continued_as_new" | "failed";

interface MiddlewareContext<TInput, TResult> {
  /** The name of the orchestration or activity. */
  readonly name: string;
  /** The orchestration's instance ID. */
  readonly instanceId: string;
  /** The orchestration's execution ID: new at each continue-as-new. `undefined` if the backend sends none. */
  readonly executionId: string | undefined;
  /** The task's version; `undefined` if it has none (X3). */
  readonly version: string | undefined;
  /** The task's tags, frozen (X4). */
  readonly tags: Readonly<Record<string, string>>;
  /** The input, as the orchestrator or activity function gets it. */
  readonly input: TInput;
  /** The input's JSON as it arrived; `undefined` if there was none. */
  readonly rawInput: string | undefined;
  /** What middleware and hosts share during this work item. */
  readonly features: MiddlewareFeatures;
  /** A logger; in orchestrations it writes nothing during replay (X7). */
  readonly logger: MiddlewareLogger;
  /** Aborts when `worker.stop()` is called (X8). */
  readonly signal: AbortSignal;
  /** After `next`: the result, before serialization. */
  readonly result: TResult | undefined;
  /** After `next`: the error that `next` rejected with; otherwise `undefined`. */
  readonly failure: unknown;
}

/**
 * What orchestration middleware sees of the orchestration (contract.md X1). Read-only: there is no `setResult`,
 * because replacing an orchestrator's result would break replay (O3).
 */
export interface OrchestrationMiddlewareContext<TInput = unknown, TResult = unknown> extends MiddlewareContext<
  TInput,
  TResult
> {
  readonly kind: "orchestration";
  /** The orchestration that started this one; `undefined` if none did. */
  readonly parent: ParentOrchestration | undefined;
  /** Whether the orchestration is replaying now: live, not as it was when the episode began (X5). */
  readonly isReplaying: boolean;
  /** The SDK's context: schedule durable tasks and read durable time with it. */
  readonly orchestrationContext: OrchestrationContext;
  /**
   * Runs `callback` when this episode ends and the code after `next` does not run (O7): release there what you acquired
   * for this episode. Callbacks run in reverse order of registration. If one throws, or returns a promise that rejects,
   * the fault is reported and everything else continues. Nothing waits for the promise.
   */
  onSuspend(callback: (reason: SuspendReason) => unknown): void;
}

/** What activity middleware sees of the activity (contract.md X2). */
export interface ActivityMiddlewareContext<TInput = unknown, TResult = unknown> extends MiddlewareContext<
  TInput,
  TResult
> {
  readonly kind: "activity";
  /** The ID of the task in its orchestration; each retry has its own. */
  readonly taskId: number;
  /** The SDK's context, as the activity function gets it. */
  readonly activityContext: ActivityContext;
  /**
   * Sets the activity's result: instead of `next`, the activity does not run (A1, A2); after `next`, it replaces the
   * result or recovers from a caught failure (A3). `undefined` is a valid result.
   */
  setResult(value: TResult): void;
}

/** How the part of the pipeline inside a middleware ended. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

// Each worker has stages of its own.
const warnedOfValue = new WeakSet<object>();

abstract class Context<TItem extends Episode | ActivityExecution> {
  protected readonly item: TItem;
  readonly input: unknown;
  #outcome: Outcome | undefined;

  constructor(item: TItem, input: unknown) {
    this.item = item;
    this.input = input;
  }

  get name(): string {
    return this.item.name;
  }
  get instanceId(): string {
    return this.item.instanceId;
  }
  get executionId(): string | undefined {
    return this.item.executionId;
  }
  get version(): string | undefined {
    return this.item.version;
  }
  get tags(): Readonly<Record<string, string>> {
    return this.item.tags;
  }
  get rawInput(): string | undefined {
    return this.item.rawInput;
  }
  get features(): MiddlewareFeatures {
    return this.item.features;
  }
  get signal(): AbortSignal {
    return this.item.signal;
  }
  get result(): unknown {
    return this.#outcome?.ok === true ? this.#outcome.value : undefined;
  }
  get failure(): unknown {
    return this.#outcome?.ok === false ? this.#outcome.error : undefined;
  }

  /** Its identity only: no payload, no feature (F3), and no objects of the SDK, which contain cycles. */
  toJSON(): object {
    const { name, instanceId, executionId, version } = this;
    return { name, instanceId, executionId, version };
  }

  /** Warns, once for each middleware of a worker, of a value that it returned: it has no effect. */
  reportReturned(middleware: { readonly name: string }, value: unknown): void {
    // Returning what `next` resolved with changes nothing.
    if (value === undefined || Object.is(value, this.result) || warnedOfValue.has(middleware)) return;
    warnedOfValue.add(middleware);
    this.item.report(
      `Middleware "${middleware.name}" returned a value, which has no effect. ${this.remedyForReturned}`,
    );
  }
  protected abstract readonly remedyForReturned: string;

  /** The engine sets how the part inside the middleware that runs next ended. */
  settle(outcome: Outcome): void {
    this.#outcome = outcome;
  }
}

interface SuspendCallback {
  readonly level: number;
  readonly run: (reason: SuspendReason) => unknown;
}

export class OrchestrationMiddlewareContextImpl extends Context<Episode> implements OrchestrationMiddlewareContext {
  readonly kind = "orchestration";
  readonly orchestrationContext: OrchestrationContext;
  #onSuspend: SuspendCallback[] | undefined;
  readonly #levelNow: () => number;
  #logger: MiddlewareLogger | undefined;

  constructor(item: Episode, orchestrationContext: OrchestrationContext, input: unknown, levelNow: () => number) {
    super(item, input);
    this.#levelNow = levelNow;
    this.orchestrationContext = orchestrationContext;
    // Read-only for JavaScript too (X1).
    Object.freeze(this);
  }

  get parent(): ParentOrchestration | undefined {
    return this.item.parent;
  }
  get isReplaying(): boolean {
    return this.orchestrationContext.isReplaying;
  }
  protected get remedyForReturned(): string {
    return "An orchestration's result can't be replaced (O3); return nothing.";
  }
  get logger(): MiddlewareLogger {
    return (this.#logger ??= workItemLogger(this.item, () => this.isReplaying));
  }

  onSuspend(callback: (reason: SuspendReason) => unknown): void {
    if (typeof callback !== "function") throw new TypeError("onSuspend: callback must be a function.");
    (this.#onSuspend ??= []).push({ level: this.#levelNow(), run: callback });
  }

  /** Whether there are callbacks to run when the episode ends. */
  get hasSuspendCallbacks(): boolean {
    return this.#onSuspend !== undefined;
  }

  /** Runs the callbacks of the middlewares whose code is parked, last-registered first (O7). */
  suspend(reason: SuspendReason, parked: (level: number) => boolean): void {
    for (let callback = this.#onSuspend?.pop(); callback !== undefined; callback = this.#onSuspend?.pop()) {
      if (!parked(callback.level)) continue;
      const { run } = callback;
      isolate(
        () => run(reason),
        (error) => this.item.fault(`an onSuspend callback of orchestration "${this.name}" failed`, error),
      );
    }
  }
}

export class ActivityMiddlewareContextImpl extends Context<ActivityExecution> implements ActivityMiddlewareContext {
  readonly kind = "activity";
  readonly activityContext: ActivityContext;
  #logger: MiddlewareLogger | undefined;
  #replacement: Outcome | undefined;

  constructor(item: ActivityExecution, activityContext: ActivityContext, input: unknown) {
    super(item, input);
    this.activityContext = activityContext;
    // Read-only for JavaScript too (X2).
    Object.freeze(this);
  }

  get taskId(): number {
    return this.item.taskId;
  }
  protected get remedyForReturned(): string {
    return "To set the activity's result, call ctx.setResult(value) (A3).";
  }
  get logger(): MiddlewareLogger {
    return (this.#logger ??= workItemLogger(this.item));
  }

  // An arrow function, so that `const { setResult } = ctx` works.
  readonly setResult = (value: unknown): void => {
    this.#replacement = { ok: true, value };
    this.settle(this.#replacement);
  };

  /** The last result that `setResult` set; a new object for each call. */
  get replacement(): Outcome | undefined {
    return this.#replacement;
  }
}
