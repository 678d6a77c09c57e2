/** Workflows as data: what an orchestrator of the property tests does, and how to make such workflows at random. */
import {
  EntityInstanceId,
  RetryPolicy,
  whenAll,
  whenAny,
  type LockHandle,
  type OrchestrationContext,
  type Task,
} from "@microsoft/durabletask-js";
import * as fc from "fast-check";

/** Something that an orchestrator can wait for. The name of an activity or child says how it ends; see `simulate.ts`. */
export type Wait =
  | {
      readonly wait: "activity" | "child";
      readonly outcome: Outcome;
      readonly input: unknown;
      readonly attempts?: number;
    }
  | { readonly wait: "timer"; readonly seconds: number }
  | { readonly wait: "event"; readonly name: string }
  /** An operation of an entity; its name says how it ends. */
  | { readonly wait: "entity"; readonly key: string; readonly outcome: Outcome; readonly input: unknown }
  | { readonly wait: "all" | "any"; readonly of: readonly Wait[] };

/** `flaky` fails at the first attempt. */
export type Outcome = "ok" | "fail" | "flaky";

export type Step =
  | { readonly do: "wait"; readonly for: Wait; readonly caught: boolean }
  | { readonly do: "start"; readonly what: Wait }
  /** Calls entities, one after the other, while it has the locks of some. */
  | {
      readonly do: "lock";
      readonly keys: readonly string[];
      readonly calls: readonly Wait[];
      readonly releases: boolean;
    }
  | {
      readonly do: "signal";
      readonly key: string;
      readonly operation: string;
      readonly input: unknown;
      readonly delayed: boolean;
    }
  | { readonly do: "status"; readonly value: unknown }
  /** A custom status that JSON cannot represent. */
  | { readonly do: "bad status"; readonly what: "bigint" | "cycle" | "getter" | "function" }
  | { readonly do: "send"; readonly to: string; readonly event: string; readonly data: unknown }
  | { readonly do: "time" }
  | { readonly do: "microtasks"; readonly count: number }
  | { readonly do: "throw"; readonly what: "error" | "text" | "nothing" }
  | { readonly do: "yield no task" }
  | { readonly do: "return"; readonly value: unknown }
  | { readonly do: "continueAsNew"; readonly saveEvents: boolean };

export interface Program {
  readonly steps: readonly Step[];
  /** What it continues as. */
  readonly continued?: Program;
}

const entity = (key: string): EntityInstanceId => new EntityInstanceId("Counter", key);

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
    case "entity":
      return ctx.entities.callEntity<unknown>(entity(wait.key), wait.outcome, wait.input);
    case "all":
      return whenAll(wait.of.map((each) => start(ctx, each)));
    default:
      return whenAny(wait.of.map((each) => start(ctx, each)));
  }
}

function badStatus(what: Extract<Step, { do: "bad status" }>["what"]): unknown {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  switch (what) {
    case "bigint":
      return 1n;
    case "cycle":
      return cycle;
    case "function":
      return badStatus;
    default:
      return {
        get secret(): never {
          throw new RangeError("a getter that throws");
        },
      };
  }
}

/** Does a step that waits for nothing durable; tells whether the orchestrator ends with it. */
async function act(ctx: OrchestrationContext, step: Step, program: Program, log: unknown[]): Promise<boolean> {
  switch (step.do) {
    case "start":
      start(ctx, step.what);
      return false;
    case "signal":
      ctx.entities.signalEntity(
        entity(step.key),
        step.operation,
        step.input,
        step.delayed ? { signalTime: new Date(Date.UTC(2031, 0, 1)) } : {},
      );
      return false;
    case "status":
      ctx.setCustomStatus(step.value);
      return false;
    case "bad status":
      try {
        ctx.setCustomStatus(badStatus(step.what));
      } catch (error) {
        log.push(String(error), String((error as Error).cause));
      }
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

async function* critical(
  ctx: OrchestrationContext,
  { keys, calls, releases }: Extract<Step, { do: "lock" }>,
  log: unknown[],
): AsyncGenerator<Task<unknown>, void, unknown> {
  try {
    const lock = (yield ctx.entities.lockEntities(...keys.map(entity))) as LockHandle;
    log.push(ctx.entities.isInCriticalSection().inSection);
    try {
      for (const call of calls) log.push(yield start(ctx, call));
    } finally {
      if (releases) lock.release();
    }
  } catch (error) {
    // A call of an entity whose lock it does not have, or a lock inside a lock.
    log.push(String(error));
  }
}

/** An orchestrator that does what its input says. */
export async function* durable(
  ctx: OrchestrationContext,
  program: Program,
): AsyncGenerator<Task<unknown>, unknown, unknown> {
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
    } else if (step.do === "lock") {
      yield* critical(ctx, step, log);
    } else if (step.do === "yield no task") {
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
const eventName = fc.constantFrom("approval", "Cancel", "tick", "6F9619FF-8b86-4d01-b42d-00cf4fc964ff");
const outcome = fc.constantFrom<Outcome>("ok", "ok", "fail", "flaky");

const key = fc.constantFrom("a", "B", "@c");
const call: fc.Arbitrary<Wait> = fc.record({ wait: fc.constant("entity"), key, outcome, input: value });

const task: fc.Arbitrary<Wait> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      { wait: fc.constant("activity"), outcome, input: value, attempts: fc.constantFrom(2, 3) },
      { requiredKeys: ["wait", "outcome", "input"] },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      { wait: fc.constant("child"), outcome, input: value, attempts: fc.constant(2) },
      { requiredKeys: ["wait", "outcome", "input"] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ wait: fc.constant("timer"), seconds: fc.integer({ min: 0, max: 100 }) }) },
  { weight: 2, arbitrary: fc.record({ wait: fc.constant("event"), name: eventName }) },
  { weight: 2, arbitrary: call },
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
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("bad status"),
      what: fc.constantFrom("bigint", "cycle", "getter", "function"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("send"),
      to: fc.constantFrom("other", "instance"),
      event: eventName,
      data: value,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("signal"),
      key,
      operation: fc.constantFrom("add", "__proto__"),
      input: value,
      delayed: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("lock"),
      keys: fc.array(key, { maxLength: 2 }),
      calls: fc.array(call, { maxLength: 2 }),
      releases: fc.constantFrom(true, true, false),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "time" }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("microtasks"), count: fc.integer({ min: 1, max: 30 }) }) },
);
const end: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("return"), value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("throw"), what: fc.constantFrom("error", "text", "nothing") }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "yield no task" }) },
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
