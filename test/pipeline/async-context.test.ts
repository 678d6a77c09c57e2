/** The async context that middleware sets around `next`: where it is, in each episode, and where it is not. */
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { TaskFailedError, type OrchestrationContext } from "@microsoft/durabletask-js";
import { context, createContextKey, propagation, trace, type Context } from "@opentelemetry/api";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { DurableTelemetryOptions, MiddlewareObject, OrchestrationMiddleware } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";
import { recordSpans, startHub, wholeness, type Hub, type Steps } from "../harness.ts";
import { around, expectNoUnhandledRejections, finished, microtasks, outputOf, unique } from "./cases.ts";
import { episodesOf, events } from "./episodes.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

const outer = new AsyncLocalStorage<string>();
const inner = new AsyncLocalStorage<string>();
const key = createContextKey("the tenant");

const seen = (): string =>
  [
    outer.getStore(),
    inner.getStore(),
    context.active().getValue(key),
    propagation.getActiveBaggage()?.getEntry("tenant")?.value,
  ].join(" ");

const withTenant = (active: Context, value: string): Context =>
  propagation.setBaggage(active.setValue(key, value), propagation.createBaggage({ tenant: { value } }));

/** Sets every kind of context around `next`, `run` in between. */
function tenant(name: string, run: <T>(fn: () => T) => T, log: string[]): MiddlewareObject {
  const middleware: OrchestrationMiddleware = async (ctx, next) => {
    await microtasks(3);
    await run(async () => {
      await microtasks(2);
      await next(ctx);
      log.push(`${name} after next: ${seen()}`);
    });
    log.push(`${name} outside: ${seen()}`);
  };
  return { name, orchestration: middleware, activity: async (ctx, next) => void (await run(() => next(ctx))) };
}

function durableTenant(name: string, run: <T>(fn: () => T) => T, work: string, log: string[]): MiddlewareObject {
  return around(name, async function* (ctx, next) {
    yield ctx.orchestrationContext.callActivity(work);
    log.push(`${name} before next: ${seen()}`);
    yield* run(() => next(ctx));
    yield ctx.orchestrationContext.callActivity(work);
    log.push(`${name} after next: ${seen()}`);
  });
}

const inOuter = <T>(fn: () => T): T => outer.run("outer", () => context.with(withTenant(context.active(), "acme"), fn));
const inInner = <T>(fn: () => T): T => inner.run("inner", fn);

/** Notes the context wherever the orchestrator's code goes on: at its start, after each kind of resume, and between. */
function watching(work: string, failing: string, log: string[]) {
  return async function* (ctx: OrchestrationContext): Steps<string> {
    const note = (where: string): void => void log.push(`${ctx.isReplaying ? "replayed" : "live"} ${where}: ${seen()}`);
    note("start");
    yield ctx.callActivity(work);
    note("after a yield");
    await microtasks(2);
    note("after an await");
    try {
      yield ctx.callActivity(failing);
    } catch (error) {
      if (!(error instanceof TaskFailedError)) throw error;
      note("in a catch");
    }
    yield* (async function* (): Steps<void> {
      yield ctx.createTimer(0.001);
      note("in a generator inside");
    })();
    return "done";
  };
}

interface Watched {
  readonly log: readonly string[];
  readonly places: ReadonlySet<string>;
}

async function watched(
  telemetry: DurableTelemetryOptions,
  use: (log: string[], work: string) => readonly MiddlewareObject[],
): Promise<Watched> {
  const [name, work, failing] = [unique("watched"), unique("work"), unique("failing")];
  const log: string[] = [];
  await hub.worker(
    { ...telemetry, use: use(log, work) },
    (worker) => {
      worker.addNamedOrchestrator(name, watching(work, failing, log));
      worker.addNamedActivity(work, async () => {
        log.push(`activity: ${seen()}`);
        await microtasks(2);
        log.push(`activity after an await: ${seen()}`);
      });
      worker.addNamedActivity(failing, () => {
        throw new Error("failed");
      });
    },
    { workItemFilters: "auto" },
  );
  expect(outputOf(await finished(hub, await hub.client.scheduleNewOrchestration(name)))).toBe("done");
  return { log, places: new Set(log) };
}

