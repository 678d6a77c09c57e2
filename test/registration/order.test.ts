import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { describe, expect, it } from "vitest";
import {
  defineMiddleware,
  type ActivityMiddlewareContext,
  type ActivityNext,
  type Middleware,
  type MiddlewareFunction,
  type OrchestrationMiddlewareContext,
  type OrchestrationNext,
} from "../../src/index.ts";
import type { Steps } from "../harness.ts";
import { inMemoryHub, named, noOps, noting, type InMemoryHub } from "./in-memory.ts";
import { customOnly } from "../custom-only.ts";

/** A function without a name. */
const anonymous = (): MiddlewareFunction => async (ctx, next) => void (await next(ctx));
const greet = (_: ActivityContext, name: string): string => `Hello ${name}`;
async function* greeting(ctx: OrchestrationContext, name: string): Steps<string> {
  return yield ctx.callActivity("greet", name);
}
function addTasks({ worker }: InMemoryHub): void {
  worker.addNamedActivity("greet", greet);
  worker.addNamedOrchestrator("greeting", greeting);
}

describe("The order of middleware", () => {
  it("R2 the first registered middleware is the outermost, around orchestrations and activities alike", async () => {
    const log: string[] = [];
    const hub = inMemoryHub({ use: [noting("a", log)] });
    hub.worker.use(noting("b", log)).use(noting("c", log));
    addTasks(hub);
    await hub.run("greeting", "you");
    const entered = ["a: greeting in", "b: greeting in", "c: greeting in"];
    const activity = ["a: greet in", "b: greet in", "c: greet in", "c: greet out", "b: greet out", "a: greet out"];
    const left = ["c: greeting out", "b: greeting out", "a: greeting out"];
    expect(log).toEqual([...entered, ...activity, ...entered, ...left]);
    expect(hub.worker.middlewares).toEqual(["a", "b", "c"]);
  });

  it("R3 it makes no difference whether tasks or middleware are registered first", async () => {
    const run = async (register: (hub: InMemoryHub, log: string[]) => void): Promise<string[]> => {
      const log: string[] = [];
      const hub = inMemoryHub();
      register(hub, log);
      expect((await hub.run("greeting", "you")).serializedOutput).toBe('"Hello you"');
      return log;
    };
    const tasksFirst = await run((hub, log) => {
      addTasks(hub);
      hub.worker.use(noting("a", log)).use(noting("b", log));
    });
    const middlewareFirst = await run((hub, log) => {
      hub.worker.use(noting("a", log)).use(noting("b", log));
      addTasks(hub);
    });
    const between = await run((hub, log) => {
      hub.worker.use(noting("a", log));
      addTasks(hub);
      hub.worker.use(noting("b", log));
    });
    expect(tasksFirst).toContain("b: greet in");
    expect(middlewareFirst).toEqual(tasksFirst);
    expect(between).toEqual(tasksFirst);
  });

  it.each<[string, { before?: string; after?: string }, string[]]>([
    ["before the first", { before: "a" }, ["new", "a", "b", "c"]],
    ["before the last", { before: "c" }, ["a", "b", "new", "c"]],
    ["after the first", { after: "a" }, ["a", "new", "b", "c"]],
    ["after the last", { after: "c" }, ["a", "b", "c", "new"]],
    ["innermost without a position", {}, ["a", "b", "c", "new"]],
  ])("R5 a middleware is placed %s", async (_, position, expected) => {
    const log: string[] = [];
    const hub = inMemoryHub({ use: ["a", "b", "c"].map((name) => noting(name, log)) });
    hub.worker.use(noting("new", log), position);
    expect(hub.worker.middlewares).toEqual(expected);
    addTasks(hub);
    await hub.run("greeting");
    expect(log.filter((line) => line.endsWith("greet in"))).toEqual(expected.map((name) => `${name}: greet in`));
  });

  it("R5 built-in and custom middleware are members of one list, and custom ones go before or after built-in ones", () => {
    const { worker } = inMemoryHub({ tracing: true, use: [named("custom")] });
    worker.use(named("outside"), { before: "tracing" }).use(named("inside"), { after: "tracing" });
    expect(worker.middlewares).toEqual(["outside", "tracing", "inside", "custom"]);
  });

  it("R5 the list that a worker shows is a copy", () => {
    const { worker } = inMemoryHub({ use: [named("a")] });
    Reflect.apply(Array.prototype.push, worker.middlewares, ["b"]);
    expect(worker.middlewares).toEqual(["a"]);
    expect(() => worker.use(named("c"), { after: "b" })).toThrow('There is no middleware "b"; there are: a.');
  });

  it("R5 every member has a name: functions without one are numbered past the names that are taken", () => {
    const { worker } = inMemoryHub({ use: [anonymous(), named("middleware-2")] });
    worker.use(anonymous()).use(anonymous(), { before: "middleware-1" });
    expect(worker.middlewares).toEqual(["middleware-4", "middleware-1", "middleware-2", "middleware-3"]);
  });

  it("R6 custom middleware stands inside tracing, in the order given", () => {
    expect(inMemoryHub({ tracing: {}, use: noOps }).worker.middlewares).toEqual([
      "tracing",
      "asynchronous",
      "durable",
      "object",
    ]);
    expect(inMemoryHub({ ...customOnly, use: noOps }).worker.middlewares).toEqual([
      "asynchronous",
      "durable",
      "object",
    ]);
  });

  it("R6 `middlewares` gets the members that the other options make and has full control of the list", () => {
    const [, second] = noOps;
    let given: readonly Middleware[] = [];
    const { worker } = inMemoryHub({
      tracing: true,
      use: noOps,
      middlewares: (defaults) => {
        given = defaults;
        return [named("outermost"), ...defaults.filter((each) => each !== second).toReversed()];
      },
    });
    expect(given.slice(1)).toEqual(noOps);
    expect(worker.middlewares).toEqual(["outermost", "object", "asynchronous", "tracing"]);
  });
});

