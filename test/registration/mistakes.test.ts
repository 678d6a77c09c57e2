/** Mistakes in middleware that used to pass unnoticed. */
import {
  NoOpLogger,
  TaskHubGrpcWorker,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { describe, expect, it, vi } from "vitest";
import { caching, logging, metrics, tracing } from "../../middlewares/index.ts";
import { DurableTaskInstrumentation } from "../../src/instrumentation/index.ts";
import { defineMiddleware, withDurableTelemetry, type Middleware, type MiddlewareObject } from "../../src/index.ts";
import { createTelemetryRecorder, renderTrace, startLocalSidecar } from "../../src/testing/index.ts";
import type { Steps } from "../harness.ts";
import { firstEpisode, resultIn } from "../worker/requests.ts";
import { inMemoryHub, noting } from "./in-memory.ts";

// What JavaScript may hand over.
const untyped = (value: unknown): never => value as never;

describe("A middleware that returns a value", () => {
  async function activityWith(...use: unknown[]): Promise<{ output: string | undefined; warnings: string[] }> {
    const hub = inMemoryHub({ use: untyped(use) });
    const { worker } = hub;
    worker.addNamedActivity("work", (_: ActivityContext, input: number) => input + 1);
    worker.addNamedOrchestrator("works", async function* (ctx: OrchestrationContext): Steps {
      yield ctx.callActivity("work", 1);
      return yield ctx.callActivity("work", 2);
    });
    const { serializedOutput: output } = await hub.run("works");
    return { output, warnings: vi.mocked(console.warn).mock.calls.map(([message]) => String(message)) };
  }

  it("A1 around activities: the value has no effect, and one warning names the middleware and setResult", async () => {
    const cached = {
      name: "cached",
      activity: async (ctx: never, next: (ctx: never) => Promise<unknown>) => (await next(ctx), "cached"),
    };
    const { output, warnings } = await activityWith(cached);
    expect(output).toBe("3");
    expect(warnings).toEqual([
      'durable-telemetry: Middleware "cached" returned a value, which has no effect. To set the activity\'s result, call ctx.setResult(value) (A3).',
    ]);
  });

  it("A1 each such middleware is warned of", async () => {
    const returning = (name: string) => ({
      name,
      activity: async (ctx: never, next: (ctx: never) => Promise<unknown>) => (await next(ctx), name),
    });
    const { warnings } = await activityWith(returning("a"), returning("b"));
    expect(warnings.map((warning) => /Middleware "(.)"/.exec(warning)?.[1])).toEqual(["b", "a"]);
  });

  it("A1 what next resolved with, or setResult was given, may be returned", async () => {
    const { output, warnings } = await activityWith(
      async (ctx: never, next: (ctx: never) => Promise<unknown>) => next(ctx),
      {
        name: "set",
        activity: async (ctx: { setResult(value: unknown): void }, next: (ctx: never) => Promise<unknown>) => {
          await next(untyped(ctx));
          ctx.setResult("set");
          return "set";
        },
      },
    );
    expect(output).toBe('"set"');
    expect(warnings).toEqual([]);
  });

  it.each<[string, unknown]>([
    ["an async function", async (ctx: never, next: (ctx: never) => Promise<unknown>) => (await next(ctx), "other")],
    [
      "a durable middleware",
      async function* (ctx: never, next: (ctx: never) => AsyncIterable<unknown>) {
        yield* next(ctx);
        return "other";
      },
    ],
  ])("O3 around orchestrations, %s: the result stays, and one warning says why", async (_, orchestration) => {
    const warnings: string[] = [];
    const logger = Object.assign(new NoOpLogger(), { warn: (message: string) => void warnings.push(message) });
    const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger }), {
      use: [untyped({ name: "other", orchestration })],
    });
    worker.addNamedOrchestrator("plain", () => 1);
    for (const instanceId of ["a", "b"])
      expect(resultIn(await firstEpisode(worker, { name: "plain", instanceId }))).toBe(1);
    expect(warnings).toEqual([
      "durable-telemetry: Middleware \"other\" returned a value, which has no effect. An orchestration's result can't be replaced (O3); return nothing.",
    ]);
  });

  it("A1 two workers warn each for itself", async () => {
    const shared = {
      name: "shared",
      activity: async (ctx: never, next: (ctx: never) => Promise<unknown>) => (await next(ctx), 1),
    };
    expect((await activityWith(shared)).warnings).toHaveLength(1);
    vi.mocked(console.warn).mockClear();
    expect((await activityWith(shared)).warnings).toHaveLength(1);
  });
});

