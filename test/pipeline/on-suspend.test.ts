import { OrchestrationStatus, type OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import type { MiddlewareLogger, MiddlewareObject, OrchestrationMiddleware, SuspendReason } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { episodesOf, events, shown } from "./episodes.ts";
import { around, expectNoUnhandledRejections, failureOf, macrotask, outputOf, run, start, unique } from "./cases.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

/** Writes what it does into `log`: before and after `next`, and when the episode ends without that. */
function logging(name: string, log: string[]): MiddlewareObject {
  return around(name, async (ctx, next) => {
    log.push(`${name} before`);
    ctx.onSuspend((reason) => log.push(`${name} ${reason}`));
    try {
      await next(ctx);
    } finally {
      log.push(`${name} after`);
    }
  });
}

function loggingGenerator(name: string, log: string[]): MiddlewareObject {
  return around(name, async function* (ctx, next) {
    log.push(`${name} before`);
    ctx.onSuspend((reason) => log.push(`${name} ${reason}`));
    try {
      yield* next(ctx);
    } finally {
      log.push(`${name} after`);
    }
  });
}

const kinds = [
  ["an async function", logging],
  ["a generator", loggingGenerator],
] as const;

/** Resolves when an episode has ended with `reason`. */
function suspended(): { readonly middleware: MiddlewareObject; readonly episode: Promise<SuspendReason> } {
  const { promise, resolve } = Promise.withResolvers<SuspendReason>();
  return {
    episode: promise,
    middleware: around("suspended", (ctx, next) => {
      ctx.onSuspend(resolve);
      return next(ctx);
    }),
  };
}

function recordingLogger(): { readonly logger: MiddlewareLogger; readonly warnings: unknown[][] } {
  const warnings: unknown[][] = [];
  const ignore = (): void => undefined;
  return {
    warnings,
    logger: { error: ignore, info: ignore, debug: ignore, warn: (...args) => void warnings.push(args) },
  };
}

describe.each(kinds)("The code around next, in %s", (_, kind) => {
  it("O6 O7 runs before next in every episode, after it in the one that completes, and onSuspend in the others", async () => {
    const echo = unique("echo");
    const log: string[] = [];
    const state = await run(hub, {
      activities: { [echo]: (_ctx: unknown, value: number) => value },
      orchestrator: async function* (ctx: OrchestrationContext): Steps<number> {
        yield ctx.callActivity(echo, 1);
        yield ctx.createTimer(0.001);
        return 7;
      },
      use: [kind("m", log)],
    });
    expect(outputOf(state)).toBe(7);
    expect(log).toEqual(["m before", "m waiting", "m before", "m waiting", "m before", "m after"]);
  });

  it("O6 runs after next in the episode that fails", async () => {
    const echo = unique("echo");
    const log: string[] = [];
    const state = await run(hub, {
      activities: { [echo]: (_ctx: unknown, value: number) => value },
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity(echo, 1);
        throw new RangeError("out of stock");
      },
      use: [kind("m", log)],
    });
    expect(failureOf(state).type).toBe("RangeError");
    expect(log).toEqual(["m before", "m waiting", "m before", "m after"]);
  });

  it("O6 runs after next in the episode that continues as new", async () => {
    const log: string[] = [];
    const state = await run(hub, {
      input: 2,
      orchestrator: async function* (ctx: OrchestrationContext, left: number): Steps<string> {
        yield ctx.createTimer(0.001);
        if (left > 0) ctx.continueAsNew(left - 1, false);
        return "done";
      },
      use: [kind("m", log)],
    });
    expect(outputOf(state)).toBe("done");
    const generation = ["m before", "m waiting", "m before", "m after"];
    expect(log).toEqual([...generation, ...generation, ...generation]);
  });

  it("O7 calls back with continued_as_new where the orchestrator yields once more after it continued as new", async () => {
    const log: string[] = [];
    const state = await run(hub, {
      input: 1,
      orchestrator: async function* (ctx: OrchestrationContext, left: number): Steps<string> {
        if (left > 0) {
          ctx.continueAsNew(left - 1, false);
          yield ctx.createTimer(60);
        }
        return "done";
      },
      use: [kind("m", log)],
    });
    expect(outputOf(state)).toBe("done");
    expect(log).toEqual(["m before", "m continued_as_new", "m before", "m after"]);
  });

  it("O7 calls back with terminated where the orchestration is terminated from outside", async () => {
    const log: string[] = [];
    const { middleware, episode } = suspended();
    const started = await start(hub, {
      orchestrator: async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.waitForExternalEvent("never");
      },
      use: [kind("m", log), middleware],
    });
    expect(await episode).toBe("waiting");
    await hub.client.terminateOrchestration(started.id, "enough");
    const state = await started.finished();
    expect(OrchestrationStatus[state.runtimeStatus]).toBe("TERMINATED");
    expect(log).toEqual(["m before", "m waiting", "m before", "m terminated"]);
  });

  it("O7 calls back with failed where the engine fails the orchestration from outside, because it does not match its history", async () => {
    const log: string[] = [];
    const episode = episodesOf(
      async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("new name");
      },
      { use: [kind("m", log)] },
    );
    const actions = shown(
      await episode([events.newTaskScheduledEvent(1, "old name")], [events.newTaskCompletedEvent(1, "1")]),
    );
    expect(actions.at(-1)).toContain("failed NonDeterminismError");
    expect(log).toEqual(["m before", "m failed"]);
  });

  it("O7 calls back with failed where the orchestrator yields what is not a task", async () => {
    const log: string[] = [];
    const episode = episodesOf(
      async function* () {
        yield "no task";
      },
      { use: [kind("m", log)] },
    );
    expect(shown(await episode([]))).toEqual(["1 failed Error: The orchestrator generator yielded a non-Task object"]);
    expect(log).toEqual(["m before", "m failed"]);
  });

  it("O7 calls back with waiting in an episode that only suspends the orchestration, and in those after it", async () => {
    const log: string[] = [];
    const episode = episodesOf(
      async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.waitForExternalEvent("go");
      },
      { use: [kind("m", log)] },
    );
    expect(await episode([])).toEqual([]);
    expect(await episode([], [events.newSuspendEvent(), events.newEventRaisedEvent("go", "1")])).toEqual([]);
    expect(
      shown(
        await episode([events.newSuspendEvent(), events.newEventRaisedEvent("go", "1")], [events.newResumeEvent()]),
      ),
    ).toEqual(["1 completed 1"]);
    expect(log).toEqual(["m before", "m waiting", "m before", "m waiting", "m before", "m after"]);
  });
});