const orchestratorPlaces = ["start", "after a yield", "after an await", "in a catch", "in a generator inside"];
/** Every place in the orchestrator, with what is there. The last one is replayed only if a middleware goes on after it. */
const orchestrator = (there: string, lastReplayed = false): string[] =>
  orchestratorPlaces.flatMap((place) => [
    `live ${place}: ${there}`,
    ...(place === "in a generator inside" && !lastReplayed ? [] : [`replayed ${place}: ${there}`]),
  ]);
const activity = (there: string): string[] => [`activity: ${there}`, `activity after an await: ${there}`];

const telemetries: readonly (readonly [string, DurableTelemetryOptions])[] = [
  ["without tracing", customOnly],
  ["with the default pipeline", {}],
];

describe.each(telemetries)("The async context that middleware sets around next, %s,", (_, telemetry) => {
  it("is there at each step, live and replayed, and not outside of it", async () => {
    recordSpans();
    const { places } = await watched(telemetry, (log) => [tenant("m", inOuter, log)]);
    const all = "outer  acme acme";
    expect(places).toEqual(new Set([...orchestrator(all), ...activity(all), `m after next: ${all}`, "m outside:    "]));
  });

  it("is that of all middlewares, each around what is inside of it", async () => {
    recordSpans();
    const { places } = await watched(telemetry, (log) => [tenant("a", inOuter, log), tenant("b", inInner, log)]);
    const all = "outer inner acme acme";
    const ends = [
      `b after next: ${all}`,
      "b outside: outer  acme acme",
      "a after next: outer  acme acme",
      "a outside:    ",
    ];
    expect(places).toEqual(new Set([...orchestrator(all), ...activity(all), ...ends]));
  });

  it("O9 is there with durable middlewares, which have that of the middlewares around them at each of their own steps", async () => {
    recordSpans();
    const { places } = await watched(telemetry, (log, work) => [
      tenant("a", inOuter, log),
      durableTenant("b", inInner, work, log),
      around("c", async (ctx, next) => void (await next(ctx))),
    ]);
    const around_b = "outer  acme acme";
    const ends = [
      `b before next: ${around_b}`,
      `b after next: ${around_b}`,
      `a after next: ${around_b}`,
      "a outside:    ",
    ];
    expect(places).toEqual(new Set([...orchestrator("outer inner acme acme", true), ...activity(around_b), ...ends]));
  });

  it("is each execution's own: of a parent and its children, and of many at once", async () => {
    recordSpans();
    const [parent, child, work] = [unique("parent"), unique("child"), unique("work")];
    const wrong: string[] = [];
    const check = (ctx: OrchestrationContext, where: string): void => {
      if (outer.getStore() !== ctx.instanceId) wrong.push(`${where} of ${ctx.instanceId}: ${outer.getStore()}`);
    };
    const own = around("own", async (ctx, next) => void (await outer.run(ctx.instanceId, () => next(ctx))));
    await hub.worker(
      { ...telemetry, use: [own] },
      (worker) => {
        worker.addNamedActivity(work, () => outer.getStore() ?? null);
        worker.addNamedOrchestrator(child, async function* (ctx: OrchestrationContext): Steps {
          const inActivity = yield ctx.callActivity(work);
          check(ctx, "child");
          return inActivity;
        });
        worker.addNamedOrchestrator(parent, async function* (ctx: OrchestrationContext): Steps {
          check(ctx, "parent");
          const inActivity = yield ctx.callSubOrchestrator(child);
          check(ctx, "parent");
          yield ctx.createTimer(0.001);
          check(ctx, "parent");
          return inActivity;
        });
      },
      { workItemFilters: "auto" },
    );
    const ids = await Promise.all(Array.from({ length: 8 }, () => hub.client.scheduleNewOrchestration(parent)));
    const outputs = await Promise.all(ids.map(async (id) => outputOf(await finished(hub, id))));
    // Nothing around orchestrations reaches activities, which are work items of their own.
    expect(outputs).toEqual(ids.map(() => null));
    expect(wrong).toEqual([]);
  });
});

