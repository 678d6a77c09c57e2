import { readFile, stat } from "node:fs/promises";
import { lookup } from "node:dns/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  NonDurableAwaitError,
  type AwaitGuardOptions,
  type MiddlewareLogger,
  type MiddlewareObject,
} from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import {
  around,
  expectNoUnhandledRejections,
  failureOf,
  finished,
  macrotask,
  microtasks,
  outputOf,
  run,
  unique,
  type AnyOrchestrationMiddleware,
} from "./cases.ts";
import { episodesOf, events, live, shown } from "./episodes.ts";
import { customOnly } from "../custom-only.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

const posted = (): Promise<unknown> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.once("message", (message) => {
      port1.close();
      resolve(message);
    });
    port2.postMessage("hello");
  });

/** Lives an orchestration as when its event comes from outside: in the phase of the event loop in which I/O arrives. */
const play: typeof live = async (...args) => {
  await stat(fileURLToPath(import.meta.url));
  return live(...args);
};

const forever = (): Promise<never> => new Promise(() => undefined);

/** Waits that replay can't repeat. */
const notDurable: readonly [string, () => Promise<unknown>][] = [
  ["a timer", () => sleep(5)],
  ["setImmediate", () => new Promise((resolve) => void setImmediate(resolve))],
  ["a file", () => readFile(fileURLToPath(import.meta.url))],
  ["a look-up in the network", () => lookup("localhost")],
  ["a message", posted],
  ["a promise that nothing settles", forever],
];

/** The places of a wait in a middleware. */
const places: readonly [string, (wait: () => Promise<unknown>) => AnyOrchestrationMiddleware][] = [
  [
    "before next",
    (wait) => async (ctx, next) => {
      await wait();
      await next(ctx);
    },
  ],
  [
    "after next",
    (wait) => async (ctx, next) => {
      await next(ctx);
      await wait();
    },
  ],
  ["in a plain function before next", (wait) => (ctx, next) => wait().then(() => next(ctx))],
  ["in finally", (wait) => (ctx, next) => next(ctx).finally(wait)],
  [
    "in a generator before next",
    (wait) =>
      async function* (ctx, next) {
        await wait();
        yield* next(ctx);
      },
  ],
  [
    "in a generator after next",
    (wait) =>
      async function* (ctx, next) {
        yield* next(ctx);
        await wait();
      },
  ],
  [
    "in a generator between durable steps",
    (wait) =>
      async function* (ctx, next) {
        yield ctx.orchestrationContext.callActivity("echo", 1);
        await wait();
        yield ctx.orchestrationContext.callActivity("echo", 2);
        yield* next(ctx);
      },
  ],
];

const steps = async function* (ctx: OrchestrationContext): Steps {
  return [yield ctx.callActivity("echo", 1), yield ctx.callActivity("echo", 2)];
};
const answer = (_: string, input: unknown): unknown => input;

const catching = around("catching", (ctx, next) => next(ctx).catch(() => undefined));
const through = around("through", async (ctx, next) => void (await next(ctx)));
const throughGenerator = around("through generator", async function* (ctx, next) {
  yield* next(ctx);
});

const accusation =
  'Middleware "guilty" awaits something that is not durable (a timer, I/O): replay can\'t repeat that. ' +
  "Make it a durable middleware instead: an async generator that yields ctx.orchestrationContext.callActivity(...) " +
  "or .createTimer(...), then yield* next(ctx).";

function recordingLogger(): { readonly logger: MiddlewareLogger; readonly warnings: string[] } {
  const warnings: string[] = [];
  const ignore = (): void => undefined;
  const warn = (message: string): void => {
    if (message.startsWith("durable-telemetry")) warnings.push(message);
  };
  return { warnings, logger: { error: ignore, info: ignore, debug: ignore, warn } };
}

describe.each(places)("A middleware that waits %s", (_place, middleware) => {
  it.each(notDurable)(
    "D2 fails the orchestration with an error that names it, if that is not durable: %s",
    async (_, wait) => {
      for (const use of [
        [around("guilty", middleware(wait))],
        [through, catching, around("guilty", middleware(wait)), throughGenerator],
      ]) {
        const lifetime = await play(episodesOf(steps, { use }), answer);
        expect(lifetime.at(-1)?.map((action) => action.replace(/^\d+ /, ""))).toEqual([
          `failed NonDurableAwaitError: ${accusation}`,
        ]);
      }
    },
  );

  it("D2 is left alone where the guard is off", async () => {
    const { logger, warnings } = recordingLogger();
    const use = [
      through,
      around(
        "guilty",
        middleware(() => sleep(1)),
      ),
      throughGenerator,
    ];
    const lifetime = await play(episodesOf(steps, { use, logger, awaitGuard: { middleware: "off" } }), answer);
    expect(lifetime.at(-1)?.at(-1)).toMatch(/completed \[1,2\]$/);
    expect(warnings).toEqual([]);
  });

  it("D2 is warned of once, and goes on, where the guard warns", async () => {
    const { logger, warnings } = recordingLogger();
    const use = [
      through,
      around(
        "guilty",
        middleware(() => sleep(1)),
      ),
      throughGenerator,
    ];
    const lifetime = await play(episodesOf(steps, { use, logger, awaitGuard: { middleware: "warn" } }), answer);
    expect(lifetime.at(-1)?.at(-1)).toMatch(/completed \[1,2\]$/);
    expect(warnings).toEqual([`durable-telemetry: ${accusation}`]);
  });
});