describe("onSuspend callbacks", () => {
  const waits = async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.waitForExternalEvent("go");
  };
  const go = events.newEventRaisedEvent("go", '"gone"');

  it("O7 run last-registered first, over all middlewares", async () => {
    const log: string[] = [];
    const twice = (name: string): MiddlewareObject =>
      around(name, (ctx, next) => {
        ctx.onSuspend(() => log.push(`${name} 1`));
        ctx.onSuspend(() => log.push(`${name} 2`));
        return next(ctx);
      });
    await episodesOf(waits, { use: [twice("outer"), twice("inner")] })([]);
    expect(log).toEqual(["inner 2", "inner 1", "outer 2", "outer 1"]);
  });

  it("O7 that throw are reported, and stop neither the others nor the orchestration", async () => {
    const log: string[] = [];
    const { logger, warnings } = recordingLogger();
    const error = new Error("can't close");
    const closing = around("closing", (ctx, next) => {
      ctx.onSuspend(() => log.push("first"));
      ctx.onSuspend(() => {
        throw error;
      });
      ctx.onSuspend(() => log.push("third"));
      return next(ctx);
    });
    const { middleware, episode } = suspended();
    // The outermost one's callbacks run last of all.
    const started = await start(hub, { orchestrator: waits, use: [middleware, closing], logger });
    expect(await episode).toBe("waiting");
    expect(log).toEqual(["third", "first"]);
    const reports = warnings.filter(([message]) => String(message).startsWith("durable-telemetry"));
    expect(reports).toEqual([
      [expect.stringContaining(`an onSuspend callback of orchestration "${started.name}" failed: can't close`)],
    ]);
    await hub.client.raiseOrchestrationEvent(started.id, "go", "gone");
    expect(outputOf(await started.finished())).toBe("gone");
    expect(log).toEqual(["third", "first"]);
  });

  it("O7 do not run when the code after next ran, nor for a middleware whose own code had ended", async () => {
    const log: string[] = [];
    const durable = around("durable", async function* (ctx, next) {
      ctx.onSuspend((reason) => log.push(`durable ${reason}`));
      yield* next(ctx);
      ctx.onSuspend((reason) => log.push(`durable, at its own step, ${reason}`));
      yield ctx.orchestrationContext.callActivity("audit");
    });
    const late = around("late", async (ctx, next) => {
      const rest = next(ctx);
      ctx.onSuspend((reason) => log.push(`late ${reason}`));
      await rest;
    });
    const inside = [logging("inner", log), loggingGenerator("innermost", log), late];
    const episode = episodesOf(async () => 1, { use: [logging("outer", log), durable, ...inside] });
    expect(shown(await episode([]))).toEqual(["1 schedule audit"]);
    expect(log).toEqual([
      "outer before",
      "inner before",
      "innermost before",
      "innermost after",
      "inner after",
      "durable, at its own step, waiting",
      "durable waiting",
      "outer waiting",
    ]);
    log.length = 0;
    expect(
      shown(await episode([], [events.newTaskScheduledEvent(1, "audit"), events.newTaskCompletedEvent(1, "1")])),
    ).toEqual(["2 completed 1"]);
    expect(log.filter((line) => /waiting|after/.test(line))).toEqual(["innermost after", "inner after", "outer after"]);
  });

  it("O7 run for a durable middleware that waits before its next, and for those outside of it", async () => {
    const log: string[] = [];
    const durable = around("durable", async function* (ctx, next) {
      yield ctx.orchestrationContext.callActivity("policy");
      log.push("durable goes on");
      yield* next(ctx);
    });
    const episode = episodesOf(() => 1, { use: [logging("outer", log), durable, logging("inner", log)] });
    expect(shown(await episode([]))).toEqual(["1 schedule policy"]);
    expect(log).toEqual(["outer before", "outer waiting"]);
  });

  const late: readonly [string, OrchestrationMiddleware][] = [
    [
      "after next was called and before it is awaited",
      async (ctx, next) => {
        const rest = next(ctx);
        ctx.onSuspend((reason) => reasons.push(reason));
        await rest;
      },
    ],
    [
      "while the body runs",
      async (ctx, next) => {
        const rest = next(ctx);
        await Promise.resolve();
        ctx.onSuspend((reason) => reasons.push(reason));
        await rest;
      },
    ],
    [
      "in a plain function after next",
      (ctx, next) => {
        const rest = next(ctx);
        ctx.onSuspend((reason) => reasons.push(reason));
        return rest;
      },
    ],
  ];
  const reasons: string[] = [];
  it.each(late)("O7 run when they are registered %s", async (_, middleware) => {
    reasons.length = 0;
    const log: string[] = [];
    const episode = episodesOf(waits, {
      use: [logging("outer", log), around("late", middleware), logging("inner", log)],
    });
    await episode([]);
    expect(reasons).toEqual(["waiting"]);
    expect(shown(await episode([], [go]))).toEqual(['1 completed "gone"']);
    expect(reasons).toEqual(["waiting"]);
  });

  it("O7 run when a middleware is stopped at an await that is not durable, for it and for those inside that have not ended", async () => {
    const log: string[] = [];
    const open = around("guilty", async (ctx, next) => {
      ctx.onSuspend((reason) => log.push(`guilty ${reason}`));
      await macrotask();
      await next(ctx);
    });
    const episode = episodesOf(waits, { use: [logging("outer", log), open] });
    expect(shown(await episode([]))[0]).toContain('failed NonDurableAwaitError: Middleware "guilty"');
    expect(log).toEqual(["outer before", "outer after", "guilty failed"]);
    await macrotask();
    expect(log).toHaveLength(3);
  });

  it("O7 run for what lies inside a middleware that ended too early", async () => {
    const log: string[] = [];
    const hasty = around("hasty", (ctx, next) => {
      void next(ctx);
      return Promise.resolve();
    });
    const episode = episodesOf(waits, { use: [logging("outer", log), hasty, logging("inner", log)] });
    expect(shown(await episode([])).at(-1)).toContain("it did not await next");
    expect(log).toEqual(["outer before", "inner before", "outer after", "inner failed"]);
  });

  it("O7 must be functions", async () => {
    const wrong = around("wrong", (ctx, next) => {
      Reflect.apply(ctx.onSuspend.bind(ctx), undefined, ["close"]);
      return next(ctx);
    });
    const state = await run(hub, { orchestrator: () => 1, use: [wrong] });
    expect(failureOf(state)).toEqual({ type: "TypeError", message: "onSuspend: callback must be a function." });
  });

  it("O7 may register another, which runs too", async () => {
    const log: string[] = [];
    const nested = around("nested", (ctx, next) => {
      ctx.onSuspend(() => {
        log.push("outer");
        ctx.onSuspend(() => log.push("nested"));
      });
      return next(ctx);
    });
    await episodesOf(waits, { use: [nested] })([]);
    expect(log).toEqual(["outer", "nested"]);
  });
});
