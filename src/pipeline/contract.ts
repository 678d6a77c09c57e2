import type { Outcome } from "./context.ts";
import type { ContractRule } from "./errors.ts";
import type { NextPromise } from "./next-promise.ts";

/** The rules of one kind of task, and how often its middleware calls `next`. */
export interface ContractRules {
  readonly rule: ContractRule;
  readonly times: string;
  /** The error of a middleware that ended without calling `next`, or what it may do instead. */
  readonly forgotten: string;
}

/** contract.md O1. */
export const orchestrationRules: ContractRules = {
  rule: "O1",
  times: "exactly once",
  forgotten: "it ended without calling next; call await next(ctx) exactly once.",
};

/** contract.md A1. */
export const activityRules: ContractRules = {
  rule: "A1",
  times: "at most once",
  forgotten: "it neither called next nor setResult; call await next(ctx) or ctx.setResult(value).",
};

interface Checked {
  readonly next: NextPromise<unknown> | undefined;
  readonly inner: Outcome | undefined;
  readonly broken: readonly unknown[] | undefined;
}

/** The error of a call of `next`, in either kind of task. */
export function nextProblem(
  { rule, times }: ContractRules,
  frame: Checked,
  isOwnContext: boolean,
): readonly [ContractRule, string] | undefined {
  if (frame.next !== undefined) return [rule, `it called next a second time; call it ${times}.`];
  if (!isOwnContext) return [rule, "it called next with some other context; pass on the ctx it got: await next(ctx)."];
  return undefined;
}

/** The error of how a middleware's code ended. */
export function endProblem(
  { rule, forgotten }: ContractRules,
  frame: Checked,
  own: Outcome,
  hasResult: boolean,
): string | undefined {
  if (frame.next === undefined) {
    // A middleware that throws before it calls `next` fails with its own error (O4). In an activity, a rejected call of
    // `next` is reported alone; in an orchestration `next` is missing as well.
    const isForgotten = own.ok && !hasResult && (rule === "O1" || frame.broken === undefined);
    return isForgotten ? forgotten : undefined;
  }
  if (frame.inner === undefined && own.ok)
    return "it did not await next and ended before the rest did; write await next(ctx).";
  return frame.next.observed ? undefined : "it did not await next; write await next(ctx).";
}
