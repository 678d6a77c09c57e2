import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { createMiddlewareFeature, currentFeatures, type MiddlewareObject } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import {
  activityMiddleware,
  counted,
  failing,
  runActivity,
  type ActivityFunction,
  type Ended,
  type AnyActivityMiddleware,
} from "./activity-cases.ts";
import { expectNoUnhandledRejections, macrotask, outputOf, run, unique } from "./cases.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

const transparent: readonly [string, AnyActivityMiddleware][] = [
  ["async", async (ctx, next) => void (await next(ctx))],
  ["return next(ctx)", async (ctx, next) => next(ctx)],
  ["return next(ctx) without async", (ctx, next) => next(ctx)],
  ["finally", (ctx, next) => next(ctx).finally(() => undefined)],
  [
    "await later",
    async (ctx, next) => {
      const rest = next(ctx);
      await macrotask();
      await rest;
    },
  ],
  [
    "its own I/O around next",
    async (ctx, next) => {
      await macrotask();
      await next(ctx);
      await macrotask();
    },
  ],
];

describe("An activity middleware that keeps the rules", () => {
  it.each(transparent)("A1 lets the result through, whatever it returns itself: %s", async (_, middleware) => {
    const one = counted((_ctx, input) => [input, "done"]);
    expect(await runActivity(hub, one.activityFunction, [activityMiddleware("through", middleware)], 5)).toEqual({
      result: [5, "done"],
    });
    expect(one.runs).toBe(1);
  });

  it("A1 can't replace the result by returning another", async () => {
    expect(
      await runActivity(hub, () => "body", [
        activityMiddleware("returning", async (ctx, next) => (await next(ctx), "mine")),
      ]),
    ).toEqual({
      result: "body",
    });
  });

  it.each([undefined, null, 0, "", false, "cached", { total: 3 }])(
    "A1 may set the result in place of next: %o",
    async (value) => {
      const one = counted();
      const seen: unknown[] = [];
      const ended = await runActivity(hub, one.activityFunction, [
        activityMiddleware("outer", async (ctx, next) => void seen.push(await next(ctx), ctx.result, ctx.failure)),
        activityMiddleware("cache", async (ctx) => ctx.setResult(value)),
        activityMiddleware("inner", (ctx, next) => next(ctx)),
      ]);
      expect(ended).toEqual({ result: value ?? null });
      expect(seen).toEqual([value, value, undefined]);
      expect(one.runs).toBe(0);
    },
  );

  it("A1 may set it without a promise, and with setResult taken off the context", async () => {
    const use = [
      activityMiddleware("plain", (ctx) => {
        Reflect.apply(ctx.setResult.bind(undefined), undefined, ["plain"]);
      }),
    ];
    expect(await runActivity(hub, failing, use)).toEqual({ result: "plain" });
  });

  it("A3 may set it more than once: the last one counts", async () => {
    const use = [
      activityMiddleware("twice", async (ctx) => {
        ctx.setResult(1);
        ctx.setResult(2);
      }),
    ];
    expect(await runActivity(hub, failing, use)).toEqual({ result: 2 });
  });

  it.each([undefined, null, 0, "", false, "replaced"])(
    "A3 replaces the result with setResult after next: %o",
    async (value) => {
      const seen: unknown[] = [];
      const ended = await runActivity(hub, () => "body", [
        activityMiddleware("outer", async (ctx, next) => void seen.push(await next(ctx), ctx.result)),
        activityMiddleware("replacing", async (ctx, next) => {
          seen.push(await next(ctx), ctx.result);
          ctx.setResult(value);
          seen.push(ctx.result);
        }),
      ]);
      expect(ended).toEqual({ result: value ?? null });
      expect(seen).toEqual(["body", "body", value, value, value]);
    },
  );

  it("A3 of several that replace it the outermost wins, and each sees what the one inside made of it", async () => {
    const doubling = (name: string): MiddlewareObject =>
      activityMiddleware(name, async (ctx, next) => ctx.setResult(Number(await next(ctx)) * 2));
    expect(await runActivity(hub, () => 1, [doubling("a"), doubling("b"), doubling("c")])).toEqual({ result: 8 });
  });

  it.each([undefined, "recovered"])("A3 recovers from a failure that it caught with setResult: %o", async (value) => {
    const seen: unknown[] = [];
    const ended = await runActivity(hub, failing, [
      activityMiddleware("outer", async (ctx, next) => void seen.push(await next(ctx), ctx.result, ctx.failure)),
      activityMiddleware("recovering", async (ctx, next) => {
        try {
          await next(ctx);
        } catch (error) {
          seen.push(error === ctx.failure);
          ctx.setResult(value);
        }
      }),
    ]);
    expect(ended).toEqual({ result: value ?? null });
    expect(seen).toEqual([true, value, value, undefined]);
  });
});