it("I9 S5 Spans that an orchestrator starts in a context of a middleware's are there once, and in the orchestration's trace", async () => {
  const spans = recordSpans();
  const [name, work] = [unique("spans"), unique("work")];
  const tracer = trace.getTracer("test");
  await hub.worker(
    { ...customOnly, tracing: true, use: [tenant("m", inOuter, [])] },
    (worker) => {
      worker.addNamedActivity(work, () => undefined);
      worker.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext): Steps<void> {
        for (let step = 0; step < 3; step += 1) {
          tracer.startActiveSpan(`step ${step} of ${String(context.active().getValue(key))}`, (span) => span.end());
          yield ctx.callActivity(work);
        }
      });
    },
    { workItemFilters: "auto" },
  );
  await hub.run(name);
  await spans.waitFor((all) => all.some((span) => span.name.startsWith("orchestration:")));
  const steps = spans.finished.filter((span) => span.name.startsWith("step"));
  expect(steps.map((span) => span.name)).toEqual(["step 0 of acme", "step 1 of acme", "step 2 of acme"]);
  expect(wholeness(spans.finished)).toMatchObject({ traces: 1, orphans: 0, duplicates: 0, orchestrations: 1 });
});

it("A store that an orchestrator enters itself stays until it enters another", async () => {
  const storage = new AsyncLocalStorage<number>();
  const log: unknown[] = [];
  const run = episodesOf(
    async function* (ctx: OrchestrationContext): Steps<void> {
      for (let step = 1; step <= 3; step += 1) {
        log.push(storage.getStore());
        storage.enterWith(step);
        yield ctx.callActivity("work");
      }
      log.push(storage.getStore());
    },
    { use: [around("m", async (ctx, next) => void (await next(ctx)))] },
  );
  const past = [1, 2, 3].flatMap((id) => [events.newTaskScheduledEvent(id, "work"), events.newTaskCompletedEvent(id)]);
  await run(past.slice(0, -1), past.slice(-1));
  expect(log).toEqual([undefined, 1, 2, 3]);
});

it("No call that enters an async context is made for a step", async () => {
  const spies = [
    vi.spyOn(AsyncLocalStorage.prototype, "run"),
    vi.spyOn(AsyncLocalStorage.prototype, "enterWith"),
    vi.spyOn(AsyncResource.prototype, "runInAsyncScope"),
    vi.spyOn(AsyncLocalStorage, "snapshot"),
    vi.spyOn(AsyncLocalStorage, "bind"),
    vi.spyOn(context, "with"),
  ];
  const calls = async (steps: number): Promise<number> => {
    const run = episodesOf(
      async function* (ctx: OrchestrationContext): Steps<void> {
        for (let step = 0; step < steps; step += 1) yield ctx.callActivity("work");
      },
      {
        use: [
          tenant("a", inOuter, []),
          around("b", async function* (ctx, next) {
            return yield* next(ctx);
          }),
        ],
      },
    );
    const past = Array.from({ length: steps }, (_, index) => [
      events.newTaskScheduledEvent(index + 1, "work"),
      events.newTaskCompletedEvent(index + 1),
    ]).flat();
    for (const spy of spies) spy.mockClear();
    await run(past.slice(0, -1), past.slice(-1));
    return spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
  };
  const few = await calls(1);
  expect(few).toBeGreaterThan(0);
  expect(await calls(1_000)).toBe(few);
  for (const spy of spies) spy.mockRestore();
});
