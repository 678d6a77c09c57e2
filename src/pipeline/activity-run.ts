import { isPromise } from "node:util/types";
import type { ActivityContext } from "@microsoft/durabletask-js";
import { ActivityMiddlewareContextImpl, type Outcome } from "./context.ts";
import { activityRules } from "./contract.ts";
import { brokenRules, type ContractRule } from "./errors.ts";
import type { Stage } from "./stage.ts";
import type { ActivityMiddleware } from "./middleware.ts";
import { NextPromise } from "./next-promise.ts";
import { TaskRun, type Frame } from "./task-run.ts";
import { isThenable } from "./thenable.ts";
import type { ActivityExecution } from "./execution.ts";

/** An activity function, as the SDK registers it. */
export type Activity = (ctx: ActivityContext, input: unknown) => unknown;

/**
 * Runs one activity under the pipeline and settles as the activity must: with the activity's own result or the one
 * that a middleware set, or with what failed (contract.md A1 to A6).
 */
export function runActivity(
  item: ActivityExecution,
  stages: readonly Stage<ActivityMiddleware>[],
  activity: Activity,
  context: ActivityContext,
  input: unknown,
): Promise<unknown> {
  return new Promise((resolve, reject) =>
    new ActivityRun(item, stages, activity, context, input, resolve, reject).start(),
  );
}

class ActivityRun extends TaskRun<ActivityMiddlewareContextImpl> {
  readonly #activity: Activity;
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: unknown) => void;
  // By a frame's index: the last result that was set before the frame's code ran, or went on after `next`. If another is
  // set when the code ends, the middleware set it.
  readonly #setBefore: unknown[] = [];

  constructor(
    item: ActivityExecution,
    stages: readonly Stage<ActivityMiddleware>[],
    activity: Activity,
    context: ActivityContext,
    input: unknown,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super(new ActivityMiddlewareContextImpl(item, context, input), stages, activityRules);
    this.#activity = activity;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    this.enter(0);
  }

  protected override enter(level: number): void {
    this.#setBefore[level] = this.ctx.replacement;
    super.enter(level);
  }

  protected override startTask(): void {
    const level = this.layers.length;
    let value: unknown;
    try {
      const activity = this.#activity;
      value = activity(this.ctx.activityContext, this.ctx.input);
    } catch (error) {
      return this.settleInside(level, { ok: false, error });
    }
    // The SDK awaits an activity's promise, and no other thenable.
    if (isPromise(value)) void this.#settleWith(level, value);
    else this.settleInside(level, { ok: true, value });
  }

  async #settleWith(level: number, running: Promise<unknown>): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { ok: true, value: await running };
    } catch (error) {
      outcome = { ok: false, error };
    }
    this.settleInside(level, outcome);
  }

  protected override settleInside(level: number, outcome: Outcome): void {
    if (level > 0) this.#setBefore[level - 1] = this.ctx.replacement;
    super.settleInside(level, outcome);
  }

  protected override ended(outcome: Outcome): void {
    if (!outcome.ok) return this.#reject(outcome.error);
    try {
      this.#resolve(resultFor(outcome.value));
    } catch (error) {
      // A result that can't be looked at, a proxy that has been revoked say, fails the activity.
      this.#reject(error);
    }
  }

  protected override refusal(frame: Frame): readonly [ContractRule, string] | undefined {
    if (this.resultOf(frame) !== undefined) return ["A2", "it called next after setResult; do one or the other."];
    if (frame.state === "ended") return ["A1", "it called next after it had ended; write await next(ctx)."];
    if (frame.state === "dead") return ["A1", "it called next after a middleware outside of it had ended."];
    return undefined;
  }

  // The result that this middleware set and that nothing inside has overtaken.
  protected override resultOf({ index }: Frame): Outcome | undefined {
    const { replacement } = this.ctx;
    return replacement === this.#setBefore[index] ? undefined : replacement;
  }

  // A result that was set after the failure recovers from it (A3), but not from a broken rule (A5); catching alone does
  // not recover (A4).
  protected override failuresInside(error: unknown, result: Outcome | undefined): readonly unknown[] {
    return result === undefined ? [error] : brokenRules(error);
  }
}

/** What the SDK gets, from a promise, for a result: a thenable stays one, and is serialized as without the pipeline (D3). */
function resultFor(value: unknown): unknown {
  // What is chained to `next` is a promise, though no native one.
  return !isPromise(value) && isThenable(value) && !(value instanceof NextPromise) ? new Unawaited(value) : value;
}

/** Serializes as the thenable in it does. */
class Unawaited {
  readonly #thenable: { readonly toJSON?: unknown };

  constructor(thenable: object) {
    this.#thenable = thenable;
  }

  toJSON(key: string): unknown {
    const thenable = this.#thenable;
    const { toJSON } = thenable;
    return typeof toJSON === "function" ? (toJSON.call(thenable, key) as unknown) : thenable;
  }
}
