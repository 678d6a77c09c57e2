import { OrchestrationStatus, type OrchestrationContext, type TOrchestrator } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import type { MiddlewareObject } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import {
  around,
  expectNoUnhandledRejections,
  failureOf,
  finished,
  microtasks,
  outputOf,
  run,
  unique,
  type Failure,
  type AnyOrchestrationMiddleware,
} from "./cases.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

async function bareFailure(orchestrator: TOrchestrator): Promise<Failure> {
  const name = unique("bare");
  await hub.bareWorker((worker) => void worker.addNamedOrchestrator(name, orchestrator), { workItemFilters: "auto" });
  return failureOf(await finished(hub, await hub.client.scheduleNewOrchestration(name)));
}

/** The same middleware as an async function and as a generator. */
type Both = readonly [kind: string, middleware: (name: string) => MiddlewareObject];

const pass: readonly Both[] = [
  ["an async function", (name) => around(name, async (ctx, next) => void (await next(ctx)))],
  ["a plain function", (name) => around(name, (ctx, next) => next(ctx))],
  [
    "a generator",
    (name) =>
      around(name, async function* (ctx, next) {
        yield* next(ctx);
      }),
  ],
];

const catchers: readonly Both[] = [
  ["an async function", (name) => around(name, (ctx, next) => next(ctx).catch(() => "replaced"))],
  [
    "an async function with try",
    (name) =>
      around(name, async (ctx, next) => {
        try {
          return await next(ctx);
        } catch {
          return "replaced";
        }
      }),
  ],
  [
    "a generator",
    (name) =>
      around(name, async function* (ctx, next) {
        try {
          yield* next(ctx);
        } catch {}
        return "replaced";
      }),
  ],
];

describe("A result", () => {
  const results: readonly [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["zero", 0],
    ["an empty string", ""],
    ["false", false],
    ["NaN", Number.NaN],
    ["text", "done"],
    ["an object", { total: 3, lines: [{ id: 1 }] }],
    ["an object that looks like a task", { isComplete: true }],
    ["an object with a property next", { next: 1, value: 2, done: false }],
  ];
  const orchestrators: readonly [string, (result: unknown) => TOrchestrator][] = [
    ["a function", (result) => () => result],
    ["an async function", (result) => async () => result],
    [
      "a generator",
      (result) =>
        async function* () {
          yield* [];
          return result;
        },
    ],
  ];
  it.each(
    results.flatMap(([what, result]) =>
      orchestrators.map(([kind, orchestratorOf]) => [what, kind, result, orchestratorOf] as const),
    ),
  )("O3 stays as it is: %s from %s", async (_what, _kind, result, orchestratorOf) => {
    const seen: unknown[] = [];
    const state = await run(hub, {
      orchestrator: orchestratorOf(result),
      use: [
        around("replacing", async (ctx, next) => {
          seen.push(ctx.result, await next(ctx), ctx.result, ctx.failure);
          return "mine";
        }),
        around("replacing generator", async function* (ctx, next) {
          seen.push(ctx.result, yield* next(ctx), ctx.result, ctx.failure);
          return "mine too";
        }),
      ],
    });
    expect(OrchestrationStatus[state.runtimeStatus]).toBe("COMPLETED");
    expect(state.serializedOutput).toBe(JSON.stringify(result));
    // The very same value, before serialization.
    const each = [undefined, result, result, undefined];
    const expected = [...each, ...each];
    expect(seen).toHaveLength(expected.length);
    for (const [index, value] of expected.entries()) expect(Object.is(seen[index], value)).toBe(true);
  });

  it("O3 can't be set by orchestration middleware", async () => {
    const members: boolean[] = [];
    await run(hub, {
      orchestrator: () => 1,
      use: [
        around("looking", async (ctx, next) => {
          members.push("setResult" in ctx);
          await next(ctx);
        }),
      ],
    });
    expect(members).toEqual([false]);
  });
});

