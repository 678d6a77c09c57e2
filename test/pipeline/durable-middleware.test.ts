import { RetryPolicy, whenAll, whenAny, type OrchestrationContext, type Task } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import type {
  MiddlewareObject,
  OrchestrationMiddleware,
  OrchestrationMiddlewareContext,
  OrchestrationNext,
} from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { around, expectNoUnhandledRejections, failureOf, microtasks, outputOf, run, start, unique } from "./cases.ts";
import { episodesOf, live } from "./episodes.ts";
import { customOnly } from "../custom-only.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

/** A durable middleware whose `yield`s have the type that their variable says. */
type Durable = (
  ctx: OrchestrationMiddlewareContext,
  next: OrchestrationNext,
) => AsyncGenerator<Task<unknown>, unknown, never>;

const durable = (name: string, middleware: Durable): MiddlewareObject => around(name, middleware);

/** An orchestration of two steps whose activity answers with its input. */
function order() {
  const echo = unique("echo");
  return {
    echo,
    activities: { [echo]: (_: unknown, value: unknown) => value },
    orchestrator: async function* (ctx: OrchestrationContext): Steps {
      return [yield ctx.callActivity(echo, "one"), yield ctx.callActivity(echo, "two")];
    },
  };
}

describe("A durable middleware", () => {
  it("O9 waits for an activity before and after next, and gets its result", async () => {
    const { echo, ...each } = order();
    const seen: unknown[] = [];
    const policy = durable("policy", async function* (ctx, next) {
      const before: string = yield ctx.orchestrationContext.callActivity(echo, "policy");
      const result = yield* next(ctx);
      const after: string = yield ctx.orchestrationContext.callActivity(echo, "audit");
      seen.push(before, result, after);
    });
    expect(outputOf(await run(hub, { ...each, use: [policy] }))).toEqual(["one", "two"]);
    expect(seen).toEqual(["policy", ["one", "two"], "audit"]);
  });

  it("O9 waits for a timer, an event, a sub-orchestration and several tasks at once", async () => {
    const { echo, ...each } = order();
    const child = unique("child");
    const seen: unknown[] = [];
    const main = unique("main");
    await hub.worker(
      {
        ...customOnly,
        use: [
          durable("waiting", async function* (ctx, next) {
            if (ctx.name === child) return yield* next(ctx);
            const { orchestrationContext: durables } = ctx;
            yield durables.createTimer(0.001);
            const event: string = yield durables.waitForExternalEvent("go");
            const below: number = yield durables.callSubOrchestrator(child, 4);
            const all: unknown[] = yield whenAll([durables.callActivity(echo, "a"), durables.callActivity(echo, "b")]);
            // The last episode's.
            seen.splice(0, seen.length, event, below, all);
            return yield* next(ctx);
          }),
        ],
      },
      (worker) => {
        worker.addNamedOrchestrator(main, (ctx: OrchestrationContext) => each.orchestrator(ctx));
        worker.addNamedOrchestrator(child, (_: OrchestrationContext, value: number) => value * 2);
        for (const [name, fn] of Object.entries(each.activities)) worker.addNamedActivity(name, fn);
      },
      { workItemFilters: "auto" },
    );
    const id = await hub.client.scheduleNewOrchestration(main);
    await hub.client.raiseOrchestrationEvent(id, "go", "gone");
    const state = await hub.client.waitForOrchestrationCompletion(id, true, 20);
    expect(state && outputOf(state)).toEqual(["one", "two"]);
    expect(seen).toEqual(["gone", 8, ["a", "b"]]);
  });

  it.each([
    [true, ["one", "two"]],
    [false, undefined],
  ])("O9 gives an approval a durable time limit: approved in time is %s", async (approved, output) => {
    const { echo: _, ...each } = order();
    const approval = durable("approval", async function* (ctx, next) {
      const answer: Task<unknown> = ctx.orchestrationContext.waitForExternalEvent("approve");
      const limit = ctx.orchestrationContext.createTimer(approved ? 60 : 0.02);
      const first: Task<unknown> = yield whenAny([answer, limit]);
      if (first === limit) throw new Error("nobody approved in time");
      limit.cancel();
      yield* next(ctx);
    });
    const started = await start(hub, { ...each, use: [approval] });
    if (approved) await hub.client.raiseOrchestrationEvent(started.id, "approve", "yes");
    const state = await started.finished();
    if (output === undefined) expect(failureOf(state)).toEqual({ type: "Error", message: "nobody approved in time" });
    else expect(outputOf(state)).toEqual(output);
  });

  it("O9 retries an activity under a retry policy", async () => {
    const { echo: _, ...each } = order();
    const flaky = unique("flaky");
    let attempts = 0;
    const policy = durable("policy", async function* (ctx, next) {
      const retry = new RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 1 });
      const attempt: number = yield ctx.orchestrationContext.callActivity(flaky, undefined, { retry });
      if (attempt === 3) yield* next(ctx);
    });
    const state = await run(hub, {
      ...each,
      activities: {
        ...each.activities,
        [flaky]: () => {
          attempts += 1;
          if (attempts < 3) throw new Error("not yet");
          return attempts;
        },
      },
      use: [policy],
    });
    expect(outputOf(state)).toEqual(["one", "two"]);
    expect(attempts).toBe(3);
  });

  it("O9 gets the failure of its task thrown at its yield, and may go on", async () => {
    const { echo: _, ...each } = order();
    const fragile = unique("fragile");
    const caught: string[] = [];
    const state = await run(hub, {
      ...each,
      activities: {
        ...each.activities,
        [fragile]: () => {
          throw new Error("broken");
        },
      },
      use: [
        durable("careful", async function* (ctx, next) {
          try {
            yield ctx.orchestrationContext.callActivity(fragile);
          } catch (error) {
            caught.push(String(error));
          }
          yield* next(ctx);
        }),
      ],
    });
    expect(outputOf(state)).toEqual(["one", "two"]);
    expect(caught.at(-1)).toContain("broken");
  });

  it("O4 O9 fails the orchestration where it lets the failure of its task through, and the orchestrator does not run", async () => {
    const fragile = unique("fragile");
    let runs = 0;
    const state = await run(hub, {
      activities: {
        [fragile]: () => {
          throw new Error("broken");
        },
      },
      orchestrator: () => {
        runs += 1;
      },
      use: [
        durable("careless", async function* (ctx, next) {
          yield ctx.orchestrationContext.callActivity(fragile);
          yield* next(ctx);
        }),
      ],
    });
    expect(failureOf(state).message).toContain("broken");
    expect(runs).toBe(0);
  });

  it("O3 O9 O11 sees the orchestrator's failure at its yield*, may compensate with an activity, and hides nothing", async () => {
    const { echo, activities } = order();
    const compensated: unknown[] = [];
    const state = await run(hub, {
      activities,
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity(echo, "charge");
        throw new RangeError("out of stock");
      },
      use: [
        durable("saga", async function* (ctx, next) {
          try {
            yield* next(ctx);
          } catch {
            const refund: string = yield ctx.orchestrationContext.callActivity(echo, "refund");
            compensated.push(refund, ctx.failure);
          }
        }),
      ],
    });
    expect(failureOf(state)).toEqual({ type: "RangeError", message: "out of stock" });
    expect(compensated).toEqual(["refund", expect.objectContaining({ message: "out of stock" })]);
  });

  it("O9 may yield a task that is complete already", async () => {
    const { echo: _, ...each } = order();
    const state = await run(hub, {
      ...each,
      use: [
        durable("empty", async function* (ctx, next) {
          const none: unknown[] = yield whenAll([]);
          if (none.length === 0) yield* next(ctx);
          yield whenAll([]);
        }),
      ],
    });
    expect(outputOf(state)).toEqual(["one", "two"]);
  });

  it("O6 O9 that waits after next finishes the orchestration in a later episode, with the orchestrator's result", async () => {
    const echo = unique("echo");
    const ends: string[] = [];
    const state = await run(hub, {
      activities: { [echo]: (_: unknown, value: unknown) => value },
      orchestrator: () => "body",
      use: [
        around("outer", async (ctx, next) => {
          await next(ctx);
          ends.push(`${String(ctx.result)}, replaying: ${ctx.isReplaying}`);
        }),
        durable("slow", async function* (ctx, next) {
          yield* next(ctx);
          yield ctx.orchestrationContext.createTimer(0.001);
          yield ctx.orchestrationContext.callActivity(echo, "audit");
        }),
      ],
    });
    expect(outputOf(state)).toBe("body");
    expect(ends).toEqual(["body, replaying: false"]);
  });
});

