/** One huge value, and callbacks that misbehave: what they cost spans, memory and the workflow (telemetry.md K1, K4). */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { SpanKind, type Attributes } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { ActivitySpan, currentFeatures, OrchestrationSpan } from "../../src/index.ts";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { recordSpans, startHub, use, wholeness, type Hub, type Steps } from "../harness.ts";
import { fault, nested, revokedProxy, settle, withThen, withThrowingThen } from "../telemetry/misbehaviour.ts";
import { hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";
import { tracing } from "../../middlewares/index.ts";

const limit = 32 * 1024;

describe("K4 memory for links", () => {
  it("K4 keeps less than 2 MiB of 60 orchestrations with five names and IDs of 128 KiB each", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const spans = recordSpans();
    const worker = hostWorker({ middlewares: () => [tracing()] });
    const huge = (letter: string, number: number): string => `${number}`.padEnd(128 * 1024, letter);
    worker.addNamedOrchestrator("eternal", async (ctx: OrchestrationContext, number: number) => {
      ctx.sendEvent(huge("t", number), huge("e", number));
      ctx.callSubOrchestrator("child");
      ctx.continueAsNew(number, false);
    });
    const heap = async (from: number, to: number): Promise<number> => {
      for (let number = from; number < to; number += 1) {
        const instanceId = huge("i", number);
        const executionId = huge("x", number);
        // A version to come may add to a traceparent.
        const traceparent = `cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-${huge("p", number)}`;
        const start = startEvents({ name: "eternal", instanceId, executionId, traceparent, rawInput: String(number) });
        await runEpisode(worker, orchestratorRequest(start, [], { instanceId, executionId }));
        expect(spans.finished.length).toBeGreaterThan(0);
        spans.reset();
      }
      await new Promise(setImmediate);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await heap(0, 5);
    expect((await heap(5, 65)) - before).toBeLessThan(2 * 1024 * 1024);
  });

  it("S4 S8 still finds what a huge name continues, and who sent a huge event", async () => {
    const spans = recordSpans();
    const worker = hostWorker({ middlewares: () => [tracing()] });
    const huge = "n".repeat(100_000);
    worker.addNamedOrchestrator("sender", async (ctx: OrchestrationContext) => ctx.sendEvent(huge, huge.toUpperCase()));
    worker.addNamedOrchestrator("receiver", async (ctx: OrchestrationContext, again: boolean) => {
      if (again) ctx.continueAsNew(false, false);
    });
    const episode = async (
      name: string,
      instanceId: string,
      executionId: string,
      rawInput: string,
      fresh: Parameters<typeof orchestratorRequest>[0] = [],
    ): Promise<void> => {
      await runEpisode(
        worker,
        orchestratorRequest([...startEvents({ name, instanceId, executionId, rawInput }), ...fresh], [], {
          instanceId,
          executionId,
        }),
      );
    };
    await episode("sender", "sender", "execution-1", "true");
    await episode("receiver", huge, "execution-2", "true");
    const { history } = await import("./episodes.ts");
    await episode("receiver", huge, "execution-3", "false", [history.raised(huge, 1)]);
    const [sent, first, second] = ["orchestration_event", "orchestration:receiver", "orchestration:receiver"].map(
      (name, index) => spans.finished.filter((span) => span.name.startsWith(name)).at(index === 2 ? 1 : 0),
    );
    const linked = second?.links.map(({ context }) => context.spanId);
    expect(new Set(linked)).toEqual(new Set([sent, first].map((span) => span?.spanContext().spanId)));
  });
});

let hub: Hub;
/** What the activity `act` and the orchestrator `orchestrate` do in the next run. */
let act: () => unknown = () => undefined;
let attributes: () => unknown = () => undefined;
let orchestrate: () => unknown = () => undefined;
const rejections: unknown[] = [];
const note = (reason: unknown): void => void rejections.push(reason);

beforeAll(async () => {
  hub = await startHub();
  await hub.worker(
    { metrics: false, logging: false, tracing: { attributes: () => attributes() as Attributes } },
    (worker) => {
      worker.addNamedActivity("act", async () => act());
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        orchestrate();
        return yield ctx.callActivity("act");
      });
    },
  );
  process.on("unhandledRejection", note);
  return () => void process.off("unhandledRejection", note);
});
afterEach(() => {
  act = attributes = orchestrate = () => undefined;
  rejections.length = 0;
});

