import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import { MiddlewareContractError, type ActivityMiddlewareContext, type MiddlewareObject } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { activityMiddleware, counted, failing, runActivity, type AnyActivityMiddleware } from "./activity-cases.ts";
import { expectNoUnhandledRejections, failureOf, macrotask, run, unique } from "./cases.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

describe("A broken rule of an activity middleware", () => {
  const neither = "it neither called next nor setResult";
  const second = "it called next a second time";
  const unawaited = "it did not await next";
  const foreign = "it called next with some other context";
  const both = "it called next after setResult";
  const wrongs: readonly [
    what: string,
    rule: "A1" | "A2",
    problem: string,
    runs: number,
    middleware: AnyActivityMiddleware,
  ][] = [
    ["neither next nor setResult", "A1", neither, 0, async () => "mine"],
    ["neither, in a plain function", "A1", neither, 0, () => undefined],
    [
      "a second next",
      "A1",
      second,
      1,
      async (ctx, next) => {
        await next(ctx);
        await next(ctx);
      },
    ],
    [
      "a second next, ignored",
      "A1",
      second,
      1,
      async (ctx, next) => {
        await next(ctx);
        void next(ctx);
      },
    ],
    [
      "a second next, chained with then and finally only",
      "A1",
      second,
      1,
      async (ctx, next) => {
        await next(ctx);
        void next(ctx)
          .then(() => undefined)
          .finally(() => undefined);
      },
    ],
    ["two at once under Promise.all", "A1", second, 1, (ctx, next) => Promise.all([next(ctx), next(ctx)])],
    [
      "two at once under Promise.allSettled",
      "A1",
      second,
      1,
      (ctx, next) => Promise.allSettled([next(ctx), next(ctx)]),
    ],
    [
      "a second next after the first failed, as a retry",
      "A1",
      second,
      1,
      async (ctx, next) => {
        await next(ctx).catch(() => undefined);
        await next(ctx);
      },
    ],
    [
      "next that is not awaited",
      "A1",
      unawaited,
      1,
      async (ctx, next) => {
        void next(ctx);
      },
    ],
    [
      "next that is not awaited, in a middleware that outlasts it",
      "A1",
      unawaited,
      1,
      async (ctx, next) => {
        void next(ctx);
        await macrotask();
        await macrotask();
      },
    ],
    [
      "next that is not awaited, and a result",
      "A1",
      unawaited,
      1,
      async (ctx, next) => {
        void next(ctx);
        ctx.setResult("mine");
      },
    ],
    [
      "a race that something else wins",
      "A1",
      unawaited,
      1,
      (ctx, next) => Promise.race([next(ctx), Promise.resolve("other")]),
    ],
    ["another context", "A1", foreign, 0, (ctx, next) => next({ ...ctx })],
    [
      "another context, then its own",
      "A1",
      foreign,
      1,
      async (ctx, next) => {
        await next(Object.create(ctx) as ActivityMiddlewareContext).catch(() => undefined);
        await next(ctx);
      },
    ],
    [
      "next after setResult",
      "A2",
      both,
      0,
      async (ctx, next) => {
        ctx.setResult("mine");
        await next(ctx);
      },
    ],
    [
      "next after setResult, ignored",
      "A2",
      both,
      0,
      async (ctx, next) => {
        ctx.setResult(undefined);
        void next(ctx);
      },
    ],
    [
      "next after setResult, caught, and setResult again",
      "A2",
      both,
      0,
      async (ctx, next) => {
        ctx.setResult("mine");
        await next(ctx).catch(() => ctx.setResult("mine again"));
      },
    ],
  ];
  const catching = activityMiddleware("catching", (ctx, next) => next(ctx).catch(() => undefined));
  const recovering = activityMiddleware("recovering", (ctx, next) => next(ctx).catch(() => ctx.setResult("recovered")));
  const inside = activityMiddleware("inside", (ctx, next) => next(ctx));
  const places: readonly [string, (guilty: MiddlewareObject) => MiddlewareObject[]][] = [
    ["alone", (guilty) => [guilty]],
    ["inside one that catches", (guilty) => [catching, guilty]],
    ["inside one that recovers with setResult", (guilty) => [recovering, guilty, inside]],
    ["inside two that catch and recover", (guilty) => [recovering, catching, guilty]],
    ["outside of one that recovers", (guilty) => [guilty, recovering]],
  ];
  const table = places.flatMap(([place, use]) =>
    wrongs.map(([what, rule, problem, runs, middleware]) => ({ place, use, what, rule, problem, runs, middleware })),
  );

  it.each(table)("A1 A2 A5 O5 fails the activity, $place: $what", async ({ use, rule, problem, runs, middleware }) => {
    const one = counted(async () => {
      await macrotask();
      return "body";
    });
    const ended = await runActivity(hub, one.activityFunction, use(activityMiddleware("guilty", middleware)));
    expect(ended).toEqual({ failed: expect.stringMatching(/^(MiddlewareContract|Aggregate)Error: /) });
    expect(ended).toEqual({ failed: expect.stringContaining(`Middleware "guilty" broke rule ${rule}: ${problem}`) });
    await macrotask();
    await macrotask();
    expect(one.runs).toBe(runs);
  });

  it("A1 is an error that names the middleware and the rule, and A5 stands beside the activity function's own failure", async () => {
    const errors: unknown[] = [];
    const seeing = activityMiddleware("seeing", (ctx, next) =>
      next(ctx).catch((error: unknown) => {
        errors.push(error);
        throw error;
      }),
    );
    const none = activityMiddleware("none", () => undefined);
    expect(await runActivity(hub, () => 1, [seeing, none])).toEqual({
      failed:
        'MiddlewareContractError: Middleware "none" broke rule A1: it neither called next nor setResult; call await next(ctx) or ctx.setResult(value).',
    });
    expect(errors[0]).toBeInstanceOf(MiddlewareContractError);
    expect(errors[0]).toMatchObject({ middleware: "none", rule: "A1" });
    const retrying = activityMiddleware("retrying", (ctx, next) => next(ctx).catch(() => next(ctx)));
    expect(await runActivity(hub, failing, [seeing, retrying])).toEqual({
      failed:
        'AggregateError: card refused; Middleware "retrying" broke rule A1: it called next a second time; call it at most once.',
    });
  });

  it("A1 A5 is noted once, however often a loop breaks it", async () => {
    const looping = activityMiddleware("looping", async (ctx, next) => {
      for (let time = 0; time < 200_000; time += 1) void next(ctx);
    });
    expect(await runActivity(hub, failing, [looping])).toEqual({
      failed:
        'AggregateError: card refused; Middleware "looping" broke rule A1: it called next a second time; call it at most once.; ' +
        'Middleware "looping" broke rule A1: it did not await next; write await next(ctx).',
    });
  });

  it("A1 A5 O5 stands beside the activity function's own failure where next is not awaited, and nothing is an unhandled rejection", async () => {
    const hasty = activityMiddleware("hasty", async (ctx, next) => {
      void next(ctx);
      await macrotask();
    });
    expect(await runActivity(hub, failing, [hasty])).toEqual({
      failed:
        'AggregateError: card refused; Middleware "hasty" broke rule A1: it did not await next; write await next(ctx).',
    });
  });

  it("A4 A5 O5 is no unhandled rejection where chains on an awaited next are ignored", async () => {
    const forking = activityMiddleware("forking", async (ctx, next) => {
      const rest = next(ctx);
      void rest.then(() => undefined);
      void rest.finally(() => undefined).then(() => undefined);
      await rest;
    });
    expect(await runActivity(hub, failing, [forking])).toEqual({ failed: "RangeError: card refused" });
  });

  it("A5 can't be recovered from, while the activity function's failure beside it can", async () => {
    const retrying = activityMiddleware("retrying", (ctx, next) => next(ctx).catch(() => next(ctx)));
    expect(await runActivity(hub, failing, [recovering, retrying])).toEqual({
      failed:
        'MiddlewareContractError: Middleware "retrying" broke rule A1: it called next a second time; call it at most once.',
    });
  });

  it("A5 O2 the activity function does not run again when code inside calls the next of a middleware outside", async () => {
    const held: (() => Promise<unknown>)[] = [];
    const one = counted(() => {
      void held[0]?.();
      return "body";
    });
    const ended = await runActivity(hub, one.activityFunction, [
      activityMiddleware("leaking", async (ctx, next) => {
        held.push(() => next(ctx));
        await next(ctx);
      }),
      activityMiddleware("calling", (ctx, next) => {
        void held[0]?.();
        return next(ctx);
      }),
    ]);
    expect(ended).toEqual({
      failed: expect.stringContaining('Middleware "leaking" broke rule A1: it called next a second time'),
    });
    expect(one.runs).toBe(1);
  });

  it("A5 O2 the activity function does not run when next is called after the middleware has ended", async () => {
    const one = counted();
    const late = Promise.withResolvers<void>();
    const refused = Promise.withResolvers<unknown>();
    const ended = await runActivity(hub, one.activityFunction, [
      activityMiddleware("late", (ctx, next) => {
        late.promise.then(() => next(ctx)).catch(refused.resolve);
      }),
    ]);
    expect(ended).toEqual({ failed: expect.stringContaining(neither) });
    late.resolve();
    expect(String(await refused.promise)).toContain("it called next after it had ended");
    expect(one.runs).toBe(0);
  });

  it("A5 O2 the activity function does not run when a middleware calls next after one outside of it gave up", async () => {
    const one = counted();
    const free = Promise.withResolvers<void>();
    const refused = Promise.withResolvers<unknown>();
    const ended = await runActivity(hub, one.activityFunction, [
      activityMiddleware("time limit", (ctx, next) =>
        Promise.race([next(ctx), Promise.reject(new RangeError("too slow"))]),
      ),
      activityMiddleware("rate limit", async (ctx, next) => {
        await free.promise;
        await next(ctx).then(refused.resolve, refused.resolve);
      }),
      activityMiddleware("inner", (ctx, next) => next(ctx)),
    ]);
    expect(ended).toEqual({ failed: "RangeError: too slow" });
    free.resolve();
    expect(String(await refused.promise)).toContain("it called next after a middleware outside of it had ended");
    expect(one.runs).toBe(0);
  });

  it.each([
    ["completes", async () => "late"],
    ["fails", async () => Promise.reject(new Error("late"))],
  ])("A1 A5 a body that still runs after the middleware ended, and %s then, changes nothing", async (_, end) => {
    const gate = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const log: string[] = [];
    const ended = await runActivity(hub, async () => {
      await gate.promise;
      done.resolve();
      return end();
    }, [
      activityMiddleware("outer", (ctx, next) => next(ctx).finally(() => log.push("outer ended"))),
      activityMiddleware("hasty", (ctx, next) => {
        void next(ctx);
        return Promise.resolve();
      }),
      activityMiddleware("inner", (ctx, next) => next(ctx).finally(() => log.push("inner ended"))),
    ]);
    expect(ended).toEqual({
      failed: expect.stringContaining(
        'Middleware "hasty" broke rule A1: it did not await next and ended before the rest did',
      ),
    });
    expect(log).toEqual(["outer ended"]);
    gate.resolve();
    await done.promise;
    await macrotask();
    expect(log).toEqual(["outer ended", "inner ended"]);
  });

  it.each([
    ["nothing", []],
    ["another middleware", [activityMiddleware("inner", (ctx, next) => next(ctx))]],
  ])(
    "A1 A5 what ends late inside a middleware that gave up does not change ctx for those outside: with %s between",
    async (_, between) => {
      const late = Promise.withResolvers<string>();
      const seen: unknown[] = [];
      const ended = await runActivity(hub, () => late.promise, [
        activityMiddleware("outer", async (ctx, next) => {
          try {
            await next(ctx);
          } catch (error) {
            late.resolve("late");
            await macrotask();
            seen.push(ctx.failure === error, ctx.result);
            throw error;
          }
        }),
        activityMiddleware("time limit", (ctx, next) =>
          Promise.race([next(ctx), Promise.reject(new RangeError("too slow"))]),
        ),
        ...between,
      ]);
      expect(ended).toEqual({ failed: "RangeError: too slow" });
      expect(seen).toEqual([true, undefined]);
    },
  );
});

describe("An orchestration", () => {
  it("A5 fails with the failure of its activity as the client sees it", async () => {
    const name = unique("activity");
    const state = await run(hub, {
      use: [activityMiddleware("none", () => undefined)],
      activities: { [name]: () => 1 },
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity(name);
      },
    });
    expect(failureOf(state).message).toContain('Middleware "none" broke rule A1');
  });
});