describe("A failure of an activity", () => {
  const caught: readonly [string, AnyActivityMiddleware][] = [
    ["catch", (ctx, next) => next(ctx).catch(() => "replaced")],
    [
      "try",
      async (ctx, next) => {
        try {
          await next(ctx);
        } catch {}
      },
    ],
    [
      "a second argument of then",
      (ctx, next) =>
        next(ctx).then(
          () => undefined,
          () => "replaced",
        ),
    ],
  ];
  it.each(caught)(
    "A4 that is caught without setResult still fails it, with the activity function's own error: %s",
    async (_, middleware) => {
      const errors: unknown[] = [];
      const ended = await runActivity(hub, failing, [
        activityMiddleware("outer", (ctx, next) =>
          next(ctx).catch((error: unknown) => {
            errors.push(error, ctx.failure);
            throw error;
          }),
        ),
        activityMiddleware("catching", middleware),
      ]);
      expect(ended).toEqual({ failed: "RangeError: card refused" });
      expect(errors[0]).toBeInstanceOf(RangeError);
      expect(errors[1]).toBe(errors[0]);
    },
  );

  it("A4 A5 that is caught and rethrown by each middleware is one failure", async () => {
    const again = (name: string): MiddlewareObject =>
      activityMiddleware(name, async (ctx, next) => {
        try {
          await next(ctx);
        } catch (error) {
          throw error instanceof Error ? error : new Error("not an error");
        }
      });
    expect(await runActivity(hub, failing, [again("a"), again("b"), again("c")])).toEqual({
      failed: "RangeError: card refused",
    });
  });

  it("A4 is not recovered from by a result that was set before it", async () => {
    const ended = await runActivity(hub, failing, [
      activityMiddleware("catching", (ctx, next) => next(ctx).catch(() => undefined)),
      activityMiddleware("throwing", async (ctx) => {
        ctx.setResult("set");
        throw new TypeError("then broke");
      }),
    ]);
    expect(ended).toEqual({ failed: "TypeError: then broke" });
  });

  it("A5 that a middleware throws before next fails it, and the activity function does not run", async () => {
    const one = counted();
    for (const throwing of [
      () => {
        throw new TypeError("no tenant");
      },
      async () => {
        await macrotask();
        throw new TypeError("no tenant");
      },
    ]) {
      expect(await runActivity(hub, one.activityFunction, [activityMiddleware("throwing", throwing)])).toEqual({
        failed: "TypeError: no tenant",
      });
    }
    expect(one.runs).toBe(0);
  });

  it("A5 that a middleware throws after next fails it, even after setResult", async () => {
    const throwing: AnyActivityMiddleware = async (ctx, next) => {
      await next(ctx);
      ctx.setResult("set");
      throw new TypeError("then broke");
    };
    expect(await runActivity(hub, () => "body", [activityMiddleware("throwing", throwing)])).toEqual({
      failed: "TypeError: then broke",
    });
  });

  it("A5 that joins another becomes an AggregateError whose message holds both", async () => {
    const throwing: AnyActivityMiddleware = async (ctx, next) => {
      try {
        await next(ctx);
      } catch (cause) {
        throw new TypeError("rollback failed", { cause });
      }
    };
    expect(await runActivity(hub, failing, [activityMiddleware("throwing", throwing)])).toEqual({
      failed: "AggregateError: card refused; rollback failed",
    });
  });

  it("A5 that joins another after it recovered is the other alone", async () => {
    const throwing: AnyActivityMiddleware = async (ctx, next) => {
      await next(ctx).catch(() => ctx.setResult("recovered"));
      throw new TypeError("then broke");
    };
    expect(await runActivity(hub, failing, [activityMiddleware("throwing", throwing)])).toEqual({
      failed: "TypeError: then broke",
    });
  });

  it.each([["text"], [42], [undefined], [null], [Symbol("odd")]])("A5 need not be an error: %s", async (value) => {
    const raise: ActivityFunction = () => {
      throw value;
    };
    expect(await runActivity(hub, raise, [activityMiddleware("through", (ctx, next) => next(ctx))])).toEqual({
      failed: `Error: ${String(value)}`,
    });
    const joined = await runActivity(hub, failing, [
      activityMiddleware("throwing", (ctx, next) => next(ctx).catch(raise as () => never)),
    ]);
    expect(joined).toEqual({ failed: `AggregateError: card refused; ${String(value)}` });
  });
});

