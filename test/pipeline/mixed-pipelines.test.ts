import { whenAll, type OrchestrationContext, type Task } from "@microsoft/durabletask-js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MiddlewareObject, OrchestrationMiddlewareContext } from "../../src/index.ts";
import type { Steps } from "../harness.ts";
import { around, expectNoUnhandledRejections, microtasks, type AnyOrchestrationMiddleware } from "./cases.ts";
import { episodesOf, live, type Lifetime } from "./episodes.ts";

expectNoUnhandledRejections();

/** What an orchestrator does, one after the other. */
type Op = { readonly do: "activity" | "fan-out" | "timer" | "caught failure" | "microtasks"; readonly n: number };
type End = { readonly how: "return" | "throw" | "fail" | "continue as new"; readonly value: fc.JsonValue };
interface Program {
  readonly ops: readonly Op[];
  readonly end: End;
  readonly shape: "generator" | "promise of a generator";
}

const program: fc.Arbitrary<Program> = fc.record({
  ops: fc.array(
    fc.record({
      do: fc.constantFrom("activity", "fan-out", "timer", "caught failure", "microtasks"),
      n: fc.integer({ min: 0, max: 3 }),
    }),
    { maxLength: 5 },
  ),
  end: fc.record({ how: fc.constantFrom("return", "throw", "fail", "continue as new"), value: fc.jsonValue() }),
  shape: fc.constantFrom("generator", "promise of a generator"),
});

interface Counts {
  starts: number;
  ends: number;
}

function orchestratorOf({ ops, end, shape }: Program, counts: Counts): (ctx: OrchestrationContext) => unknown {
  const steps = async function* (ctx: OrchestrationContext): Steps {
    counts.starts += 1;
    const results: unknown[] = [];
    for (const op of ops) {
      if (op.do === "activity") results.push(yield ctx.callActivity("echo", op.n));
      else if (op.do === "timer") yield ctx.createTimer(op.n);
      else if (op.do === "microtasks") await microtasks(op.n * 10);
      else if (op.do === "fan-out")
        results.push(yield whenAll(Array.from({ length: op.n }, (_, i) => ctx.callActivity("echo", i))));
      else {
        try {
          yield ctx.callActivity("fail", op.n);
        } catch (error) {
          results.push(String(error));
        }
      }
    }
    counts.ends += 1;
    if (end.how === "throw") throw new RangeError(JSON.stringify(end.value));
    if (end.how === "fail") yield ctx.callActivity("fail", end.value);
    if (end.how === "continue as new") ctx.continueAsNew(end.value, false);
    return [results, end.value];
  };
  return shape === "generator" ? steps : async (ctx) => steps(ctx);
}

const answer = (name: string, input: unknown): unknown => {
  if (name === "fail") throw new Error(`refused ${JSON.stringify(input)}`);
  return input;
};

/** What a middleware does before and after next; only generators can do what is durable. */
type Spice = "nothing" | "microtasks" | "activity" | "timer";

interface Written {
  readonly before: Spice;
  readonly after: Spice;
  readonly enter: (ctx: OrchestrationMiddlewareContext) => void;
  readonly leave: () => void;
}

async function* season(ctx: OrchestrationMiddlewareContext, what: Spice): AsyncGenerator<Task<unknown>, void> {
  if (what === "microtasks") await microtasks(7);
  if (what === "activity") yield ctx.orchestrationContext.callActivity("echo", "middleware");
  if (what === "timer") yield ctx.orchestrationContext.createTimer(1);
}

const brief = async (what: Spice): Promise<void> => microtasks(what === "nothing" ? 0 : 5);

/** The ways to write a middleware. */
const ways = {
  async:
    ({ before, after, enter, leave }) =>
    async (ctx, next) => {
      enter(ctx);
      await brief(before);
      try {
        return await next(ctx);
      } finally {
        await brief(after);
        leave();
      }
    },
  plain:
    ({ enter, leave }) =>
    (ctx, next) => {
      enter(ctx);
      return next(ctx)
        .then((result) => result)
        .finally(leave);
    },
  rethrowing:
    ({ after, enter, leave }) =>
    async (ctx, next) => {
      enter(ctx);
      try {
        await next(ctx);
      } catch (error) {
        await brief(after);
        throw error;
      } finally {
        leave();
      }
    },
  generator: ({ before, after, enter, leave }) =>
    async function* (ctx, next) {
      enter(ctx);
      yield* season(ctx, before);
      try {
        yield* next(ctx);
      } finally {
        yield* season(ctx, after);
        leave();
      }
    },
  "generator with await": ({ before, after, enter, leave }) =>
    async function* (ctx, next) {
      enter(ctx);
      yield* season(ctx, before);
      try {
        await next(ctx);
      } finally {
        yield* season(ctx, after);
        leave();
      }
    },
  "rethrowing generator": ({ before, after, enter, leave }) =>
    async function* (ctx, next) {
      enter(ctx);
      yield* season(ctx, before);
      try {
        yield* next(ctx);
      } catch (error) {
        yield* season(ctx, after);
        throw error;
      } finally {
        leave();
      }
    },
} satisfies Record<string, (written: Written) => AnyOrchestrationMiddleware>;

