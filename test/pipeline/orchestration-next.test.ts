import { beforeAll, describe, expect, it } from "vitest";
import {
  MiddlewareContractError,
  type MiddlewareObject,
  type OrchestrationMiddlewareContext,
  type OrchestrationNext,
} from "../../src/index.ts";
import { startHub, type Hub } from "../harness.ts";
import {
  around,
  expectNoUnhandledRejections,
  failureOf,
  microtasks,
  outputOf,
  run,
  twoSteps,
  type AnyOrchestrationMiddleware,
} from "./cases.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

type Wrong = readonly [what: string, problem: string, middleware: AnyOrchestrationMiddleware];

const missing = "it ended without calling next";
const unawaited = "it did not await next";
const second = "it called next a second time";
const foreign = "it called next with some other context";

const wrongs: readonly Wrong[] = [
  ["an async function that never calls it", missing, async () => undefined],
  ["an async function that never calls it and returns a value", missing, async () => "mine"],
  ["a function that never calls it", missing, () => Promise.resolve()],
  ["a generator that never calls it", missing, async function* () {}],
  [
    "a second call, awaited",
    second,
    async (ctx, next) => {
      await next(ctx);
      await next(ctx);
    },
  ],
  [
    "a second call, awaited and caught",
    second,
    async (ctx, next) => {
      await next(ctx);
      await next(ctx).catch(() => undefined);
    },
  ],
  [
    "a second call, ignored",
    second,
    async (ctx, next) => {
      await next(ctx);
      void next(ctx);
    },
  ],
  [
    "a second call while the first runs, ignored",
    second,
    async (ctx, next) => {
      const first = next(ctx);
      void next(ctx);
      await first;
    },
  ],
  [
    "a second call, chained with then only",
    second,
    async (ctx, next) => {
      await next(ctx);
      void next(ctx).then(() => undefined);
    },
  ],
  [
    "a second call, chained with finally only",
    second,
    async (ctx, next) => {
      await next(ctx);
      void next(ctx).finally(() => undefined);
    },
  ],
  [
    "a second call, chained at length",
    second,
    async (ctx, next) => {
      await next(ctx);
      void next(ctx)
        .finally(() => undefined)
        .then(() => undefined)
        .then(undefined, undefined)
        .finally(() => undefined);
    },
  ],
  [
    "a second call, iterated",
    second,
    async function* (ctx, next) {
      yield* next(ctx);
      yield* next(ctx);
    },
  ],
  [
    "a second call, iterated and caught",
    second,
    async function* (ctx, next) {
      yield* next(ctx);
      try {
        yield* next(ctx);
      } catch {}
    },
  ],
  [
    "two calls under Promise.all",
    second,
    async (ctx, next) => {
      await Promise.all([next(ctx), next(ctx)]);
    },
  ],
  [
    "two calls under Promise.allSettled",
    second,
    async (ctx, next) => {
      await Promise.allSettled([next(ctx), next(ctx)]);
    },
  ],
  [
    "two calls under Promise.race",
    second,
    async (ctx, next) => {
      await Promise.race([next(ctx), next(ctx)]);
    },
  ],
  [
    "two calls under Promise.any",
    second,
    async (ctx, next) => {
      await Promise.any([next(ctx), next(ctx)]);
    },
  ],
  [
    "a race that something else wins",
    unawaited,
    async (ctx, next) => {
      await Promise.race([next(ctx), Promise.resolve()]);
    },
  ],
  [
    "a call that is not awaited",
    unawaited,
    async (ctx, next) => {
      void next(ctx);
    },
  ],
  [
    "a call in a plain function that is not returned",
    unawaited,
    (ctx, next) => {
      void next(ctx);
      return Promise.resolve();
    },
  ],
  [
    "a call that is not awaited, in a middleware that lasts a while",
    unawaited,
    async (ctx, next) => {
      void next(ctx);
      await microtasks(200);
    },
  ],
  [
    "a call in a generator that is not awaited",
    unawaited,
    async function* (ctx, next) {
      void next(ctx);
    },
  ],
  [
    "a call that is chained but not awaited",
    unawaited,
    async (ctx, next) => {
      void next(ctx).then(() => undefined);
    },
  ],
  [
    "another context",
    foreign,
    async (ctx, next) => {
      await next({ ...ctx });
    },
  ],
  [
    "no context",
    foreign,
    async (_, next) => {
      await Reflect.apply(next, undefined, []);
    },
  ],
  [
    "an object that inherits from the context",
    foreign,
    async (ctx, next) => {
      await next(Object.create(ctx) as OrchestrationMiddlewareContext);
    },
  ],
  [
    "another context, caught, then its own",
    foreign,
    async (ctx, next) => {
      await next({ ...ctx }).catch(() => undefined);
      await next(ctx);
    },
  ],
  [
    "another context, ignored, then its own",
    foreign,
    async (ctx, next) => {
      void next({ ...ctx });
      await next(ctx);
    },
  ],
  [
    "its own context, then another",
    second,
    async (ctx, next) => {
      await next(ctx);
      await next({ ...ctx }).catch(() => undefined);
    },
  ],
];