describe("The forms of middleware", () => {
  it("R7 a function runs around both kinds of task, or around the one it is added for", async () => {
    const log: string[] = [];
    const both: MiddlewareFunction = async (ctx, next) => {
      log.push(`both: ${ctx.kind}`);
      await next(ctx);
    };
    const hub = inMemoryHub();
    addTasks(hub);
    hub.worker
      .use(both)
      .useOrchestrationMiddleware(async function orchestrations(ctx, next) {
        log.push(`orchestrations: ${ctx.kind}`);
        await next(ctx);
      })
      .useActivityMiddleware(async function activities(ctx, next) {
        log.push(`activities: ${ctx.kind}`);
        await next(ctx);
      })
      .use(async function* durable(ctx: OrchestrationMiddlewareContext, next: OrchestrationNext) {
        log.push(`durable: ${ctx.kind}`);
        yield* next(ctx);
      });
    expect((await hub.run("greeting", "you")).serializedOutput).toBe('"Hello you"');
    const orchestration = ["both: orchestration", "orchestrations: orchestration", "durable: orchestration"];
    expect(log).toEqual([...orchestration, "both: activity", "activities: activity", ...orchestration]);
  });

  it.each(["useOrchestrationMiddleware", "useActivityMiddleware"] as const)("R5 %s takes a position", (add) => {
    const { worker } = inMemoryHub({ use: [named("a"), named("b")] });
    worker[add](
      async function placed(ctx: never, next: (ctx: never) => Promise<unknown>) {
        await next(ctx);
      },
      { before: "b" },
    );
    expect(worker.middlewares).toEqual(["a", "placed", "b"]);
  });

  it("R7 an object may serve one kind of task only", async () => {
    const log: string[] = [];
    const { activity, orchestration } = noting("one", log);
    if (activity === undefined || orchestration === undefined) throw new Error("noting makes both");
    const hub = inMemoryHub({
      use: [
        { name: "a", activity },
        { name: "o", orchestration },
      ],
    });
    addTasks(hub);
    await hub.run("greeting");
    expect(log).toEqual([
      "one: greeting in",
      "one: greet in",
      "one: greet out",
      "one: greeting in",
      "one: greeting out",
    ]);
  });

  it("R7 a class instance is such an object, and its methods keep their `this`, private members and inheritance", async () => {
    class Counting {
      readonly name: string = "counting";
      #count = 0;
      get count(): number {
        return this.#count;
      }
      async activity(ctx: ActivityMiddlewareContext, next: ActivityNext): Promise<void> {
        this.#count += 1;
        await next(ctx);
      }
    }
    class CountingBoth extends Counting {
      override readonly name = "counting both";
      orchestrations = 0;
      async orchestration(ctx: OrchestrationMiddlewareContext, next: OrchestrationNext): Promise<void> {
        this.orchestrations += 1;
        await next(ctx);
      }
    }
    const counting = new Counting();
    const both = new CountingBoth();
    const hub = inMemoryHub({ use: [counting, both] });
    addTasks(hub);
    await hub.run("greeting");
    expect(hub.worker.middlewares).toEqual(["counting", "counting both"]);
    expect([counting.count, both.count, both.orchestrations]).toEqual([1, 1, 2]);
  });

  it("R7 members may be getters; they are read once, at registration", async () => {
    let reads = 0;
    const log: string[] = [];
    const inner = noting("inner", log);
    const lazy = {
      get name(): string {
        reads += 1;
        return "lazy";
      },
      get activity() {
        reads += 1;
        return inner.activity ?? (() => undefined);
      },
    };
    const hub = inMemoryHub({ use: [lazy] });
    addTasks(hub);
    await hub.run("greeting");
    expect(reads).toBe(2);
    expect(log).toEqual(["inner: greet in", "inner: greet out"]);
  });

  it("R7 defineMiddleware returns the same object, whose members run", async () => {
    const log: string[] = [];
    const noted = noting("defined", log);
    expect(defineMiddleware(noted)).toBe(noted);
    const hub = inMemoryHub({ use: [defineMiddleware(noted)] });
    addTasks(hub);
    await hub.run("greeting");
    expect(log).toHaveLength(5);
  });
});

