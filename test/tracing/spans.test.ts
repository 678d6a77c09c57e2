import {
  createSpanName,
  createTimerSpanName,
  DurableTaskAttributes,
  OrchestrationStatus,
  TaskType,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { context, diag, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { hrTimeToMilliseconds, isTracingSuppressed, suppressTracing } from "@opentelemetry/core";
import { TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { tracing } from "../../middlewares/index.ts";
import * as semconv from "../../src/telemetry/semconv.ts";
import { ActivitySpan, currentFeatures, OrchestrationSpan } from "../../src/index.ts";
import { recordSpans, startHub, use, wholeness, type Hub, type Steps } from "../harness.ts";
import { at, episodeWorker, history, runEpisode } from "./episodes.ts";

const named = (spans: readonly ReadableSpan[], name: string, kind: SpanKind): ReadableSpan => {
  const found = spans.find((span) => span.name === name && span.kind === kind);
  if (found === undefined)
    throw new Error(`No span ${name} of kind ${kind} among ${spans.map((span) => span.name).join(", ")}.`);
  return found;
};
const milliseconds = (span: ReadableSpan): [number, number] => [
  hrTimeToMilliseconds(span.startTime) - at(0).getTime(),
  hrTimeToMilliseconds(span.endTime) - at(0).getTime(),
];

const slow = Promise.withResolvers<void>();
const slowRuns = Promise.withResolvers<void>();
const active: unknown[] = [];
let attempts = 0;

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker({}, (worker) => {
    worker.addNamedActivity("slow", async () => {
      slowRuns.resolve();
      await slow.promise;
    });
    worker.addNamedOrchestrator("impatient", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("slow");
    });
    worker.addNamedActivity("notify", () => undefined);
    worker.addNamedOrchestrator("forgetful", async (ctx: OrchestrationContext) => void ctx.callActivity("notify"));
    worker.addNamedActivity("flaky", () => {
      attempts += 1;
      if (attempts === 1) throw new TypeError("not yet");
    });
    worker.addNamedOrchestrator("patient", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("flaky", undefined, { retry: async () => true });
    });
    worker.addNamedActivity("look", async () => {
      active.push(trace.getActiveSpan()?.spanContext().spanId);
      await new Promise(setImmediate);
      active.push(trace.getActiveSpan()?.spanContext().spanId);
      currentFeatures()?.get(ActivitySpan)?.setAttribute("looked", true);
    });
    worker.addNamedOrchestrator("looks", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("look");
    });
  });
});

describe("The names and attributes are those of the Durable Task conventions", () => {
  it("the copies equal the SDK's", () => {
    expect(semconv).toMatchObject({
      ATTR_TYPE: DurableTaskAttributes.TYPE,
      ATTR_TASK_NAME: DurableTaskAttributes.TASK_NAME,
      ATTR_TASK_VERSION: DurableTaskAttributes.TASK_VERSION,
      ATTR_TASK_INSTANCE_ID: DurableTaskAttributes.TASK_INSTANCE_ID,
      ATTR_TASK_EXECUTION_ID: DurableTaskAttributes.TASK_EXECUTION_ID,
      ATTR_TASK_STATUS: DurableTaskAttributes.TASK_STATUS,
      ATTR_TASK_ID: DurableTaskAttributes.TASK_TASK_ID,
      ATTR_FIRE_AT: DurableTaskAttributes.FIRE_AT,
      TYPE_ORCHESTRATION: TaskType.ORCHESTRATION,
      TYPE_ACTIVITY: TaskType.ACTIVITY,
      TYPE_TIMER: TaskType.TIMER,
    });
    expect(semconv.spanName("activity", "charge", "1.2")).toBe(createSpanName("activity", "charge", "1.2"));
    expect(semconv.spanName("activity", "charge", undefined)).toBe(createSpanName("activity", "charge"));
    expect(semconv.timerSpanName("order")).toBe(createTimerSpanName("order"));
  });

  it("each span has its kind, its attributes and its durable times", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity("charge");
        yield ctx.createTimer(1);
        return "done";
      });
    });
    const past = [
      history.episode(0),
      history.started("order", { version: "2.0" }),
      history.scheduled(1, "charge", 3),
      history.episode(20),
      history.completed(1, "charged", 18),
      history.timerCreated(2, 1020, 21),
    ];
    await runEpisode(worker, { past: past.slice(0, 3), fresh: past.slice(3, 5) });
    await runEpisode(worker, { past, fresh: [history.episode(1031), history.timerFired(2, 1020, 1030)] });
    const [charge, timer, order] = spans.finished;
    expect(spans.finished.map(({ name, kind, attributes }) => ({ name, kind, attributes }))).toEqual([
      {
        name: "activity:charge",
        kind: SpanKind.CLIENT,
        attributes: {
          "durabletask.type": "activity",
          "durabletask.task.name": "charge",
          "durabletask.task.instance_id": "instance-1",
          "durabletask.task.task_id": 1,
        },
      },
      {
        name: "orchestration:order:timer",
        kind: SpanKind.INTERNAL,
        attributes: {
          "durabletask.type": "timer",
          "durabletask.task.name": "order",
          "durabletask.task.instance_id": "instance-1",
          "durabletask.task.task_id": 2,
          "durabletask.fire_at": at(1020).toISOString(),
        },
      },
      {
        name: "orchestration:order@(2.0)",
        kind: SpanKind.SERVER,
        attributes: {
          "durabletask.type": "orchestration",
          "durabletask.task.name": "order",
          "durabletask.task.version": "2.0",
          "durabletask.task.instance_id": "instance-1",
          "durabletask.task.execution_id": "execution-1",
          "durabletask.task.status": "Completed",
        },
      },
    ]);
    expect(charge && milliseconds(charge)).toEqual([3, 18]);
    expect(timer && milliseconds(timer)).toEqual([21, 1030]);
    expect(order && milliseconds(order)[0]).toBe(0);
  });
});