describe("The error", () => {
  it("D2 reaches the client, and the middlewares outside as rejection and ctx.failure", async () => {
    const seen: unknown[] = [];
    const state = await run(hub, {
      orchestrator: () => 1,
      use: [
        around("seeing", (ctx, next) => next(ctx).catch((error: unknown) => void seen.push(error, ctx.failure))),
        around("guilty", async (ctx, next) => {
          await forever();
          await next(ctx);
        }),
      ],
    });
    expect(failureOf(state)).toEqual({ type: "NonDurableAwaitError", message: accusation });
    expect(seen[0]).toBeInstanceOf(NonDurableAwaitError);
    expect(seen[0]).toMatchObject({ middleware: "guilty", code: "DURABLE_TELEMETRY_NON_DURABLE_AWAIT" });
    expect(seen[1]).toBe(seen[0]);
  });

  it("D2 names each of several guilty middlewares", async () => {
    const guilty = (name: string): MiddlewareObject =>
      around(name, async (ctx, next) => {
        try {
          await next(ctx);
        } finally {
          await forever();
        }
      });
    const [actions] = await play(
      episodesOf(() => 1, { use: [guilty("a"), through, guilty("b"), guilty("c")] }),
      answer,
    );
    expect(actions).toHaveLength(1);
    expect(actions?.[0]).toMatch(
      /^1 failed AggregateError: Middleware "c" awaits .*; Middleware "b" awaits .*; Middleware "a" awaits /,
    );
  });

  it("O4 D2 stands beside the orchestrator's own failure", async () => {
    const guilty = around("guilty", (ctx, next) => next(ctx).finally(forever));
    const [actions] = await play(
      episodesOf(
        () => {
          throw new RangeError("out of stock");
        },
        { use: [guilty] },
      ),
      answer,
    );
    expect(actions).toEqual([`1 failed AggregateError: out of stock; ${accusation}`]);
  });

  it("O2 D2 is final: the orchestrator does not run when the middleware goes on afterwards", async () => {
    let runs = 0;
    const io = Promise.withResolvers<void>();
    const late = Promise.withResolvers<unknown>();
    const guilty = around("guilty", async (ctx, next) => {
      await io.promise;
      late.resolve(await next(ctx).catch((error: unknown) => error));
    });
    const episode = episodesOf(
      () => {
        runs += 1;
      },
      { use: [guilty] },
    );
    expect(shown(await episode([]))[0]).toContain("failed NonDurableAwaitError");
    io.resolve();
    expect(String(await late.promise)).toContain("it called next after it had ended");
    expect(runs).toBe(0);
  });
});

