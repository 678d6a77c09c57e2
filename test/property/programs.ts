/** Workflows as data: what an orchestrator of the property tests does, and how to make such workflows at random. */
import { RetryPolicy, whenAll, whenAny, type OrchestrationContext, type Task } from "@microsoft/durabletask-js";
import * as fc from "fast-check";

/** Something that an orchestrator can wait for. The name of an activity or child says how it ends; see `simulate.ts`. */
export type Wait =
  | { readonly wait: "activity" | "child"; readonly outcome: Outcome; readonly input: unknown; readonly attempts?: number }
  | { readonly wait: "timer"; readonly seconds: number }
  | { readonly wait: "event"; readonly name: string }
  | { readonly wait: "all" | "any"; readonly of: readonly Wait[] };

/** `flaky` fails at the first attempt. */
export type Outcome = "ok" | "fail" | "flaky";

export type Step =
  | { readonly do: "wait"; readonly for: Wait; readonly caught: boolean }
  | { readonly do: "start"; readonly what: Wait }
  | { readonly do: "status"; readonly value: unknown }
  | { readonly do: "send"; readonly to: string; readonly event: string; readonly data: unknown }
  | { readonly do: "time" }
  | { readonly do: "microtasks"; readonly count: number }
  | { readonly do: "throw"; readonly what: "error" | "text" | "nothing" }
  | { readonly do: "yield rubbish" }
  | { readonly do: "return"; readonly value: unknown }
  | { readonly do: "continueAsNew"; readonly saveEvents: boolean };

export interface Program {
  readonly steps: readonly Step[];
  /** What it continues as. */
  readonly continued?: Program;
}

function start(ctx: OrchestrationContext, wait: Wait): Task<unknown> {
  switch (wait.wait) {
    case "activity":
    case "child": {
      const options =
        wait.attempts === undefined
          ? {}
          : { retry: new RetryPolicy({ maxNumberOfAttempts: wait.attempts, firstRetryIntervalInMilliseconds: 1000 }) };
      return wait.wait === "activity"
        ? ctx.callActivity(wait.outcome, wait.input, options)
        : ctx.callSubOrchestrator(wait.outcome, wait.input, options);
    }
    case "timer":
      return ctx.createTimer(wait.seconds);
    case "event":
      return ctx.waitForExternalEvent(wait.name);
    case "all":
      return whenAll(wait.of.map((each) => start(ctx, each)));
    default:
      return whenAny(wait.of.map((each) => start(ctx, each)));
  }
}

/** Does a step that waits for nothing durable; tells whether the orchestrator ends with it. */
async function act(ctx: OrchestrationContext, step: Step, program: Program, log: unknown[]): Promise<boolean> {
  switch (step.do) {
    case "start":
      start(ctx, step.what);
      return false;
    case "status":
      ctx.setCustomStatus(step.value);
      return false;
    case "send":
      ctx.sendEvent(step.to, step.event, step.data);
      return false;
    case "time":
      log.push(ctx.newGuid(), ctx.currentUtcDateTime.toISOString());
      return false;
    case "microtasks":
      for (let count = 0; count < step.count; count += 1) await Promise.resolve();
      return false;
    case "throw":
      if (step.what === "error") throw new RangeError("thrown", { cause: new Error("inner") });
      // Orchestrators may throw anything.
      throw step.what === "text" ? "a text" : undefined;
    case "continueAsNew":
      ctx.continueAsNew(program.continued ?? { steps: [] }, step.saveEvents);
      return true;
    case "return":
      log.push(step.value);
      return true;
    default:
      return false;
  }
}

/** An orchestrator that does what its input says. */
export async function* durable(ctx: OrchestrationContext, program: Program): AsyncGenerator<Task<unknown>, unknown, unknown> {
  const log: unknown[] = [];
  for (const step of program.steps) {
    if (step.do === "wait") {
      try {
        const value = yield start(ctx, step.for);
        // A task that won a race has no JSON.
        log.push(step.for.wait === "any" ? "one of them" : value);
      } catch (error) {
        if (!step.caught) throw error;
        log.push(String(error));
      }
    } else if (step.do === "yield rubbish") {
      yield step as unknown as Task<unknown>;
    } else if (await act(ctx, step, program, log)) {
      break;
    }
  }
  return log;
}

/** The same without durable waits, as a plain async function. */
export async function plain(ctx: OrchestrationContext, program: Program): Promise<unknown> {
  const log: unknown[] = [];
  for (const step of program.steps) {
    if (await act(ctx, step, program, log)) break;
  }
  return log;
}

const value = fc.oneof(fc.constant(undefined), fc.jsonValue({ maxDepth: 1 }));
const eventName = fc.constantFrom("approval", "Cancel", "tick");
const outcome = fc.constantFrom<Outcome>("ok", "ok", "fail", "flaky");

const task: fc.Arbitrary<Wait> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ wait: fc.constant("activity"), outcome, input: value, attempts: fc.constantFrom(2, 3) }, { requiredKeys: ["wait", "outcome", "input"] }) },
  { weight: 2, arbitrary: fc.record({ wait: fc.constant("child"), outcome, input: value, attempts: fc.constant(2) }, { requiredKeys: ["wait", "outcome", "input"] }) },
  { weight: 2, arbitrary: fc.record({ wait: fc.constant("timer"), seconds: fc.integer({ min: 0, max: 100 }) }) },
  { weight: 2, arbitrary: fc.record({ wait: fc.constant("event"), name: eventName }) },
);
const wait: fc.Arbitrary<Wait> = fc.oneof(
  { weight: 3, arbitrary: task },
  { weight: 1, arbitrary: fc.record({ wait: fc.constant("all"), of: fc.array(task, { maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ wait: fc.constant("any"), of: fc.array(task, { minLength: 1, maxLength: 4 }) }) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("wait"), for: wait, caught: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("start"), what: wait }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("status"), value }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("send"), to: fc.constantFrom("other", "instance"), event: eventName, data: value }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "time" }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("microtasks"), count: fc.integer({ min: 1, max: 30 }) }) },
);
const end: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("return"), value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("throw"), what: fc.constantFrom("error", "text", "nothing") }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "yield rubbish" }) },
);
const steps = fc.tuple(fc.array(step, { maxLength: 7 }), end).map(([list, last]) => [...list, last]);

/** A random workflow; one in four continues as new, once. */
export const programs: fc.Arbitrary<Program> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ steps }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.array(step, { maxLength: 4 }), fc.boolean(), steps).map(([list, saveEvents, second]) => ({
      steps: [...list, { do: "continueAsNew", saveEvents } satisfies Step],
      continued: { steps: second },
    })),
  },
);