describe("A failure of the orchestrator", () => {
  const failing = {
    "at once": () => {
      throw new RangeError("out of stock");
    },
    "as a rejection": async () => {
      throw new RangeError("out of stock");
    },
    "in a generator": async function* () {
      yield* [];
      throw new RangeError("out of stock");
    },
  } satisfies Record<string, TOrchestrator>;
  const cases = Object.entries(failing).flatMap(([when, orchestrator]) =>
    catchers.map(([kind, catcher]) => [when, kind, orchestrator, catcher] as const),
  );

  it.each(cases)(
    "O3 that comes %s is not hidden by %s that catches it",
    async (_when, _kind, orchestrator, catcher) => {
      const state = await run(hub, { orchestrator, use: [catcher("outer"), catcher("inner")] });
      expect(failureOf(state)).toEqual({ type: "RangeError", message: "out of stock" });
    },
  );

  it.each(pass)("O11 rejects the next of %s, and ctx.failure is that same error", async (_, through) => {
    const error = new RangeError("out of stock");
    const log: unknown[] = [];
    const watch = (name: string, middleware: AnyOrchestrationMiddleware): MiddlewareObject => around(name, middleware);
    const state = await run(hub, {
      orchestrator: () => {
        throw error;
      },
      use: [
        watch("function", async (ctx, next) => {
          try {
            await next(ctx);
            log.push("not reached");
          } catch (caught) {
            log.push(caught === error, ctx.failure === error, ctx.result);
            throw caught;
          } finally {
            log.push("finally");
          }
        }),
        through("through"),
        watch("generator", async function* (ctx, next) {
          log.push(ctx.failure);
          try {
            yield* next(ctx);
            log.push("not reached");
          } catch (caught) {
            log.push(caught === error, ctx.failure === error, ctx.result);
            throw caught;
          } finally {
            log.push("finally");
          }
        }),
      ],
    });
    expect(failureOf(state)).toEqual({ type: "RangeError", message: "out of stock" });
    expect(log).toEqual([undefined, true, true, undefined, "finally", true, true, undefined, "finally"]);
  });

  it("O4 O11 of an activity reaches middleware as the error that the orchestrator let through", async () => {
    const charge = unique("charge");
    const caught: unknown[] = [];
    const state = await run(hub, {
      activities: {
        [charge]: () => {
          throw new TypeError("card refused");
        },
      },
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        try {
          yield ctx.callActivity(charge);
        } catch (error) {
          caught.push(error);
          throw error;
        }
        return "not reached";
      },
      use: [around("seeing", (ctx, next) => next(ctx).catch((error: unknown) => void caught.push(error, ctx.failure)))],
    });
    expect(failureOf(state).message).toContain("card refused");
    expect(caught).toHaveLength(3);
    expect(new Set(caught).size).toBe(1);
  });
});

describe("What a middleware throws", () => {
  class PolicyError extends Error {
    override readonly name = "PolicyError";
  }
  const fail = (): never => {
    throw new PolicyError("not on Sundays");
  };
  const throwing: readonly [string, AnyOrchestrationMiddleware][] = [
    ["before next", async () => fail()],
    ["before next, not in a promise", () => fail()],
    ["before next, after a while", async () => microtasks(9).then(fail)],
    [
      "after next",
      async (ctx, next) => {
        await next(ctx);
        fail();
      },
    ],
    ["after next, in then", (ctx, next) => next(ctx).then(fail)],
    [
      "in a generator before next",
      async function* () {
        fail();
      },
    ],
    [
      "in a generator after next",
      async function* (ctx, next) {
        yield* next(ctx);
        fail();
      },
    ],
  ];
  it.each(throwing)("O4 fails the orchestration as an error in orchestrator code does: %s", async (_, middleware) => {
    const bare = await bareFailure(fail);
    for (const use of [
      [around("throwing", middleware)],
      [catchers[0]?.[1]("a"), around("throwing", middleware), catchers[2]?.[1]("b")].filter(
        (each) => each !== undefined,
      ),
    ]) {
      const state = await run(hub, { orchestrator: () => 1, use });
      expect(failureOf(state)).toEqual(bare);
      expect(state.failureDetails?.stackTrace).toContain("orchestration-failures.test.ts");
    }
  });

  it("O2 O4 keeps the orchestrator from running when it comes before next", async () => {
    let runs = 0;
    const state = await run(hub, {
      orchestrator: () => {
        runs += 1;
      },
      use: [around("outer", (ctx, next) => next(ctx)), around("throwing", fail)],
    });
    expect(failureOf(state).type).toBe("PolicyError");
    expect(runs).toBe(0);
  });

  const thrown: readonly [string, unknown][] = [
    ["text", "no stock"],
    ["an empty string", ""],
    ["a number", 42],
    ["null", null],
    ["undefined", undefined],
    ["false", false],
    ["an object", { code: 1 }],
    ["a symbol", Symbol("no stock")],
    ["a bigint", 1n],
    ["an error of another realm's kind", Object.assign(Object.create({ name: "Error" }), { message: "foreign" })],
  ];
  it.each(thrown)(
    "O4 need not be an error: %s fails the orchestration as it does without middleware",
    async (_, value) => {
      const raise = (): never => {
        throw value;
      };
      const bare = await bareFailure(raise);
      const log: unknown[] = [];
      const seen = around("seen", (ctx, next) =>
        next(ctx).catch((error: unknown) => {
          log.push(Object.is(error, value), Object.is(ctx.failure, value));
        }),
      );
      expect(failureOf(await run(hub, { orchestrator: raise, use: [seen] }))).toEqual(bare);
      expect(
        failureOf(await run(hub, { orchestrator: () => 1, use: [seen, around("throwing", async () => raise())] })),
      ).toEqual(bare);
      expect(log).toEqual([true, true, true, true]);
    },
  );

  it.each([
    ...thrown,
    ["an object without a prototype", Object.create(null)],
    ["an object that can't be a string", { toString: fail }],
  ])("O4 joins another failure, whatever it is: %s", async (_, value) => {
    const state = await run(hub, {
      orchestrator: () => {
        throw new RangeError("out of stock");
      },
      use: [
        around("throwing", async (ctx, next) => {
          try {
            await next(ctx);
          } catch {
            throw value;
          }
        }),
      ],
    });
    const { type, message } = failureOf(state);
    expect(type).toBe("AggregateError");
    expect(message).toMatch(/^out of stock; /);
  });
});

