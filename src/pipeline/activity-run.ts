import { types } from "node:util";
import type { ActivityContext } from "@microsoft/durabletask-js";
import { ActivityMiddlewareContextImpl, type Outcome } from "./context.ts";
import { brokenRules, joinFailures, MiddlewareContractError } from "./errors.ts";
import type { ActivityMiddleware } from "./middleware.ts";
import { NextPromise } from "./next-promise.ts";
import type { Stage } from "./pipeline.ts";
import { fulfillment, isThenable } from "./thenable.ts";
import type { ActivityWorkItem } from "./work-item.ts";

/** An activity function, as the SDK registers it. */
export type Activity = (ctx: ActivityContext, input: unknown) => unknown;

/**
 * Runs one activity under the pipeline and settles as the activity must: with the activity's own result or the one
 * that a middleware set, or with what failed (contract.md A1 to A6).
 */
export async function runActivity(
  item: ActivityWorkItem,
  stages: readonly Stage<ActivityMiddleware>[],
  activity: Activity,
  context: ActivityContext,
  input: unknown,
): Promise<unknown> {
  const ctx = new ActivityMiddlewareContextImpl(item, context, input);
  const run = async (level: number, outer: Frame | undefined): Promise<Outcome> => {
    const stage = stages[level];
    if (stage === undefined) return outcomeOf(() => activity(context, input), types.isPromise);
    const frame: Frame = new Frame(stage, ctx, outer, () => run(level + 1, frame));
    return frame.run();
  };
  const outcome = await run(0, undefined);
  if (outcome.ok) return resultFor(outcome.value);
  throw outcome.error;
}

/** How `fn` ended. A result that `isAwaited` is awaited: the SDK awaits an activity's promise, and no other thenable. */
async function outcomeOf(fn: () => unknown, isAwaited: (value: unknown) => boolean = isThenable): Promise<Outcome> {
  try {
    const value = fn();
    return { ok: true, value: isAwaited(value) ? await value : value };
  } catch (error) {
    return { ok: false, error };
  }
}

/** What the SDK gets, from a promise, for a result: a thenable stays one, and is serialized as without the pipeline (D3). */
function resultFor(value: unknown): unknown {
  return !types.isPromise(value) && isThenable(value) ? new Unawaited(value) : value;
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

/** A middleware during one activity. */
class Frame {
  readonly #stage: Stage<ActivityMiddleware>;
  readonly #ctx: ActivityMiddlewareContextImpl;
  readonly #outer: Frame | undefined;
  readonly #runInside: () => Promise<Outcome>;
  #inner: Outcome | undefined;
  #called = false;
  #next: NextPromise<unknown> | undefined;
  // Rules that it broke; they can't be swallowed (A5).
  readonly #broken: MiddlewareContractError[] = [];
  // What was set before the code that counts: a result counts if it was set since.
  #setBefore: { readonly value: unknown } | undefined;
  #ended = false;

  constructor(
    stage: Stage<ActivityMiddleware>,
    ctx: ActivityMiddlewareContextImpl,
    outer: Frame | undefined,
    runInside: () => Promise<Outcome>,
  ) {
    this.#stage = stage;
    this.#ctx = ctx;
    this.#outer = outer;
    this.#runInside = runInside;
    this.#setBefore = ctx.replacement;
  }

  async run(): Promise<Outcome> {
    // Functions get no `this`; methods of middleware objects are bound.
    const { run } = this.#stage;
    const own = await outcomeOf(() => run(this.#ctx, (given) => this.#callNext(given)));
    this.#ended = true;
    const set = this.#set;
    const problem = this.#endProblem(own, set !== undefined);
    if (problem !== undefined) this.#break("A1", problem);
    if (own.ok) this.#ctx.reportReturned(this.#stage, own.value);

    const failures: unknown[] = [];
    // A result that was set after the failure recovers from it (A3), but not from a broken rule (A5); catching alone
    // does not recover (A4).
    if (this.#inner?.ok === false) failures.push(...(set === undefined ? [this.#inner.error] : brokenRules(this.#inner.error)));
    failures.push(...this.#broken);
    if (!own.ok) failures.push(own.error);
    if (failures.length > 0) return { ok: false, error: joinFailures(failures) };
    return set === undefined ? (this.#inner ?? own) : { ok: true, value: set.value };
  }

  /** Whether neither this middleware nor one outside of it has ended. */
  get #counts(): boolean {
    return !this.#ended && (this.#outer === undefined || this.#outer.#counts);
  }

  /** The result that this middleware set and that nothing inside has overtaken. */
  get #set(): { readonly value: unknown } | undefined {
    const { replacement } = this.#ctx;
    return replacement === this.#setBefore ? undefined : replacement;
  }

  #callNext(given: unknown): NextPromise<unknown> {
    const refusal = this.#refusal(given);
    if (refusal !== undefined) return NextPromise.rejected(refusal);
    // Before the inside runs: it may hold this `next`, and must not get through a second time (O2).
    this.#called = true;
    const next = new NextPromise<unknown>((resolve, reject) => {
      void this.#runInside().then((inner) => {
        this.#inner = inner;
        this.#setBefore = this.#ctx.replacement;
        // What comes after this or an outer middleware ended no longer counts: those outside see another outcome.
        if (this.#counts) this.#ctx.settle(inner);
        next.contain();
        if (inner.ok) resolve(fulfillment(inner.value));
        else reject(inner.error);
      });
    });
    this.#next = next;
    return next;
  }

  #refusal(given: unknown): MiddlewareContractError | undefined {
    if (this.#called) return this.#break("A1", "it called next a second time; call it at most once.");
    if (given !== this.#ctx) {
      return this.#break("A1", "it called next with some other context; pass on the ctx it got: await next(ctx).");
    }
    if (this.#set !== undefined) return this.#break("A2", "it called next after setResult; do one or the other.");
    if (this.#ended) return this.#break("A1", "it called next after it had ended; write await next(ctx).");
    return undefined;
  }

  #endProblem(own: Outcome, set: boolean): string | undefined {
    if (this.#next === undefined) {
      const forgot = own.ok && !set && this.#broken.length === 0;
      return forgot ? "it neither called next nor setResult; call await next(ctx) or ctx.setResult(value)." : undefined;
    }
    if (this.#inner === undefined && own.ok) return "it did not await next and ended before the rest did; write await next(ctx).";
    return this.#next.observed ? undefined : "it did not await next; write await next(ctx).";
  }

  #break(rule: "A1" | "A2", problem: string): MiddlewareContractError {
    const error = new MiddlewareContractError(this.#stage.name, rule, problem);
    this.#broken.push(error);
    return error;
  }
}
