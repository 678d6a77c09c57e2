import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import { startHub, type Hub, type Steps } from "../harness.ts";
import {
  around,
  expectNoUnhandledRejections,
  failureOf,
  macrotask,
  microtasks,
  run,
  twoSteps,
  unique,
} from "./cases.ts";
import { episodesOf, events, shown } from "./episodes.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

describe("The orchestrator", () => {
  it("O2 does not run again when code inside calls the next of a middleware outside", async () => {
    const held: (() => Promise<unknown>)[] = [];
    let runs = 0;
    const state = await run(hub, {
      use: [
        around("leaking", async (ctx, next) => {
          held.push(() => next(ctx));
          await next(ctx);
        }),
        around("calling", async (ctx, next) => {
          void held[0]?.();
          await next(ctx);
        }),
      ],
      orchestrator: () => {
        runs += 1;
        void held[0]?.();
        return runs;
      },
    });
    expect(failureOf(state).message).toContain('Middleware "leaking" broke rule O1: it called next a second time');
    expect(runs).toBe(1);
  });

  it("O2 does not run when next is called after the middleware has ended", async () => {
    let runs = 0;
    const late = Promise.withResolvers<void>();
    const state = await run(hub, {
      use: [
        around("late", (ctx, next) => {
          late.promise.then(() => next(ctx)).catch(() => undefined);
          return Promise.resolve();
        }),
      ],
      orchestrator: () => {
        runs += 1;
      },
    });
    expect(failureOf(state).message).toContain("it ended without calling next");
    late.resolve();
    await macrotask();
    expect(runs).toBe(0);
  });

  it.each([0, 1, 2, 3, 4, 5, 8, 20])(
    "O2 does not run on when a durable middleware waits for its own task and calls next, %i microtasks later",
    async (turns) => {
      const { counts, count, orchestrator, activities } = twoSteps();
      const [own] = Object.keys(activities);
      const state = await run(hub, {
        activities,
        orchestrator,
        use: [
          count,
          around("eager", async function* (ctx, next) {
            microtasks(turns)
              .then(() => next(ctx))
              .catch(() => undefined);
            yield ctx.orchestrationContext.callActivity(String(own), 3);
          }),
        ],
      });
      expect(failureOf(state).message).toContain('Middleware "eager" broke rule O');
      expect(counts.starts).toBeLessThanOrEqual(counts.episodes);
      expect(counts.ends).toBe(0);
    },
  );

  it("O2 is dead once a middleware outside of it has ended: what it does then no longer counts", async () => {
    const log: string[] = [];
    const note = unique("note");
    const state = await run(hub, {
      activities: { [note]: () => "noted" },
      use: [
        around("compensating", async function* (ctx, next) {
          try {
            yield* next(ctx);
          } catch {
            log.push(String(yield ctx.orchestrationContext.callActivity(note)));
          }
        }),
        around("hasty", async (ctx, next) => {
          void next(ctx);
          await microtasks(10);
        }),
        around("dead", async function* (ctx, next) {
          yield* next(ctx);
          log.push("the code after the dead middleware's next");
          yield ctx.orchestrationContext.callActivity(note);
        }),
      ],
      orchestrator: async () => {
        await microtasks(200);
        return "done";
      },
    });
    expect(failureOf(state).message).toContain('Middleware "hasty" broke rule O1: it did not await next');
    expect(log).toEqual(["noted"]);
  });

  it.each([1, 5, 50])(
    "O2 gets no more resumes once a middleware outside of it has ended, %i other events later",
    async (others) => {
      const log: unknown[] = [];
      const episode = episodesOf(
        async function* (ctx: OrchestrationContext): Steps<string> {
          log.push(yield ctx.callActivity("charge"));
          return "done";
        },
        {
          use: [
            around("compensating", async function* (ctx, next) {
              try {
                yield* next(ctx);
              } catch {
                log.push(yield ctx.orchestrationContext.callActivity("refund"));
              }
            }),
            around("hasty", async (ctx, next) => {
              void next(ctx);
              await microtasks(6);
            }),
          ],
        },
      );
      const past = [
        events.newTaskScheduledEvent(1, "charge"),
        ...Array.from({ length: others }, (_, index) => events.newEventRaisedEvent(`other ${index}`, "1")),
      ];
      const charged = events.newTaskCompletedEvent(1, '"charged"');
      expect(shown(await episode(past, [charged]))).toEqual(["2 schedule refund"]);
      expect(log).toEqual([]);
      const refunded = [events.newTaskScheduledEvent(2, "refund"), events.newTaskCompletedEvent(2, '"refunded"')];
      expect(shown(await episode([...past, charged], refunded))).toEqual([
        '3 failed MiddlewareContractError: Middleware "hasty" broke rule O1: it did not await next and ended before the rest did; write await next(ctx).',
      ]);
      expect(log).toEqual(["refunded"]);
    },
  );

  it("O2 O9 is not reached by a durable middleware that is dead: its own steps no longer count either", async () => {
    const episode = episodesOf(() => "body", {
      use: [
        around("compensating", async function* (ctx, next) {
          try {
            yield* next(ctx);
          } catch {
            await microtasks(200);
            yield ctx.orchestrationContext.callActivity("refund");
          }
        }),
        around("hasty", async (ctx, next) => {
          void next(ctx);
          await microtasks(6);
        }),
        around("dead", async function* (ctx, next) {
          await microtasks(100);
          yield ctx.orchestrationContext.callActivity("dead");
          yield* next(ctx);
        }),
      ],
    });
    const first = ["1 schedule dead", "2 schedule refund"];
    expect(shown(await episode([]))).toEqual(first);
    // The orchestration waits for the refund, not for what the dead middleware began.
    const past = [events.newTaskScheduledEvent(1, "dead"), events.newTaskScheduledEvent(2, "refund")];
    expect(shown(await episode(past, [events.newTaskCompletedEvent(2, "1")]))).toEqual([
      expect.stringMatching(
        /^3 failed MiddlewareContractError: Middleware "hasty" broke rule O1: it did not await next/,
      ),
    ]);
  });
});