describe("Several failures", () => {
  const orchestrator = (): never => {
    throw new RangeError("out of stock");
  };
  const then = (name: string, raise: (error: unknown) => unknown): MiddlewareObject =>
    around(name, async (ctx, next) => {
      try {
        await next(ctx);
      } catch (error) {
        throw raise(error);
      }
    });

  it("O4 that are the same error, caught and rethrown by each middleware, are one failure", async () => {
    const again = (name: string): MiddlewareObject => then(name, (error) => error);
    const state = await run(hub, { orchestrator, use: [again("a"), again("b"), again("c")] });
    expect(failureOf(state)).toEqual({ type: "RangeError", message: "out of stock" });
  });

  it("O4 that differ become an AggregateError whose message holds both", async () => {
    const state = await run(hub, { orchestrator, use: [then("other", () => new TypeError("rollback failed"))] });
    expect(failureOf(state)).toEqual({ type: "AggregateError", message: "out of stock; rollback failed" });
  });

  it("O4 that wrap one another become an AggregateError whose message holds both", async () => {
    const state = await run(hub, {
      orchestrator,
      use: [then("wrapping", (cause) => new Error("the order failed", { cause }))],
    });
    expect(failureOf(state)).toEqual({ type: "AggregateError", message: "out of stock; the order failed" });
  });

  it("O4 of every layer reach the failure once each, in the order they came", async () => {
    const caught: unknown[] = [];
    const state = await run(hub, {
      orchestrator,
      use: [
        then("seeing", (error) => {
          caught.push(error);
          return error;
        }),
        then("a", () => new Error("a failed")),
        then("b", (error) => error),
        then("c", () => new Error("c failed")),
      ],
    });
    expect(failureOf(state)).toEqual({ type: "AggregateError", message: "out of stock; c failed; a failed" });
    expect(caught[0]).toBeInstanceOf(AggregateError);
    expect((caught[0] as AggregateError).errors.map((error: Error) => error.message)).toEqual([
      "out of stock",
      "c failed",
      "a failed",
    ]);
  });

  it("O4 leave an AggregateError of the orchestrator's own whole", async () => {
    const state = await run(hub, {
      orchestrator: () => {
        throw new AggregateError([new Error("one"), new Error("two")], "both shops failed");
      },
      use: [then("other", () => new TypeError("rollback failed"))],
    });
    expect(failureOf(state)).toEqual({ type: "AggregateError", message: "both shops failed; rollback failed" });
  });

  it("O4 O11 are what the middlewares outside see, as rejection and as ctx.failure", async () => {
    const log: boolean[] = [];
    const seeing = (name: string): MiddlewareObject =>
      around(name, (ctx, next) =>
        next(ctx).catch((error: unknown) => {
          log.push(error === ctx.failure && error instanceof AggregateError);
        }),
      );
    await run(hub, {
      orchestrator,
      use: [seeing("a"), seeing("b"), then("other", () => new TypeError("rollback failed"))],
    });
    expect(log).toEqual([true, true]);
  });
});

describe("An orchestrator that fails after steps", () => {
  it("O4 O6 fails once, with the code after next in the last episode alone", async () => {
    const echo = unique("echo");
    const log: string[] = [];
    const state = await run(hub, {
      activities: { [echo]: (_: unknown, value: number) => value },
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity(echo, 1);
        yield ctx.callActivity(echo, 2);
        throw new RangeError("out of stock");
      },
      use: [
        around("logging", async (ctx, next) => {
          log.push("before");
          try {
            await next(ctx);
          } finally {
            log.push(`after, replaying: ${ctx.isReplaying}`);
          }
        }),
      ],
    });
    expect(failureOf(state)).toEqual({ type: "RangeError", message: "out of stock" });
    expect(log).toEqual(["before", "before", "before", "after, replaying: false"]);
  });

  it("O3 may catch the failure of a task itself: then there is none", async () => {
    const fragile = unique("fragile");
    const state = await run(hub, {
      activities: {
        [fragile]: () => {
          throw new Error("broken");
        },
      },
      orchestrator: async function* (ctx: OrchestrationContext): Steps<string> {
        try {
          yield ctx.callActivity(fragile);
        } catch {
          return "made up for";
        }
        return "not reached";
      },
      use: [around("through", (ctx, next) => next(ctx))],
    });
    expect(outputOf(state)).toBe("made up for");
  });
});