describe("The guard of the orchestrator", () => {
  const orchestrators = {
    "an async function": async () => {
      await sleep(1);
      return "done";
    },
    "a generator": async function* (ctx: OrchestrationContext): Steps<string> {
      await sleep(1);
      yield ctx.callActivity("echo", 1);
      yield ctx.callActivity("echo", 2);
      return "done";
    },
    "a generator, between steps": async function* (ctx: OrchestrationContext): Steps<string> {
      yield ctx.callActivity("echo", 1);
      await sleep(1);
      yield ctx.callActivity("echo", 2);
      return "done";
    },
    "a generator, at its end": async function* (ctx: OrchestrationContext): Steps<string> {
      yield ctx.callActivity("echo", 1);
      await sleep(1);
      return "done";
    },
  };
  const use = [through, throughGenerator];
  const warning =
    'durable-telemetry: Orchestrator "main" awaits something that is not durable (a timer, I/O): replay can\'t repeat that. ' +
    "Use a durable task instead: yield ctx.callActivity(...), ctx.createTimer(...) or ctx.waitForExternalEvent(...).";

  describe.each(Object.entries(orchestrators))("that is %s", (_, orchestrator) => {
    it.each<[string, AwaitGuardOptions]>([
      ["by default", {}],
      ["where the option asks for it", { orchestrator: "warn" }],
      ["when middleware is not guarded", { orchestrator: "warn", middleware: "off" }],
    ])(
      "D2 warns of an await that is not durable %s, once in the life of the orchestration, and lets it work",
      async (_when, awaitGuard) => {
        const { logger, warnings } = recordingLogger();
        const lifetime = await play(episodesOf(orchestrator, { use, logger, awaitGuard }), answer);
        expect(lifetime.at(-1)?.at(-1)).toMatch(/completed "done"$/);
        expect(warnings).toEqual([warning]);
      },
    );

    it("D2 fails it when configured to", async () => {
      const { logger, warnings } = recordingLogger();
      const lifetime = await play(
        episodesOf(orchestrator, { use, logger, awaitGuard: { orchestrator: "fail" } }),
        answer,
      );
      expect(lifetime.at(-1)?.at(-1)).toContain(
        `failed NonDurableAwaitError: ${warning.replace("durable-telemetry: ", "")}`,
      );
      expect(warnings).toEqual([]);
    });

    it("D2 says nothing when it is off", async () => {
      const { logger, warnings } = recordingLogger();
      const lifetime = await play(
        episodesOf(orchestrator, { use, logger, awaitGuard: { orchestrator: "off" } }),
        answer,
      );
      expect(lifetime.at(-1)?.at(-1)).toMatch(/completed "done"$/);
      expect(warnings).toEqual([]);
    });

    it.each<AwaitGuardOptions>([{}, { orchestrator: "off" }])(
      "D2 does not keep a middleware that waits after next from being accused: %o",
      async (awaitGuard) => {
        const guilty = around("guilty", (ctx, next) => next(ctx).finally(forever));
        const lifetime = await play(episodesOf(orchestrator, { use: [through, guilty], awaitGuard }), answer);
        expect(lifetime.at(-1)?.at(-1)).toContain(`failed NonDurableAwaitError: ${accusation}`);
      },
    );
  });

  it("D2 is not kept from accusing by a middleware that waits and is left alone", async () => {
    const waiting = around("waiting", async (ctx, next) => {
      await sleep(1);
      await next(ctx);
    });
    const awaitGuard = { middleware: "off", orchestrator: "fail" } as const;
    const [actions] = await play(episodesOf(forever, { use: [waiting], awaitGuard }), answer);
    expect(actions?.[0]).toContain('failed NonDurableAwaitError: Orchestrator "main"');
  });

  it("D2 warns once of an orchestrator that does it in several steps of one episode", async () => {
    const { logger, warnings } = recordingLogger();
    const twice = async function* (): Steps<string> {
      await sleep(1);
      yield whenAll([]);
      await sleep(1);
      return "done";
    };
    expect(await play(episodesOf(twice, { use, logger }), answer)).toEqual([['1 completed "done"']]);
    expect(warnings).toEqual([warning]);
  });

  it("D2 warns of a middleware and of the orchestrator, one after the other", async () => {
    const { logger, warnings } = recordingLogger();
    const waiting = around("waiting", async (ctx, next) => {
      await sleep(1);
      await next(ctx);
    });
    await play(
      episodesOf(() => sleep(1, "done"), { use: [waiting], logger, awaitGuard: { middleware: "warn" } }),
      answer,
    );
    expect(warnings).toEqual([
      expect.stringContaining('Middleware "waiting"'),
      expect.stringContaining('Orchestrator "main"'),
    ]);
  });
});