async function run(): Promise<{ readonly spans: readonly ReadableSpan[]; readonly status: number | undefined }> {
  const spans = recordSpans();
  const state = await hub.run("order");
  await spans.waitFor((all) => wholeness(all).orchestrations === 1);
  await settle();
  return { spans: spans.finished, status: state.runtimeStatus };
}

const find = (spans: readonly ReadableSpan[], name: string, kind: SpanKind): ReadableSpan => {
  const found = spans.find((span) => span.name === name && span.kind === kind);
  if (found === undefined) throw new Error(`There is no ${name}.`);
  return found;
};
const order = (spans: readonly ReadableSpan[]): ReadableSpan => find(spans, "orchestration:order", SpanKind.SERVER);
const activity = (spans: readonly ReadableSpan[], kind = SpanKind.SERVER): ReadableSpan =>
  find(spans, "activity:act", kind);

describe("K4 one huge value", () => {
  const mark = /\.\.\. \[\d+ characters cut\]$/;
  const isCut = (value: unknown): boolean =>
    typeof value === "string" && mark.test(value) && Buffer.byteLength(value) <= limit;

  it("K4 in a failure is cut at 32 KiB, with a mark, in the status and in the exception", async () => {
    act = () => {
      throw Object.assign(new RangeError("m".repeat(1_500_000)), { cause: new Error("c".repeat(1_500_000)) });
    };
    const { spans } = await run();
    const failed = [order(spans), activity(spans), activity(spans, SpanKind.CLIENT)];
    expect(failed.map(({ status }) => isCut(status.message))).toEqual([true, true, true]);
    const exceptions = failed.flatMap(({ events }) => events);
    expect(exceptions).toHaveLength(2);
    for (const { attributes: details = {} } of exceptions) {
      expect([isCut(details["exception.message"]), isCut(details["exception.stacktrace"])]).toEqual([true, true]);
    }
  });

  it("K4 in attributes of one's own, wide or deep, is cut, and the trace is whole", async () => {
    attributes = () => ({
      "app.text": "a".repeat(1_500_000),
      "app.deep": nested(20_000),
      "app.list": Array.from({ length: 100_000 }, () => "b".repeat(1000)),
      "app.small": 7,
    });
    orchestrate = () => {
      const span = currentFeatures()?.get(OrchestrationSpan);
      span
        ?.setAttribute("app.later", "l".repeat(1_500_000))
        .addEvent("huge", { "app.event": "v".repeat(1_500_000), "app.deep": nested(20_000) });
    };
    const { spans, status } = await run();
    expect(status).toBe(1);
    for (const span of [order(spans), activity(spans)]) {
      expect([isCut(span.attributes["app.text"]), span.attributes["app.small"]]).toEqual([true, 7]);
      expect(JSON.stringify(span.attributes).length).toBeLessThan(20 * limit);
    }
    expect(isCut(order(spans).attributes["app.later"])).toBe(true);
    expect(isCut(order(spans).events.find(({ name }) => name === "huge")?.attributes?.["app.event"])).toBe(true);
  });

  it("K4 in a name or an ID is cut, and the limits of the environment are obeyed", async () => {
    vi.stubEnv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100");
    vi.resetModules();
    onTestFinished(() => {
      vi.unstubAllEnvs();
      vi.resetModules();
    });
    const { cutAttributes } = await import("../../middlewares/tracing/attributes.ts");
    const { "durabletask.task.name": name } = cutAttributes({ "durabletask.task.name": "n".repeat(1000) });
    expect(name).toMatch(mark);
    expect(String(name).length).toBeLessThanOrEqual(100);
  });
});

describe("S11 causes", () => {
  it("S11 are in the status and the exception, and error.type of an orchestration is its root cause's", async () => {
    act = () => {
      throw new TypeError("fetch failed", {
        cause: Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { name: "ConnectError" }),
      });
    };
    const { spans } = await run();
    const caused = "fetch failed; caused by ConnectError: connect ECONNREFUSED 127.0.0.1:1";
    expect([activity(spans).status.message, activity(spans, SpanKind.CLIENT).status.message]).toEqual([caused, caused]);
    expect(activity(spans).attributes["error.type"]).toBe("TypeError");
    expect(order(spans).status.message).toContain("connect ECONNREFUSED 127.0.0.1:1");
    expect(order(spans).attributes).toMatchObject({
      "error.type": "ConnectError",
      "durabletask.error.type": "TaskFailedError",
    });
    const [exception] = order(spans).events;
    expect(exception?.attributes?.["exception.stacktrace"]).toMatch(
      /\nCaused by: (?:.|\n)*ConnectError: connect ECONNREFUSED/,
    );
  });
});