describe("An unknown member of a middleware object", () => {
  const activity = async (ctx: never, next: (ctx: never) => Promise<unknown>): Promise<void> => void (await next(ctx));
  const misspelled = { name: "audit", activity, orchestraton: activity };
  const message =
    /Middleware "audit" has an unknown member "orchestraton"; the members are name, orchestration, activity, workItem\./;

  it("R7 is refused by defineMiddleware, with the members there are", () => {
    expect(() => defineMiddleware(untyped(misspelled))).toThrow(TypeError);
    expect(() => defineMiddleware(untyped(misspelled))).toThrow(message);
  });

  it("R7 is refused by use and in the option `use`, and of an object without a prototype too", () => {
    const { worker } = inMemoryHub();
    expect(() => worker.use(untyped(misspelled))).toThrow(message);
    expect(() => worker.use(untyped(Object.assign(Object.create(null), misspelled)))).toThrow(message);
    expect(worker.middlewares).toEqual([]);
    expect(() =>
      withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), { use: [untyped(misspelled)] }),
    ).toThrow(message);
  });

  it("R7 is a class instance's own business", () => {
    class Counting implements MiddlewareObject {
      readonly name = "counting";
      count = 0;
      readonly activity: MiddlewareObject["activity"] = async (ctx, next) => {
        this.count += 1;
        await next(ctx);
      };
    }
    class Derived extends Counting {
      readonly more = true;
    }
    const { worker } = inMemoryHub();
    worker.use(new Derived());
    expect(defineMiddleware(new Counting()).count).toBe(0);
    expect(worker.middlewares).toEqual(["counting"]);
  });

  it("R7 a member that is undefined is one that is not there, and what this package makes is taken", () => {
    const use: readonly Middleware[] = [
      { ...noting("a", []), orchestration: undefined },
      caching({ activities: { work: { ttl: 1 } } }),
    ];
    expect(inMemoryHub({ use }).worker.middlewares).toEqual(["a", "caching"]);
  });
});

describe("An option that is undefined", () => {
  /** Reads as `undefined` for every key that the options have. */
  const undefineds = (...keys: string[]): never => untyped(Object.fromEntries(keys.map((key) => [key, undefined])));

  it("R6 is one that is not given, for each middleware", () => {
    expect(tracing(undefineds("tags", "attributes", "continueAsNew", "episodes")).name).toBe("tracing");
    expect(metrics(undefineds("nameLimit")).name).toBe("metrics");
    expect(logging(undefineds("logger", "include", "redact")).name).toBe("logging");
    expect(logging({ include: { input: undefined, output: undefined } }).name).toBe("logging");
    const policy = {
      ttl: "1m",
      key: undefined,
      namespace: undefined,
      version: undefined,
      shouldCache: undefined,
      staleFor: undefined,
      jitter: undefined,
      lockFor: undefined,
    } as const;
    const cache = caching({
      activities: { work: policy },
      store: undefined,
      timeout: undefined,
      maxEntries: undefined,
      maxBytes: undefined,
      maxValueSize: undefined,
    });
    expect(cache.name).toBe("caching");
  });

  it("R6 is one that is not given, of an instrumentation, a recorder, a local task hub and a drawing", async () => {
    const awaitGuard = { middleware: undefined, orchestrator: undefined };
    const options = { tracing: undefined, use: undefined, middlewares: undefined, awaitGuard };
    expect(new DurableTaskInstrumentation({ enabled: false, ...options })).toBeInstanceOf(DurableTaskInstrumentation);
    const recorder = createTelemetryRecorder({ sampler: undefined, idGenerator: undefined, spanProcessors: undefined });
    await recorder.shutdown();
    const sidecar = await startLocalSidecar({ port: undefined, host: undefined, traceContext: undefined });
    await sidecar.close();
    expect(sidecar.port).toBeGreaterThan(0);
    expect(renderTrace([], { color: undefined, width: undefined })).toBe(renderTrace([]));
  });

  it("R5 is one that is not given, of a position", () => {
    const { worker } = inMemoryHub({ use: [noting("a", [])] });
    worker.use(noting("b", []), { before: "a", after: undefined }).use(noting("c", []), { before: undefined });
    expect(worker.middlewares).toEqual(["b", "a", "c"]);
  });
});