describe("The result of an activity", () => {
  const values: readonly [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["zero", 0],
    ["false", false],
    ["an empty string", ""],
    ["an object", { a: 1 }],
    ["a date", new Date(0)],
    ["a map", new Map([[1, 2]])],
    ["NaN", Number.NaN],
    ["a function", () => 1],
  ];
  it.each(values)(
    "A6 is the same value in the activity function's return, next and ctx.result, before serialization: %s",
    async (_, value) => {
      const seen: unknown[] = [];
      const seeing = (name: string): MiddlewareObject =>
        activityMiddleware(name, async (ctx, next) => {
          seen.push(await next(ctx));
          seen.push(ctx.result);
        });
      for (const activityFunction of [() => value, async () => value]) {
        const bare = await runActivity(hub, activityFunction, []);
        expect(await runActivity(hub, activityFunction, [seeing("outer"), seeing("inner")])).toEqual(bare);
      }
      expect(seen).toHaveLength(8);
      for (const each of seen) expect(Object.is(each, value)).toBe(true);
    },
  );

  it("A6 that has no JSON fails as without middleware", async () => {
    const through = activityMiddleware("through", (ctx, next) => next(ctx));
    expect(await runActivity(hub, () => 1n, [through])).toEqual(await runActivity(hub, () => 1n, []));
  });
});

describe("Activities at once", () => {
  const Tenant = createMiddlewareFeature<number>("tenant");

  it("A1 A6 F2 keep their inputs, results and features apart: 100 of them on one worker", async () => {
    const name = unique("activity");
    let running = 0;
    let most = 0;
    const everyone = Promise.withResolvers<void>();
    const state = await run(hub, {
      use: [
        activityMiddleware("tenant", async (ctx, next) => {
          ctx.features.set(Tenant, Number(ctx.input));
          await next(ctx);
          ctx.setResult([ctx.result, ctx.features.get(Tenant), ctx.taskId]);
        }),
        activityMiddleware("checking", async (ctx, next) => {
          await macrotask();
          if (currentFeatures()?.get(Tenant) !== ctx.input) throw new Error("mixed up");
          await next(ctx);
        }),
      ],
      activities: {
        [name]: async (_ctx: ActivityContext, input: number) => {
          running += 1;
          most = Math.max(most, running);
          if (running === 100) everyone.resolve();
          await everyone.promise;
          return [input, currentFeatures()?.get(Tenant)];
        },
      },
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        const tasks = Array.from({ length: 100 }, (_, input) => ctx.callActivity(name, input));
        const results: unknown[] = [];
        for (const task of tasks) results.push(yield task);
        return results;
      },
    });
    expect(outputOf(state)).toEqual(Array.from({ length: 100 }, (_, input) => [[input, input], input, input + 1]));
    expect(most).toBe(100);
  });
});

describe("Any stack of activity middlewares", () => {
  type Kind = "through" | "replacing" | "recovering" | "catching" | "answering" | "throwing after";
  const kinds = fc.array(
    fc.constantFrom<Kind[]>("through", "replacing", "recovering", "catching", "answering", "throwing after"),
    { maxLength: 6 },
  );
  const of = (kind: Kind, index: number): AnyActivityMiddleware => {
    const own = `set by ${index}`;
    const all: Record<Kind, AnyActivityMiddleware> = {
      through: (ctx, next) => next(ctx),
      replacing: async (ctx, next) => {
        await next(ctx);
        ctx.setResult(own);
      },
      recovering: async (ctx, next) => {
        try {
          await next(ctx);
        } catch {
          await macrotask();
          ctx.setResult(own);
        }
      },
      catching: (ctx, next) => next(ctx).catch(() => undefined),
      answering: (ctx) => ctx.setResult(own),
      "throwing after": async (ctx, next) => {
        await next(ctx);
        throw new TypeError(own);
      },
    };
    return all[kind];
  };

  /** What the contract says of a stack. */
  function expected(stack: readonly Kind[], fails: boolean): Ended {
    let ended: Ended = fails ? { failed: "RangeError: card refused" } : { result: "body" };
    const answering = stack.indexOf("answering");
    for (let index = (answering === -1 ? stack.length : answering + 1) - 1; index >= 0; index -= 1) {
      const kind = stack[index];
      const failed: boolean = "failed" in ended;
      if (kind === "answering" || (kind === "replacing" && !failed) || (kind === "recovering" && failed))
        ended = { result: `set by ${index}` };
      if (kind === "throwing after" && !failed) ended = { failed: `TypeError: set by ${index}` };
    }
    return ended;
  }

  it("A1 A3 A4 A5 ends as the rules say, and runs the activity function at most once", async () => {
    await fc.assert(
      fc.asyncProperty(kinds, fc.boolean(), async (stack, fails) => {
        const one = counted(fails ? failing : () => "body");
        const use = stack.map((kind, index) => activityMiddleware(`m${index}`, of(kind, index)));
        expect(await runActivity(hub, one.activityFunction, use)).toEqual(expected(stack, fails));
        expect(one.runs).toBe(stack.includes("answering") ? 0 : 1);
      }),
      { numRuns: 100 },
    );
  });
});