describe("A worker's own list", () => {
  it("R1 two workers in one process share nothing", async () => {
    const log: string[] = [];
    const first = inMemoryHub({ use: [noting("first", log)] });
    const second = inMemoryHub({ use: [noting("second", log)] });
    const third = inMemoryHub();
    for (const hub of [first, second, third]) addTasks(hub);
    first.worker.use(noting("late", log));
    expect([first, second, third].map(({ worker }) => worker.middlewares)).toEqual([["first", "late"], ["second"], []]);
    await Promise.all([second.run("greeting"), third.run("greeting")]);
    expect(new Set(log.map((line) => line.split(":")[0]))).toEqual(new Set(["second"]));
  });

  it("R1 workers that share one middleware keep their lists apart, and one that runs does not lock the other", async () => {
    const shared = noting("shared", []);
    const first = inMemoryHub({ use: [shared] });
    const second = inMemoryHub({ use: [shared] });
    addTasks(first);
    await first.run("greeting");
    expect(() => first.worker.use(named("more"))).toThrow();
    expect(second.worker.use(named("more")).middlewares).toEqual(["shared", "more"]);
  });

  it("R1 workers on one backend keep their pipelines apart", async () => {
    const log: string[] = [];
    const first = inMemoryHub({ use: [noting("first", log)] });
    const second = inMemoryHub({ use: [noting("second", log)] }, first.backend);
    addTasks(first);
    addTasks(second);
    for (const [name, hub] of Object.entries({ first, second })) {
      log.length = 0;
      await hub.run("greeting");
      await hub.worker.stop();
      expect(new Set(log.map((line) => line.split(":")[0]))).toEqual(new Set([name]));
    }
  });

  it("R4 registering while the worker runs throws, in each way there is, and the list stays as it was", async () => {
    const hub = inMemoryHub({ use: [named("a")] });
    addTasks(hub);
    await hub.run("greeting");
    const refusal = "Cannot add middleware while the worker is running.";
    const pass = async (ctx: never, next: (ctx: never) => Promise<unknown>): Promise<void> => void (await next(ctx));
    for (const add of [
      () => hub.worker.use(named("b")),
      () => hub.worker.use(named("b"), { before: "a" }),
      () => hub.worker.useOrchestrationMiddleware(pass),
      () => hub.worker.useActivityMiddleware(pass),
    ]) {
      expect(add).toThrow(new Error(refusal));
    }
    expect(hub.worker.middlewares).toEqual(["a"]);
  });

  it("R4 once the worker has stopped, middleware can be added again, and runs after the next start", async () => {
    const log: string[] = [];
    const hub = inMemoryHub();
    addTasks(hub);
    await hub.run("greeting");
    await hub.worker.stop();
    hub.worker.use(noting("late", log));
    await hub.run("greeting");
    expect(log).toContain("late: greet in");
  });
});