const catching = around("catching", async (ctx, next) => {
  try {
    await next(ctx);
  } catch {}
});
const catchingGenerator = around("catching generator", async function* (ctx, next) {
  try {
    yield* next(ctx);
  } catch {}
});
const transparent = (name: string): MiddlewareObject => around(name, (ctx, next) => next(ctx));

const places: readonly [place: string, use: (guilty: MiddlewareObject) => readonly MiddlewareObject[]][] = [
  ["alone", (guilty) => [guilty]],
  ["inside one that catches", (guilty) => [catching, guilty]],
  ["inside a generator that catches", (guilty) => [catchingGenerator, guilty]],
  ["outside of one that catches", (guilty) => [guilty, catching]],
  [
    "between two that catch, and others",
    (guilty) => [transparent("a"), catchingGenerator, guilty, transparent("b"), catching],
  ],
];

describe.each(places)("A broken rule of next, %s", (_, use) => {
  it.each(wrongs)("O1 O5 %s fails the orchestration", async (_what, problem, middleware) => {
    const { counts, count, orchestrator, activities } = twoSteps();
    const state = await run(hub, { orchestrator, activities, use: [count, ...use(around("guilty", middleware))] });
    const { type, message } = failureOf(state);
    expect(type).toMatch(/^(MiddlewareContract|Aggregate)Error$/);
    expect(message).toContain('Middleware "guilty" broke rule O1: ');
    expect(message).toContain(problem);
    expect(counts.starts).toBeLessThanOrEqual(counts.episodes);
    expect(counts.ends).toBeLessThanOrEqual(1);
  });
});