describe("S1 zero orphans", () => {
  it("S1 an activity that still runs when its orchestration is terminated has its parent", async () => {
    const spans = recordSpans();
    const id = await hub.client.scheduleNewOrchestration("impatient");
    await slowRuns.promise;
    await hub.client.terminateOrchestration(id, null);
    await hub.client.waitForOrchestrationCompletion(id);
    slow.resolve();
    await spans.waitFor((all) => all.length === 4);
    expect(wholeness(spans.finished)).toMatchObject({ spans: 4, orphans: 0, duplicates: 0, traces: 1 });
    expect(named(spans.finished, "orchestration:impatient", SpanKind.SERVER)).toMatchObject({
      attributes: { "durabletask.task.status": "Terminated" },
      status: { code: SpanStatusCode.UNSET },
    });
  });

  it("S1 an activity that an orchestration schedules and does not wait for has its parent", async () => {
    const spans = recordSpans();
    await hub.run("forgetful");
    await spans.waitFor((all) => all.length === 4);
    expect(wholeness(spans.finished)).toMatchObject({ spans: 4, orphans: 0, duplicates: 0, traces: 1 });
  });

  it("S1 an activity whose response the backend refuses, as it is another worker's by now, leaves its span to that worker", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => each.addNamedActivity("charge", () => 1)) as unknown as {
      _executeActivityInternal(request: unknown, token: string, stub: unknown): Promise<void>;
    };
    const { default: proto } = await import("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
    const request = new proto.ActivityRequest();
    request.setName("charge");
    request.setTaskid(1);
    const instance = new proto.OrchestrationInstance();
    instance.setInstanceid("instance-1");
    request.setOrchestrationinstance(instance);
    for (const error of [Object.assign(new Error("stale token"), { code: 5 }), null]) {
      const completeActivityTask = (_: unknown, __: unknown, done: (error: unknown) => void): void => done(error);
      await worker._executeActivityInternal(request.cloneMessage(), "", { completeActivityTask });
    }
    expect(spans.finished.map(({ name }) => name)).toEqual(["activity:charge"]);
    expect(spans.open).toBe(0);
    expect(spans.finished[0]?.duration[0]).toBe(0);
  });

  it("S1 a task that nobody registered fails as whole as any other", async () => {
    const spans = recordSpans();
    await runEpisode(
      episodeWorker(() => undefined),
      { fresh: [history.episode(), history.started("unknown")] },
    );
    expect(spans.finished).toMatchObject([{ name: "orchestration:unknown", status: { code: SpanStatusCode.ERROR } }]);
  });
});