describe("A durable middleware that breaks a rule", () => {
  const wrong: readonly [string, RegExp, OrchestrationMiddleware][] = [
    [
      "yield next(ctx) without the star",
      /^Middleware "guilty" broke rule O9: it yielded something that is not a durable task; to run the rest, write yield\* next\(ctx\), with the star\.$/,
      async function* (ctx, next) {
        yield next(ctx) as never;
      },
    ],
    [
      "yield next(ctx) without the star, caught",
      /^Middleware "guilty" broke rule O9: it yielded something that is not a durable task/,
      async function* (ctx, next) {
        try {
          yield next(ctx) as never;
        } catch {}
      },
    ],
    [
      "a yield of nothing",
      /^Middleware "guilty" broke rule O9: it yielded something that is not a durable task/,
      async function* (ctx, next) {
        yield undefined as never;
        yield* next(ctx);
      },
    ],
    [
      "a yield of a promise of something",
      /^Middleware "guilty" broke rule O9: it yielded something that is not a durable task/,
      async function* (ctx, next) {
        yield Promise.resolve({ done: true }) as never;
        yield* next(ctx);
      },
    ],
    [
      "a yield while next runs",
      /Middleware "guilty" broke rule O9: it yielded while next was running; wait for it first: yield\* next\(ctx\)\./,
      async function* (ctx, next) {
        const rest = next(ctx);
        yield ctx.orchestrationContext.createTimer(1);
        await rest;
      },
    ],
    [
      "a yield while next runs that looks at it",
      /^Middleware "guilty" broke rule O9: it yielded while next was running; wait for it first: yield\* next\(ctx\)\.$/,
      async function* (ctx, next) {
        const rest = next(ctx);
        void rest.then(() => undefined);
        yield ctx.orchestrationContext.createTimer(1);
        await rest;
      },
    ],
  ];
  const catching: readonly MiddlewareObject[] = [
    around("catching", (ctx, next) => next(ctx).catch(() => undefined)),
    durable("catching generator", async function* (ctx, next) {
      try {
        yield* next(ctx);
      } catch {}
    }),
  ];
  it.each(wrong)("O5 O9 fails the orchestration: %s", async (_, message, middleware) => {
    const { echo: _echo, ...each } = order();
    for (const use of [[around("guilty", middleware)], [...catching, around("guilty", middleware)]]) {
      const failure = failureOf(await run(hub, { ...each, use }));
      expect(failure.message).toMatch(message);
      expect(failure.type).toMatch(/^(MiddlewareContract|Aggregate)Error$/);
    }
  });
});

