/** Random workflows: a program is the input of one workflow, which interprets it. */
import type { WorkflowContext, WorkflowRuntime } from "@dapr/dapr";
import * as fc from "fast-check";
import type { Steps } from "./fixture.ts";

/** What a workflow does next. */
export type Step =
  | {
      readonly kind: "activity";
      readonly name: "echo" | "sync" | "error" | "string" | "number";
      readonly caught: boolean;
    }
  | { readonly kind: "timer" }
  | { readonly kind: "child"; readonly program: Program; readonly caught: boolean }
  | { readonly kind: "all" | "any"; readonly count: number }
  | { readonly kind: "status" }
  | { readonly kind: "throw"; readonly what: "error" | "string" };

/** What it does, and how often it then continues as new. */
export interface Program {
  readonly steps: readonly Step[];
  readonly again: number;
}

const step = (depth: number): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("activity" as const),
        name: fc.constantFrom("echo", "sync", "error", "string", "number"),
        caught: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("timer" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom("all" as const, "any" as const),
        count: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("status" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("throw" as const), what: fc.constantFrom("error", "string") }),
    },
    ...(depth === 0
      ? []
      : [
          {
            weight: 2,
            arbitrary: fc.record({
              kind: fc.constant("child" as const),
              program: program(depth - 1),
              caught: fc.boolean(),
            }),
          },
        ]),
  );

/** Programs whose sub-workflows lie that deep. */
export function program(depth: number): fc.Arbitrary<Program> {
  return fc.record({ steps: fc.array(step(depth), { maxLength: 5 }), again: fc.nat({ max: 2 }) });
}

/** Registers the workflow `program`, and its activities. */
export function registerPrograms(runtime: WorkflowRuntime): void {
  runtime.registerActivityWithName("echo", async (_: unknown, value: unknown) => value);
  runtime.registerActivityWithName("sync", (_: unknown, value: unknown) => [value]);
  runtime.registerActivityWithName("error", async () => {
    throw new RangeError("out of range");
  });
  runtime.registerActivityWithName("string", async () => {
    throw "a string";
  });
  runtime.registerActivityWithName("number", () => {
    throw 42;
  });
  runtime.registerWorkflowWithName("program", async function* (ctx: WorkflowContext, { steps, again }: Program): Steps {
    const results: unknown[] = [];
    for (const [index, each] of steps.entries()) {
      // What an execution leaves behind reaches the next one, as Dapr knows the activities of an instance by their number alone.
      if (each.kind === "any" && again > 0) continue;
      try {
        results.push(yield* runStep(ctx, each, index));
      } catch (error) {
        if (!("caught" in each && each.caught)) throw error;
        results.push(String(error));
      }
    }
    if (again > 0) ctx.continueAsNew({ steps, again: again - 1 }, false);
    return results;
  });
}

async function* runStep(ctx: WorkflowContext, each: Step, index: number): Steps {
  switch (each.kind) {
    case "activity":
      return yield ctx.callActivity(each.name, index + 1);
    case "timer":
      return yield ctx.createTimer(0.001);
    case "child":
      return yield ctx.callSubWorkflow("program", each.program);
    case "all":
      return yield ctx.whenAll(Array.from({ length: each.count }, (_, at) => ctx.callActivity("echo", at + 1)));
    case "any":
      yield ctx.whenAny(Array.from({ length: each.count }, (_, at) => ctx.callActivity("echo", at + 1)));
      return "any";
    case "status":
      ctx.setCustomStatus(`at ${index}`);
      return "status";
    default:
      throw each.what === "error" ? new TypeError("wrong") : "wrong";
  }
}