describe("S3 failures", () => {
  async function fail(): Promise<ReturnType<typeof recordSpans>> {
    const spans = recordSpans();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge");
      });
    });
    const past = [history.episode(), history.started("order"), history.scheduled(1, "charge", 3)];
    await runEpisode(worker, { past, fresh: [history.episode(20), history.failed(1, new RangeError("no money"), 18)] });
    return spans;
  }

  it("S3 a failure sets status ERROR with the message, error.type, and the exception once, on the span where it stands", async () => {
    const spans = await fail();
    const charge = named(spans.finished, "activity:charge", SpanKind.CLIENT);
    expect(charge.status).toEqual({ code: SpanStatusCode.ERROR, message: "no money" });
    expect(charge.attributes["error.type"]).toBe("RangeError");
    expect(charge.events).toEqual([]);
    const order = named(spans.finished, "orchestration:order", SpanKind.SERVER);
    expect(order.status).toEqual({
      code: SpanStatusCode.ERROR,
      message: "Activity task #1 failed: no money; caused by RangeError: no money",
    });
    expect(order.attributes).toMatchObject({
      "error.type": "RangeError",
      "durabletask.error.type": "TaskFailedError",
      "durabletask.task.status": "Failed",
    });
    expect(order.events).toMatchObject([
      {
        name: "exception",
        attributes: { "exception.type": "TaskFailedError", "exception.message": "Activity task #1 failed: no money" },
      },
    ]);
  });

  it("S3 the exception is no span event where OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN says logs", async () => {
    vi.stubEnv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs");
    try {
      expect(named((await fail()).finished, "orchestration:order", SpanKind.SERVER).events).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it("S3 success leaves the status unset, and a failed attempt that is retried marks its own spans only", async () => {
    const spans = recordSpans();
    await hub.run("patient");
    await spans.waitFor((all) => wholeness(all).orchestrations === 1);
    const statuses = spans.finished
      .filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry")
      .map(
        ({ name, kind, status, attributes }) =>
          `${name} ${SpanKind[kind]} ${SpanStatusCode[status.code]} ${String(attributes["error.type"])}`,
      );
    expect(statuses.toSorted()).toEqual([
      "activity:flaky CLIENT ERROR TypeError",
      "activity:flaky CLIENT UNSET undefined",
      "activity:flaky SERVER ERROR TypeError",
      "activity:flaky SERVER UNSET undefined",
      "orchestration:patient SERVER UNSET undefined",
    ]);
    expect(named(spans.finished, "activity:flaky", SpanKind.SERVER).events).toMatchObject([
      { name: "exception", attributes: { "exception.type": "TypeError", "exception.message": "not yet" } },
    ]);
  });
});

describe("S5 the active context", () => {
  it("S5 inside an activity the SERVER span is active, across awaits", async () => {
    const spans = recordSpans();
    await hub.run("looks");
    await spans.waitFor((all) => wholeness(all).orchestrations === 1);
    const server = named(spans.finished, "activity:look", SpanKind.SERVER).spanContext().spanId;
    expect(active).toEqual([server, server]);
  });

  it("S5 inside an orchestrator the orchestration's identity is active in each step, and tracing is suppressed while replaying", async () => {
    const spans = recordSpans();
    const seen: unknown[] = [];
    const look = (step: string, ctx: OrchestrationContext): void => {
      seen.push(
        `${step} ${ctx.isReplaying ? "replayed" : "live"} ${isTracingSuppressed(context.active()) ? "suppressed" : "traced"}`,
      );
      expect(trace.getActiveSpan()?.spanContext().spanId).toBe(
        currentFeatures()?.get(OrchestrationSpan)?.spanContext().spanId,
      );
      trace.getTracer("user").startActiveSpan(step, (span) => span.end());
    };
    const worker = episodeWorker(
      (each) => {
        each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
          look("first step", ctx);
          yield ctx.callActivity("charge");
          look("second step", ctx);
          return "done";
        });
      },
      {
        use: [
          {
            name: "looks",
            async orchestration(ctx, next) {
              look("before next", ctx.orchestrationContext);
              await next(ctx);
              look("after next", ctx.orchestrationContext);
            },
          },
        ],
      },
    );
    const first = [history.episode(), history.started("order")];
    await runEpisode(worker, { fresh: first });
    await runEpisode(worker, {
      past: [...first, history.scheduled(1, "charge", 3)],
      fresh: [history.episode(20), history.completed(1, 1, 18)],
    });
    expect(seen).toEqual([
      "before next live traced",
      "first step live traced",
      "before next replayed suppressed",
      "first step replayed suppressed",
      "second step live traced",
      // Parked while it was replaying, it goes on live.
      "after next live traced",
    ]);
    const order = named(spans.finished, "orchestration:order", SpanKind.SERVER).spanContext().spanId;
    const own = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "user");
    expect(own.map(({ name }) => name)).toEqual(["before next", "first step", "second step", "after next"]);
    expect(own.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([order, order, order, order]);
  });
});

