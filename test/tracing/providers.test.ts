/** What a process can have in place of one provider that is there from the start, and what tracing leaves behind. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { ActivityContext, OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import {
  context,
  createContextKey,
  diag,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
  type DiagLogger,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { suppressTracing } from "@opentelemetry/core";
import { TracerProvider, type ReadableSpan, type SpanProcessor } from "@opentelemetry/sdk-trace";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { runActivity } from "./activities.ts";
import { episodeWorker, history, outgoing, runEpisode, type EpisodeRequest } from "./episodes.ts";

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

beforeEach(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterEach(() => {
  trace.disable();
  context.disable();
  diag.disable();
});

interface Provider {
  readonly provider: TracerProvider;
  readonly finished: readonly ReadableSpan[];
  readonly open: number;
}

function aProvider(): Provider {
  const spans = new RecordedSpans(() => undefined);
  const provider = new TracerProvider({ idGenerator: new DurableIdGenerator(), spanProcessors: [spans] });
  return {
    provider,
    get finished() {
      return spans.ended;
    },
    get open() {
      return spans.open.length;
    },
  };
}

function registered(): Provider {
  const own = aProvider();
  trace.setGlobalTracerProvider(own.provider);
  return own;
}

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): AsyncGenerator {
    yield ctx.callActivity("charge");
    return "charged";
  });
  worker.addNamedActivity("charge", () => "charged");
}

const first: EpisodeRequest = { fresh: [history.episode(0), history.started("order", { traceparent })] };
const last: EpisodeRequest = {
  past: [...first.fresh, history.scheduled(1, "charge", 5)],
  fresh: [history.episode(20), history.completed(1, "charged", 18)],
};
const shape = (spans: Provider): string[] => spans.finished.map((span) => `${span.name} ${SpanKind[span.kind]}`);
const whole = ["activity:charge CLIENT", "orchestration:order SERVER"];

describe("The provider", () => {
  it("S1 that is registered now makes the spans, after the one before was disabled too", async () => {
    const worker = episodeWorker(register);
    const before = registered();
    await runEpisode(worker, last);
    trace.disable();
    const after = registered();
    await runEpisode(worker, last);
    expect([shape(before), shape(after)]).toEqual([whole, whole]);
  });

  it("S1 that is registered after the worker began to work makes the spans from then on, with the same identity", async () => {
    const worker = episodeWorker(register);
    await runEpisode(worker, first);
    const late = registered();
    await runEpisode(worker, last);
    const early = late.finished.map((span) => span.spanContext().spanId);
    await runEpisode(worker, first);
    await runEpisode(worker, last);
    expect(shape(late)).toEqual([...whole, ...whole]);
    expect(late.finished.slice(2).map((span) => span.spanContext().spanId)).toEqual(early);
  });

  it("I6 of SDK 2.x takes the chosen IDs as that of 3.x does, with and without DurableIdGenerator", async () => {
    const found: unknown[] = [];
    for (const generator of [{ idGenerator: new DurableIdGenerator() }, {}]) {
      for (const Provider of [TracerProvider, BasicTracerProvider]) {
        trace.disable();
        const spans = new RecordedSpans(() => undefined);
        trace.setGlobalTracerProvider(new Provider({ ...generator, spanProcessors: [spans] }));
        const worker = episodeWorker(register);
        for (const request of [first, last, { fresh: [history.episode(0), history.started("unknown")] }])
          await runEpisode(worker, request);
        await runActivity(worker, { name: "charge", executionId: "execution-1" });
        found.push(
          spans.ended.map((span) => [
            span.name,
            span.spanContext().traceId,
            span.spanContext().spanId,
            span.parentSpanContext?.spanId,
          ]),
        );
      }
    }
    expect(found).toEqual([found[0], found[0], found[0], found[0]]);
    expect(found[0]).toHaveLength(4);
  });
});

describe("The context", () => {
  const key = createContextKey("the caller's own");

  it("I7 of who drives a worker is not seen by a work item, and is the same afterwards", async () => {
    registered();
    const seen: unknown[] = [];
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("look", async () => void seen.push(context.active().getValue(key)));
      each.addNamedActivity("look", () => void seen.push(context.active().getValue(key)));
    });
    const own = ROOT_CONTEXT.setValue(key, "caller");
    await context.with(own, async () => {
      await runEpisode(worker, { fresh: [history.episode(0), history.started("look")] });
      expect(context.active()).toBe(own);
      await runActivity(worker, { name: "look" });
      expect(context.active()).toBe(own);
    });
    expect(seen).toEqual([undefined, undefined]);
    expect(context.active()).toBe(ROOT_CONTEXT);
  });

  it("S5 of an activity is its own, whatever runs beside it", async () => {
    const spans = registered();
    const everyoneRuns = Promise.withResolvers<void>();
    const active = new Map<number, unknown[]>();
    const worker = episodeWorker((each) =>
      each.addNamedActivity("charge", async (ctx: ActivityContext) => {
        const look = (): unknown => trace.getActiveSpan()?.spanContext().spanId;
        const seen = [look()];
        active.set(ctx.taskId, seen);
        if (active.size === 20) everyoneRuns.resolve();
        await everyoneRuns.promise;
        seen.push(look());
      }),
    );
    await Promise.all(
      Array.from({ length: 20 }, (_, taskId) =>
        runActivity(worker, { name: "charge", taskId, executionId: "execution-1" }),
      ),
    );
    const byTask = new Map(
      spans.finished.map((span) => [span.attributes["durabletask.task.task_id"], span.spanContext().spanId]),
    );
    expect(byTask.size).toBe(20);
    for (const [taskId, seen] of active) expect(seen).toEqual([byTask.get(taskId), byTask.get(taskId)]);
  });

  it("S1 without a context manager this package's spans are the same", async () => {
    context.disable();
    const spans = registered();
    const worker = episodeWorker(register);
    const [sent] = outgoing(await runEpisode(worker, first));
    await runEpisode(worker, last);
    const own = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
    expect(own.map((span) => `${span.name} ${SpanKind[span.kind]}`)).toEqual(whole);
    expect(sent).toBe(`00-${own[0]?.spanContext().traceId}-${own[0]?.spanContext().spanId}-01`);
    expect(own[0]?.parentSpanContext?.spanId).toBe(own[1]?.spanContext().spanId);
    expect(spans.open).toBe(0);
  });

  it("S5 takes what instrumentation puts into it: baggage, and suppression of its own", async () => {
    const spans = registered();
    const seen: unknown[] = [];
    const tracer = trace.getTracer("user");
    const step = (name: string): void => {
      const baggage = propagation.createBaggage({ step: { value: name } });
      context.with(propagation.setBaggage(context.active(), baggage), () => {
        seen.push(propagation.getActiveBaggage()?.getEntry("step")?.value);
        tracer.startSpan(name).end();
        context.with(suppressTracing(context.active()), () => tracer.startSpan(`${name}, suppressed`).end());
        context.with(context.active().deleteValue(key), () => tracer.startSpan(`${name}, within`).end());
      });
    };
    const worker = episodeWorker((each) =>
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): AsyncGenerator {
        step("one");
        yield ctx.callActivity("charge");
        step("two");
      }),
    );
    await runEpisode(worker, first);
    await runEpisode(worker, last);
    expect(seen).toEqual(["one", "one", "two"]);
    const user = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "user");
    expect(user.map(({ name }) => name)).toEqual(["one", "one, within", "two", "two, within"]);
    const order = spans.finished.at(-1)?.spanContext().spanId;
    expect(new Set(user.map(({ parentSpanContext }) => parentSpanContext?.spanId))).toEqual(new Set([order]));
  });

  it("S5 in a span that is open across yields is the orchestration's once it has replayed: that span is lost, nothing else", async () => {
    const spans = registered();
    const tracer = trace.getTracer("user");
    const worker = episodeWorker(
      (each) =>
        each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): AsyncGenerator {
          const open = tracer.startSpan("across");
          yield ctx.callActivity("charge");
          context.with(trace.setSpan(context.active(), open), () => tracer.startSpan("in across").end());
          open.end();
          tracer.startSpan("after").end();
        }),
      {
        use: [
          {
            name: "wraps",
            orchestration: (ctx, next) =>
              tracer.startActiveSpan("around next", async (span) => {
                await next(ctx);
                tracer.startSpan("after next").end();
                span.end();
              }),
          },
        ],
      },
    );
    const [sent] = outgoing(await runEpisode(worker, first));
    await runEpisode(worker, last);
    const own = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
    expect(own.map((span) => `${span.name} ${SpanKind[span.kind]}`)).toEqual(whole);
    expect(sent).toContain(own[0]?.spanContext().spanId);
    const user = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "user");
    expect(user.map(({ name }) => name)).toEqual(["in across", "after", "after next"]);
    for (const span of user)
      expect(span.parentSpanContext).toMatchObject({
        traceId: own[1]?.spanContext().traceId,
        spanId: own[1]?.spanContext().spanId,
      });
  });
});

describe("An activity whose response never reaches the backend", () => {
  const refuse = (): never => {
    throw new Error("Channel has been shut down");
  };

  it.each<[string, () => Promise<void>]>([
    ["the connection is closed", () => runActivity(episodeWorker(register), { name: "charge", complete: refuse })],
    [
      "no metadata can be had for the call",
      () => {
        const worker = episodeWorker(register);
        Object.assign(worker, { _metadataGenerator: async () => refuse() });
        return runActivity(worker, { name: "charge" });
      },
    ],
    [
      "the request names no orchestration",
      () => runActivity(episodeWorker(register), { name: "charge", instanceId: "" }),
    ],
  ])("S1 as %s leaves no span open, and its span to the worker that will have it", async (_, run) => {
    const spans = registered();
    await run().catch(() => undefined);
    // After what follows the settled work item.
    await Promise.resolve();
    expect(spans.open).toBe(0);
    expect(spans.finished).toEqual([]);
  });
});

describe("What is reported", () => {
  const listen = (say: (message: string) => void): void => {
    const logger: DiagLogger = { error: say, warn: say, info: say, debug: () => undefined, verbose: () => undefined };
    diag.setLogger(logger, { suppressOverrideMessage: true });
  };

  it("K1 by a run in which nothing breaks is nothing", async () => {
    const messages: string[] = [];
    listen((message) => void messages.push(message));
    const spans = registered();
    const worker = episodeWorker(register);
    await runEpisode(worker, first);
    await runActivity(worker, { name: "charge", executionId: "execution-1" });
    await runActivity(worker, { name: "unknown", executionId: "execution-1", taskId: 2 });
    await runEpisode(worker, last);
    expect(spans.finished).toHaveLength(4);
    expect(messages).toEqual([]);
  });

  it.each<[string, unknown]>([
    ["an error", new Error("broken on purpose")],
    ["something that has no text", Object.create(null)],
    [
      "an error whose message breaks",
      Object.defineProperty(new Error(), "message", {
        get: () => {
          throw new Error("worse");
        },
      }),
    ],
  ])("K1 about a sampler that throws %s is isolated even where the logger throws", async (_, thrown) => {
    listen(() => {
      throw new Error("the logger is broken too");
    });
    const shouldSample = (): never => {
      throw thrown;
    };
    trace.setGlobalTracerProvider(new TracerProvider({ sampler: { shouldSample, toString: () => "broken" } }));
    const worker = episodeWorker(register);
    const unstarted = { fresh: [history.episode(0), history.started("order")] };
    expect(outgoing(await runEpisode(worker, unstarted)).map((sent) => sent.slice(-2))).toEqual(["00"]);
    expect(
      (await runEpisode(worker, last)).getActionsList()[0]?.getCompleteorchestration()?.getResult()?.getValue(),
    ).toBe('"charged"');
    const responses: unknown[] = [];
    await runActivity(worker, {
      name: "charge",
      complete: (response) => void responses.push(response.getResult()?.getValue()),
    });
    expect(responses).toEqual(['"charged"']);
  });
});

describe("Memory", () => {
  it("K2 does not grow with the orchestrations that a worker has seen, finished or left waiting", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const discard: SpanProcessor = {
      onStart: () => undefined,
      onEnd: () => undefined,
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    };
    trace.setGlobalTracerProvider(
      new TracerProvider({ idGenerator: new DurableIdGenerator(), spanProcessors: [discard] }),
    );
    const worker = episodeWorker(register);
    const heapAfter = async (orchestrations: number, prefix: string): Promise<number> => {
      for (let number = 0; number < orchestrations; number += 1) {
        const executionId = `${prefix}-${number}`;
        const start = [history.episode(0), history.started("order", { executionId })];
        await runEpisode(worker, { fresh: start });
        await runActivity(worker, { name: "charge", executionId });
        // Every other one is left waiting.
        if (number % 2 === 0)
          await runEpisode(worker, { past: [...start, history.scheduled(1, "charge", 5)], fresh: last.fresh });
      }
      // The await guard looks at the last runs in the next macrotask.
      await new Promise(setImmediate);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(1500, "warm-up");
    const after = await heapAfter(5000, "run");
    // A single kept object for each orchestration would be more.
    expect((after - before) / 5000).toBeLessThan(100);
  });
});