describe("K1 an attributes callback", () => {
  it.each<[string, () => unknown]>([
    ["throws", () => fault(new Error("broken on purpose"))],
    ["throws what has no text", () => fault(Object.create(null))],
    ["is async", async () => ({ "app.late": 1 })],
    ["rejects", () => Promise.reject(new Error("broken on purpose"))],
    [
      "returns a thenable that rejects twice",
      () =>
        withThen(
          (_: unknown, reject: (error: unknown) => void) => (reject(new Error("one")), reject(new Error("two"))),
        ),
    ],
    ["returns a thenable that never settles", () => withThen(() => undefined)],
    ["returns what can't be awaited", () => withThrowingThen(new Error("broken on purpose"))],
    [
      "returns a getter that throws",
      () =>
        Object.defineProperty({ "app.good": 1 }, "app.bad", {
          enumerable: true,
          get: () => fault(new Error("broken on purpose")),
        }),
    ],
    ["returns a revoked proxy", revokedProxy],
    ["returns a proxy whose keys throw", () => new Proxy({}, { ownKeys: () => fault(new Error("broken on purpose")) })],
    [
      "returns a cycle",
      () => {
        const cycle: Record<string, unknown> = {};
        cycle["app.self"] = cycle;
        return cycle;
      },
    ],
    ["returns a value that is nested 20,000 deep", () => ({ "app.deep": nested(20_000) })],
    ["returns a proxy for a value", () => ({ "app.proxy": revokedProxy() })],
    ["returns a number", () => 7],
    ["returns functions and symbols", () => ({ "app.function": () => 1, "app.symbol": Symbol("s"), "app.bigint": 1n })],
  ])("K1 that %s costs no workflow its result and no trace a span", async (_, callback) => {
    attributes = callback;
    const { spans, status } = await run();
    expect(status).toBe(1);
    const own = spans.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
    expect(own.map((span) => `${span.name} ${SpanKind[span.kind]}`).toSorted()).toEqual([
      "activity:act CLIENT",
      "activity:act SERVER",
      "orchestration:order SERVER",
    ]);
    expect(rejections).toEqual([]);
  });

  it("K1 costs no trace a span where a link is none", async () => {
    orchestrate = () => {
      const span = currentFeatures()?.get(OrchestrationSpan);
      for (const link of [undefined, {}, revokedProxy(), { context: { traceId: "1".repeat(32) } }])
        span?.addLink(link as never);
      if (span !== undefined) span.addLink({ context: span.spanContext(), attributes: { "app.deep": nested(20_000) } });
    };
    const { spans } = await run();
    expect(order(spans).links).toHaveLength(1);
  });

  it("K1 that has one bad attribute keeps the good ones", async () => {
    attributes = () =>
      Object.defineProperty({ "app.good": 1 }, "app.bad", {
        enumerable: true,
        get: () => fault(new Error("broken on purpose")),
      });
    const { spans } = await run();
    expect([order(spans).attributes["app.good"], activity(spans).attributes["app.good"]]).toEqual([1, 1]);
  });
});

describe("K1 a span of another make", () => {
  const throws = (): never => fault(new Error("broken on purpose"));

  it.each(["setAttributes", "setAttribute", "addEvent", "setStatus", "end"] as const)(
    "K1 whose %s throws costs no workflow its result",
    async (method) => {
      class Broken extends BasicTracerProvider {
        override getTracer(
          ...scope: Parameters<BasicTracerProvider["getTracer"]>
        ): ReturnType<BasicTracerProvider["getTracer"]> {
          const tracer = super.getTracer(...scope);
          if (scope[0] !== "durable-telemetry") return tracer;
          const startSpan = tracer.startSpan.bind(tracer);
          return {
            startSpan: (...args) => Object.assign(startSpan(...args), { [method]: throws }),
            startActiveSpan: tracer.startActiveSpan.bind(tracer),
          };
        }
      }
      use(new Broken({ spanProcessors: [new RecordedSpans(() => undefined)] }));
      onTestFinished(() => use({ getTracer: throws }));
      attributes = () => ({ "app.good": 1 });
      act = () => currentFeatures()?.get(ActivitySpan)?.spanContext().traceId.length;
      const state = await hub.run("order");
      expect([state.runtimeStatus, state.serializedOutput]).toEqual([1, "32"]);
      act = () => fault(new RangeError("broken"));
      expect((await hub.run("order")).failureDetails?.message).toContain("broken");
    },
  );
});