describe("S6 inputs, outputs and tags are never recorded by default", () => {
  const secret = "4111-1111";
  const run = async (options: Parameters<typeof tracing>[0]): Promise<readonly ReadableSpan[]> => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => each.addNamedOrchestrator("order", async () => secret), {
      tracing: { ...options },
    });
    await runEpisode(worker, {
      fresh: [history.episode(), history.started("order", { input: secret, tags: { tenant: "acme", card: secret } })],
    });
    return spans.finished;
  };

  it("S6 neither payloads nor tags stand on a span", async () => {
    const spans = await run({});
    expect(JSON.stringify(spans.map(({ attributes, events }) => [attributes, events]))).not.toMatch(/4111|acme/);
  });

  it("S6 tags that are allow-listed and attributes of one's own do", async () => {
    const [order] = await run({
      tags: ["tenant", "region"],
      attributes: (ctx) => ({ "app.size": ctx.rawInput?.length ?? 0 }),
    });
    expect(order?.attributes).toMatchObject({ "durabletask.tag.tenant": "acme", "app.size": secret.length + 2 });
    expect(JSON.stringify(order?.attributes)).not.toMatch(/4111|region/);
  });

  it("S6 an attribute function that throws costs its attributes, nothing else", async () => {
    const [order] = await run({
      tags: ["tenant"],
      attributes: () => {
        throw new Error("oops");
      },
    });
    expect(order).toMatchObject({
      status: { code: SpanStatusCode.UNSET },
      attributes: { "durabletask.tag.tenant": "acme" },
    });
  });

  it("tags are read without a function around the code: the SDK drives the orchestrator itself", () => {
    expect(Object.keys(tracing({ tags: ["tenant"] }))).toEqual(["name", "workItem"]);
    expect(Object.keys(tracing({ attributes: () => ({}) }))).toEqual(["name", "workItem", "orchestration", "activity"]);
  });

  it("unknown options and wrong types are refused by name", () => {
    const bad =
      (options: unknown): (() => unknown) =>
      () =>
        tracing(options as Parameters<typeof tracing>[0]);
    expect(bad({ tag: [] })).toThrow(
      'tracing: unknown option "tag"; the options are tags, attributes, continueAsNew, backendSpans, episodes, running, customStatus.',
    );
    expect(bad({ tags: "tenant" })).toThrow('tracing: option "tags" must be an array of strings.');
    expect(bad({ attributes: {} })).toThrow('tracing: option "attributes" must be a function.');
    expect(bad(null)).toThrow("tracing: the options must be an object.");
  });
});

describe("S7 handles in features", () => {
  it("S7 what is put on OrchestrationSpan is on the span at the finish, once, at its durable time", async () => {
    const spans = recordSpans();
    const link = { context: { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1 } };
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        const span = currentFeatures()?.get(OrchestrationSpan);
        span?.setAttribute("order.size", 3).setAttributes({ "order.vip": true }).addLink(link);
        span?.addEvent("checked", { by: "us" });
        yield ctx.callActivity("charge");
        span?.addEvent("charged");
        return "done";
      });
    });
    const first = [history.episode(), history.started("order")];
    await runEpisode(worker, { fresh: first });
    await runEpisode(worker, {
      past: [...first, history.scheduled(1, "charge", 3)],
      fresh: [history.episode(20), history.completed(1, 1, 18)],
    });
    const order = named(spans.finished, "orchestration:order", SpanKind.SERVER);
    expect(order.attributes).toMatchObject({ "order.size": 3, "order.vip": true });
    expect(order.links).toMatchObject([link]);
    expect(order.events.map(({ name, time }) => [name, hrTimeToMilliseconds(time) - at(0).getTime()])).toEqual([
      ["checked", 0],
      ["charged", 20],
    ]);
  });

  it("S7 ActivitySpan is the live span", async () => {
    const spans = recordSpans();
    await hub.run("looks");
    await spans.waitFor((all) => wholeness(all).orchestrations === 1);
    expect(named(spans.finished, "activity:look", SpanKind.SERVER).attributes["looked"]).toBe(true);
  });
});

describe("K1 a fault of tracing never changes what the workflow does", () => {
  const throws = (): never => {
    throw new Error("broken on purpose");
  };
  const quiet = {
    onStart: () => undefined,
    onEnd: () => undefined,
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
  const providers = {
    "a sampler": () => new TracerProvider({ sampler: { shouldSample: throws, toString: () => "broken" } }),
    "an ID generator": () => new TracerProvider({ idGenerator: { generateSpanId: throws, generateTraceId: throws } }),
    "a processor's onStart": () => new TracerProvider({ spanProcessors: [{ ...quiet, onStart: throws }] }),
    "a processor's onEnd": () => new TracerProvider({ spanProcessors: [{ ...quiet, onEnd: throws }] }),
  };

  it.each(Object.entries(providers))("K1 %s that throws costs spans, and is reported once", async (_, provider) => {
    const errors: string[] = [];
    const none = (): void => undefined;
    diag.setLogger(
      { error: (message) => void errors.push(message), warn: none, info: none, debug: none, verbose: none },
      { suppressOverrideMessage: true },
    );
    onTestFinished(() => diag.disable());
    recordSpans();
    use(provider());
    for (const name of ["looks", "looks", "impatient"]) {
      // The SDK's client contains no faults; it is not what is tested here.
      const state = await context.with(suppressTracing(ROOT_CONTEXT), () => hub.run(name));
      expect(state).toMatchObject({ runtimeStatus: OrchestrationStatus.COMPLETED });
    }
    expect(new Set(errors).size).toBe(errors.length);
  });
});
