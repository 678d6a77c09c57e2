/** Activities, each run once under its own pipeline. */
import { TaskFailedError, type ActivityContext, type OrchestrationContext } from "@microsoft/durabletask-js";
import type { ActivityMiddleware, MiddlewareObject } from "../../src/index.ts";
import type { Hub, Steps } from "../harness.ts";
import { outputOf, run, unique } from "./cases.ts";

/** Code around an activity as JavaScript may have it: the public type says that it returns nothing. */
export type AnyActivityMiddleware = (...args: Parameters<ActivityMiddleware>) => unknown;

/** A middleware around activities alone. */
export const activityMiddleware = (name: string, activity: AnyActivityMiddleware): MiddlewareObject => ({
  name,
  activity: activity as ActivityMiddleware,
});

/** How an activity ended, as its orchestrator and then the client see it. */
export type Ended = { readonly result: unknown } | { readonly failed: string };

export type ActivityFunction = (ctx: ActivityContext, input: unknown) => unknown;

/** Runs an activity once, in an orchestration. */
export async function runActivity(
  hub: Hub,
  activityFunction: ActivityFunction,
  use: readonly MiddlewareObject[],
  input?: unknown,
): Promise<Ended> {
  const name = unique("activity");
  const state = await run(hub, {
    activities: { [name]: activityFunction },
    use,
    orchestrator: async function* (ctx: OrchestrationContext): Steps<Ended> {
      try {
        return { result: (yield ctx.callActivity(name, input)) ?? null };
      } catch (error) {
        if (!(error instanceof TaskFailedError)) throw error;
        // The SDK puts the number of the task before the activity's own message.
        return { failed: `${error.details.errorType}: ${error.message.replace(/^Activity task #\d+ failed: /, "")}` };
      }
    },
  });
  return outputOf(state) as Ended;
}

/** An activity function that counts its runs. */
export function counted(activityFunction: ActivityFunction = () => "body"): {
  runs: number;
  readonly activityFunction: ActivityFunction;
} {
  const counts = {
    runs: 0,
    activityFunction: (ctx: ActivityContext, input: unknown): unknown => {
      counts.runs += 1;
      return activityFunction(ctx, input);
    },
  };
  return counts;
}

/** An activity function that fails. */
export const failing: ActivityFunction = () => {
  throw new RangeError("card refused");
};