describe("The error of a broken rule", () => {
  it("O1 names the middleware and the rule, and is the only failure where there is no other", async () => {
    const { orchestrator, activities } = twoSteps();
    const caught: unknown[] = [];
    const outer = around("outer", async (ctx, next) => {
      try {
        await next(ctx);
      } catch (error) {
        caught.push(error, ctx.failure);
        throw error;
      }
    });
    const twice = around("twice", async (ctx, next) => {
      await next(ctx);
      await next(ctx);
    });
    const state = await run(hub, { orchestrator, activities, use: [outer, twice] });
    const message = 'Middleware "twice" broke rule O1: it called next a second time; call it exactly once.';
    expect(failureOf(state)).toEqual({ type: "MiddlewareContractError", message });
    const [error, failure] = caught;
    expect(error).toBeInstanceOf(MiddlewareContractError);
    expect(error).toMatchObject({ middleware: "twice", rule: "O1", code: "DURABLE_TELEMETRY_MIDDLEWARE_CONTRACT" });
    expect(failure).toBe(error);
  });

  it("O4 O5 stands beside the orchestrator's own failure in one AggregateError whose message holds both", async () => {
    const twice = around("twice", async (ctx, next) => {
      try {
        await next(ctx);
      } finally {
        void next(ctx);
      }
    });
    const state = await run(hub, {
      use: [twice],
      orchestrator: () => {
        throw new RangeError("out of stock");
      },
    });
    expect(failureOf(state)).toEqual({
      type: "AggregateError",
      message: 'out of stock; Middleware "twice" broke rule O1: it called next a second time; call it exactly once.',
    });
  });

  it("O1 O4 O5 stands beside the orchestrator's own failure where next is not awaited, and nothing is an unhandled rejection", async () => {
    const hasty = around("hasty", async (ctx, next) => {
      void next(ctx);
      await microtasks(100);
    });
    const state = await run(hub, {
      use: [hasty],
      orchestrator: () => {
        throw new RangeError("out of stock");
      },
    });
    expect(failureOf(state)).toEqual({
      type: "AggregateError",
      message: 'out of stock; Middleware "hasty" broke rule O1: it did not await next; write await next(ctx).',
    });
  });

  it("O5 is not there when chains on an awaited next are ignored, and none of them becomes an unhandled rejection", async () => {
    const forking = around("forking", async (ctx, next) => {
      const rest = next(ctx);
      void rest.then(() => undefined);
      void rest
        .finally(() => undefined)
        .then(() => undefined)
        .finally(() => undefined);
      await rest.finally(() => undefined);
    });
    const state = await run(hub, {
      use: [forking, around("through", (ctx, next) => next(ctx))],
      orchestrator: () => {
        throw new RangeError("out of stock");
      },
    });
    expect(failureOf(state)).toEqual({ type: "RangeError", message: "out of stock" });
  });

  it("O5 of each of several middlewares reaches the failure", async () => {
    const { orchestrator, activities } = twoSteps();
    const twice = (name: string): MiddlewareObject =>
      around(name, async (ctx, next) => {
        try {
          await next(ctx);
        } catch {}
        await next(ctx).catch(() => undefined);
      });
    const state = await run(hub, { orchestrator, activities, use: [twice("a"), catching, twice("b"), twice("c")] });
    const { type, message } = failureOf(state);
    expect(type).toBe("AggregateError");
    for (const name of ["a", "b", "c"]) expect(message?.split(`"${name}" broke rule O1`)).toHaveLength(2);
  });
});

describe("A middleware that keeps the rules", () => {
  const keepers: readonly [string, AnyOrchestrationMiddleware][] = [
    ["return next(ctx)", async (ctx, next) => next(ctx)],
    ["return next(ctx) without async", (ctx, next) => next(ctx)],
    ["next(ctx).then(...) without async", (ctx, next) => next(ctx).then(() => undefined)],
    [
      "await later",
      async (ctx, next) => {
        const rest = next(ctx);
        await microtasks(20);
        await rest;
      },
    ],
    [
      "Promise.all with its own work",
      async (ctx, next) => {
        await Promise.all([next(ctx), microtasks(5)]);
      },
    ],
    [
      "await in another function",
      async (ctx, next) => {
        const inside = async (): Promise<unknown> => next(ctx);
        await inside();
      },
    ],
    [
      "await twice",
      async (ctx, next) => {
        const rest = next(ctx);
        await rest;
        await rest;
      },
    ],
    [
      "await in a generator",
      async function* (ctx, next) {
        await next(ctx);
      },
    ],
    [
      "yield* in a generator",
      async function* (ctx, next) {
        yield* next(ctx);
      },
    ],
    [
      "return yield* in a generator",
      async function* (ctx, next) {
        return yield* next(ctx);
      },
    ],
    [
      "for await over it",
      async function* (ctx, next) {
        for await (const _ of next(ctx)) throw new Error("It yields nothing of the inside.");
      },
    ],
  ];

  it.each(keepers)("O1 is not accused: %s", async (_, middleware) => {
    const { counts, count, orchestrator, activities } = twoSteps();
    const state = await run(hub, { orchestrator, activities, use: [count, around("keeper", middleware)] });
    expect(outputOf(state)).toBe(3);
    expect(counts).toEqual({ episodes: 3, starts: 3, ends: 1 });
  });

  it("O1 may leave the next it was given to a function of its own", async () => {
    const { orchestrator, activities } = twoSteps();
    const within = (ctx: OrchestrationMiddlewareContext, next: OrchestrationNext): Promise<unknown> =>
      next(ctx).finally(() => undefined);
    const state = await run(hub, {
      orchestrator,
      activities,
      use: [around("delegating", (ctx, next) => within(ctx, next))],
    });
    expect(outputOf(state)).toBe(3);
  });
});