interface Recipe {
  readonly way: keyof typeof ways;
  readonly before: Spice;
  readonly after: Spice;
}

const spice: fc.Arbitrary<Spice> = fc.constantFrom("nothing", "microtasks", "activity", "timer");
const recipe: fc.Arbitrary<Recipe> = fc.record({
  way: fc.constantFrom("async", "plain", "rethrowing", "generator", "generator with await", "rethrowing generator"),
  before: spice,
  after: spice,
});

function middlewareOf({ way, before, after }: Recipe, log: string[], name: string): MiddlewareObject {
  const enter = (ctx: OrchestrationMiddlewareContext): void => {
    log.push(`${name} before`);
    ctx.onSuspend(() => log.push(`${name} suspended`));
  };
  return around(name, ways[way]({ before, after, enter, leave: () => void log.push(`${name} after`) }));
}

/** How the execution ended, without the number of its last action. */
const endOf = (lifetime: Lifetime): string | undefined =>
  lifetime
    .at(-1)
    ?.find((action) => /^\d+ (completed|failed|continued)/.test(action))
    ?.replace(/^\d+ /, "");

/** The SDK's messages have the number of an activity, which is higher where middleware schedules some. */
const unnumbered = (end: string | undefined): string | undefined => end?.replaceAll(/#\d+/g, "#");

async function compare(
  each: Program,
  recipes: readonly Recipe[],
): Promise<{ bare: Lifetime; ours: Lifetime; counts: Counts; log: string[] }> {
  const bare = await live(episodesOf(orchestratorOf(each, { starts: 0, ends: 0 })), answer);
  const counts: Counts = { starts: 0, ends: 0 };
  const log: string[] = [];
  const use = recipes.map((one, index) => middlewareOf(one, log, `m${index}`));
  const ours = await live(episodesOf(orchestratorOf(each, counts), { use }), answer);
  return { bare, ours, counts, log };
}

describe("Any mix of middlewares at any depth, around any orchestrator,", () => {
  it("O2 O3 O8 O9 O10 ends as without, and the user's function runs once in each episode that reaches it", async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.array(recipe, { maxLength: 6 }), async (each, recipes) => {
        const { bare, ours, counts } = await compare(each, recipes);
        expect(unnumbered(endOf(ours))).toBe(unnumbered(endOf(bare)));
        expect(counts.starts).toBeLessThanOrEqual(ours.length);
        // Durable steps after next replay the orchestrator's end, once in each episode.
        expect(counts.ends).toBeGreaterThanOrEqual(1);
        expect(counts.ends).toBeLessThanOrEqual(counts.starts);
      }),
      { numRuns: 300 },
    );
  });

  it("O8 does the very same, episode by episode, where no middleware schedules anything", async () => {
    const quiet = recipe.map((one): Recipe => {
      const still = (what: Spice): Spice => (what === "nothing" ? "nothing" : "microtasks");
      return { ...one, before: still(one.before), after: still(one.after) };
    });
    await fc.assert(
      fc.asyncProperty(program, fc.array(quiet, { minLength: 1, maxLength: 6 }), async (each, recipes) => {
        const { bare, ours, counts } = await compare(each, recipes);
        expect(ours).toEqual(bare);
        expect(counts.starts).toBe(ours.length);
      }),
      { numRuns: 300 },
    );
  });

  it("O6 O7 runs before next outermost first and after it innermost first, and each episode's opening has one closing", async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.array(recipe, { minLength: 1, maxLength: 6 }), async (each, recipes) => {
        const { ours, log } = await compare(each, recipes);
        const open: string[] = [];
        for (const line of log) {
          const [name = "", what] = line.split(" ");
          if (what === "before") open.push(name);
          else expect(open.pop()).toBe(name);
        }
        expect(open).toEqual([]);
        expect(log.filter((line) => line === "m0 before")).toHaveLength(ours.length);
        // Once it has continued as new, the SDK gives no more resumes: a durable step after next never ends.
        if (each.end.how !== "continue as new") expect(log.at(-1)).toBe("m0 after");
        expect(log.filter((line) => line === "m0 after").length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });
});