describe("Code that only awaits promises which settle without leaving the microtask queue", () => {
  const deep = (depth: number): Promise<number> =>
    depth === 0 ? Promise.resolve(0) : deep(depth - 1).then((n) => n + 1);
  async function* count(to: number): AsyncGenerator<number> {
    for (let n = 0; n < to; n += 1) yield n;
  }
  const waits = {
    turns: (n: number) => microtasks(n),
    "a deep chain": (n: number) => deep(n % 500),
    queueMicrotask: async (n: number) => {
      for (let i = 0; i < n; i += 1) await new Promise<void>((resolve) => queueMicrotask(resolve));
    },
    "process.nextTick": async (n: number) => {
      for (let i = 0; i < n; i += 1) await new Promise<void>((resolve) => process.nextTick(resolve));
    },
    "an async iterator": async (n: number) => {
      let sum = 0;
      for await (const each of count(n)) sum += each;
      return sum;
    },
    "Promise.all": (n: number) => Promise.all(Array.from({ length: n % 100 }, (_, i) => microtasks(i))),
    "Promise.allSettled": (n: number) => Promise.allSettled([Promise.reject(new Error("no")), microtasks(n)]),
    rejections: (n: number) =>
      microtasks(n)
        .then(() => Promise.reject(new Error("no")))
        .catch(() => undefined),
    "nested async functions": async (n: number): Promise<void> => {
      const nest = async (left: number): Promise<void> => (left === 0 ? undefined : nest(left - 1));
      await nest(n % 300);
    },
  };
  type Wait = keyof typeof waits;
  const wait = fc.tuple(fc.constantFrom(...(Object.keys(waits) as Wait[])), fc.integer({ min: 0, max: 2000 }));
  const some = fc.array(wait, { maxLength: 4 });
  const doAll = async (list: readonly [Wait, number][]): Promise<void> => {
    for (const [what, n] of list) await waits[what](n);
  };

  it("D2 is never accused, in middleware or in the orchestrator, however long it takes", async () => {
    await fc.assert(
      fc.asyncProperty(some, some, some, some, async (before, between, within, after) => {
        const { logger, warnings } = recordingLogger();
        const use = [
          around("function", async (ctx, next) => {
            await doAll(before);
            const rest = next(ctx);
            await doAll(between);
            await rest;
            await doAll(after);
          }),
          around("generator", async function* (ctx, next) {
            await doAll(after);
            yield ctx.orchestrationContext.createTimer(1);
            await doAll(before);
            yield* next(ctx);
            await doAll(between);
          }),
        ];
        const orchestrator = async function* (ctx: OrchestrationContext): Steps<string> {
          await doAll(within);
          yield ctx.callActivity("echo", 1);
          await doAll(before);
          return "done";
        };
        const lifetime = await play(
          episodesOf(orchestrator, { use, logger, awaitGuard: { orchestrator: "fail" } }),
          answer,
        );
        expect(lifetime.at(-1)).toEqual(['3 completed "done"']);
        expect(warnings).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it("D2 is never accused over gRPC either, with many orchestrations at once and one guilty among them", async () => {
    const name = unique("main");
    const echo = unique("echo");
    await hub.worker(
      {
        ...customOnly,
        awaitGuard: { orchestrator: "fail" },
        use: [
          around("guilty", async (ctx, next) => {
            await waits["process.nextTick"](20);
            if (ctx.input === 42) await forever();
            else await microtasks(500);
            await next(ctx);
            await waits["an async iterator"](50);
          }),
        ],
      },
      (worker) => {
        worker.addNamedActivity(echo, (_: unknown, value: unknown) => value);
        worker.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext, input: number): Steps<number> {
          await microtasks(100);
          const value: number = yield ctx.callActivity(echo, input);
          await microtasks(100);
          return value;
        });
      },
      { workItemFilters: "auto" },
    );
    const inputs = Array.from({ length: 100 }, (_, index) => index);
    const states = await Promise.all(
      inputs.map(async (input) => finished(hub, await hub.client.scheduleNewOrchestration(name, input))),
    );
    for (const [input, state] of states.entries()) {
      if (input === 42) expect(failureOf(state)).toEqual({ type: "NonDurableAwaitError", message: accusation });
      else expect(outputOf(state)).toBe(input);
    }
  });
});

describe("Between an event and the orchestrator's next step", () => {
  const many = Array.from({ length: 6 }, (_, index) =>
    around(
      `m${index}`,
      index % 2 === 0
        ? async (ctx, next) => void (await next(ctx))
        : async function* (ctx, next) {
            yield* next(ctx);
          },
    ),
  );
  const past = Array.from({ length: 100 }, (_, index) => [
    events.newTaskScheduledEvent(index + 1, "echo"),
    events.newTaskCompletedEvent(index + 1, `${index}`),
  ]).flat();
  const loop = async function* (ctx: OrchestrationContext): Steps<string> {
    for (let step = 0; step < 101; step += 1) yield ctx.callActivity("echo", step);
    return "done";
  };

  it.each<[string, AwaitGuardOptions]>([
    ["with the guard on", {}],
    ["with the guard off", { middleware: "off", orchestrator: "off" }],
  ])("D4 there is no macrotask, timer or I/O, %s: an episode of 100 steps is one macrotask", async (_, awaitGuard) => {
    const episode = episodesOf(loop, { use: many, awaitGuard });
    await macrotask();
    let left = false;
    // The first of all immediates, and the first of all timers.
    setImmediate(() => (left = true));
    setTimeout(() => (left = true));
    const actions = await episode(past, [
      events.newTaskScheduledEvent(101, "echo"),
      events.newTaskCompletedEvent(101, "100"),
    ]);
    expect(left).toBe(false);
    expect(shown(actions)).toEqual(['102 completed "done"']);
  });
});