describe("Durable actions", () => {
  const orchestrator = async function* (ctx: OrchestrationContext): Steps {
    return [yield ctx.callActivity("one"), yield ctx.createTimer(1), yield ctx.callActivity("two")];
  };
  const answer = (name: string): string => name;

  it("O8 of middlewares that don't wait for them come before the orchestrator's, outermost first", async () => {
    const sending = (name: string): MiddlewareObject =>
      around(name, async (ctx, next) => {
        ctx.orchestrationContext.sendEvent("other", name);
        await microtasks(3);
        await next(ctx);
      });
    const actions = await episodesOf(orchestrator, { use: [sending("outer"), sending("inner")] })([]);
    expect(
      actions.map((action) => [
        action.getId(),
        action.getSendevent()?.getName() ?? action.getScheduletask()?.getName(),
      ]),
    ).toEqual([
      [1, "outer"],
      [2, "inner"],
      [3, "one"],
    ]);
  });

  it("O8 that middlewares wait for, and that they don't, keep their IDs over all episodes", async () => {
    const policy = (name: string): MiddlewareObject =>
      durable(name, async function* (ctx, next) {
        const unawaited = ctx.orchestrationContext.callActivity(`${name} unawaited`);
        yield ctx.orchestrationContext.callActivity(`${name} policy`);
        yield* next(ctx);
        yield unawaited;
        yield ctx.orchestrationContext.callActivity(`${name} audit`);
      });
    const prefetching = around("function", async (ctx, next) => {
      ctx.orchestrationContext.callActivity("prefetch");
      await next(ctx);
    });
    const lifetime = await live(
      episodesOf(orchestrator, { use: [policy("outer"), prefetching, policy("inner")] }),
      answer,
    );
    // A different order in some episode would be refused as non-determinism.
    expect(lifetime.flat()).toEqual([
      "1 schedule outer unawaited",
      "2 schedule outer policy",
      "3 schedule prefetch",
      "4 schedule inner unawaited",
      "5 schedule inner policy",
      "6 schedule one",
      "7 timer",
      "8 schedule two",
      "9 schedule inner audit",
      "10 schedule outer audit",
      '11 completed ["one",null,"two"]',
    ]);
  });
});
