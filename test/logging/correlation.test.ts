import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { context, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { AlwaysOffSampler, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeAll, describe, expect, it } from "vitest";
import { logging, tracing } from "../../middlewares/index.ts";
import { currentLogger, type Middleware } from "../../src/index.ts";
import { recordSpans, startHub, wholeness, type Hub, type RecordedSpans, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { firstEpisode, hostWorker } from "../worker/requests.ts";
import { attribute, logged, recordLogs, untraced } from "./record-logs.ts";

const items = new WorkItems();
const inside: Middleware = {
  name: "inside",
  async orchestration(ctx, next) {
    ctx.logger.info("middleware");
    await next(ctx);
  },
  async activity(ctx, next) {
    ctx.logger.info("middleware");
    await next(ctx);
  },
};

function register(worker: Parameters<Parameters<Hub["worker"]>[1]>[0]): void {
  worker.addNamedActivity("step", async (_: ActivityContext, step: number) => {
    currentLogger()?.info("code");
    await trace.getTracer("user").startActiveSpan("user span", async (span) => {
      currentLogger()?.info("in the user's span");
      await Promise.resolve();
      span.end();
    });
    context.with(ROOT_CONTEXT, () => currentLogger()?.info("away from any span"));
    if (step < 0) throw new RangeError("negative");
    return step;
  });
  worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps {
    currentLogger()?.info("code");
    return yield ctx.callActivity("step", 1);
  });
  worker.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext): Steps {
    currentLogger()?.info("code");
    yield ctx.callActivity("step", 1);
    yield ctx.callSubOrchestrator("child");
    currentLogger()?.info("code");
    return yield ctx.callActivity("step", -1);
  });
}

let hub: Hub;
let dropping: Hub;
let plain: Hub;
let outside: Hub;
beforeAll(async () => {
  [hub, dropping, plain, outside] = await Promise.all([
    startHub(),
    startHub({ traceContext: "drop" }),
    startHub(),
    startHub(),
  ]);
  await Promise.all([
    hub.worker(logged({}, inside, items.middleware), register),
    hub.worker(logged({}, inside, items.middleware), register),
    dropping.worker(logged({}, inside, items.middleware), register),
    plain.worker(untraced({}, inside, items.middleware), register),
    outside.worker({ middlewares: () => [logging(), tracing(), inside, items.middleware] }, register),
  ]);
});

const finished = (spans: RecordedSpans, orchestrations: number): Promise<void> =>
  spans.waitFor((all) => wholeness(all).orchestrations === orchestrations);

/** The span that a record should belong to: the SERVER span of the task that its attributes name. */
function ownSpan({ attributes }: ReadableLogRecord, spans: readonly ReadableSpan[]): ReadableSpan | undefined {
  return spans.find(
    ({ kind, attributes: own }) =>
      kind === SpanKind.SERVER &&
      ["name", "instance_id", "execution_id", "task_id"].every(
        (key) => own[`durabletask.task.${key}`] === attributes[`durabletask.task.${key}`],
      ),
  );
}

const idsOf = (span: { traceId: string; spanId: string } | undefined): string => `${span?.traceId}-${span?.spanId}`;

describe.each<[string, () => Hub]>([
  ["that two workers share", () => hub],
  ["that drops trace contexts", () => dropping],
  ["whose worker has logging outside of tracing", () => outside],
])("On a task hub %s", (_, subject) => {
  it("L1 a record has the trace and span IDs of the span that was emitted for its task", async () => {
    const spans = recordSpans();
    const recorded = recordLogs();
    await subject().run("parent");
    await finished(spans, 2);
    await items.over();
    expect(recorded.events).toHaveLength(2 + 2 + 3 * 2);
    for (const record of recorded.events) {
      const span = ownSpan(record, spans.finished);
      expect(span, record.eventName).toBeDefined();
      expect(idsOf(record.spanContext), record.eventName).toBe(idsOf(span?.spanContext()));
    }
  });

  it("L2 what ctx.logger and currentLogger() write has them too", async () => {
    const spans = recordSpans();
    const recorded = recordLogs();
    await subject().run("parent");
    await finished(spans, 2);
    await items.over();
    const written = recorded.lines.filter(({ body }) => body !== "in the user's span");
    const times = (line: string): number => written.filter(({ body }) => body === line).length;
    expect([times("away from any span"), times("code"), times("middleware")]).toEqual([3, 6, 5]);
    for (const record of written)
      expect(idsOf(record.spanContext), String(record.body)).toBe(
        idsOf(ownSpan(record, spans.finished)?.spanContext()),
      );
  });

  it("L2 a line that is written in a span of the user's own belongs to that span", async () => {
    const spans = recordSpans();
    const recorded = recordLogs();
    await subject().run("parent");
    await finished(spans, 2);
    await items.over();
    const own = spans.finished.filter(({ name }) => name === "user span").map((span) => idsOf(span.spanContext()));
    const written = recorded.lines.filter(({ body }) => body === "in the user's span");
    expect(own).toHaveLength(3);
    expect(written.map(({ spanContext }) => idsOf(spanContext)).toSorted()).toEqual(own.toSorted());
  });
});

describe("Correlation", () => {
  it("L1 without tracing there are no IDs, and all records are there", async () => {
    const spans = recordSpans();
    const recorded = recordLogs();
    await plain.run("parent");
    await items.over();
    expect(recorded.events).toHaveLength(10);
    expect(recorded.events.flatMap(({ spanContext }) => spanContext ?? [])).toEqual([]);
    // What the user's code has opened is still known.
    const own = spans.finished.filter(({ name }) => name === "user span").map((span) => idsOf(span.spanContext()));
    const written = recorded.lines.filter(({ body }) => body === "in the user's span");
    expect(written.map(({ spanContext }) => idsOf(spanContext)).toSorted()).toEqual(own.toSorted());
  });

  it("L2 a span that is none gives a line of the user's logger no IDs", async () => {
    const lines: unknown[][] = [];
    const write = (...args: unknown[]): void => void lines.push(args);
    const worker = hostWorker(untraced({ logger: { error: write, warn: write, info: write, debug: write } }));
    worker.addNamedOrchestrator("plain", () => {
      context.with(trace.setSpanContext(ROOT_CONTEXT, INVALID_SPAN_CONTEXT), () => currentLogger()?.info("a line"));
    });
    await firstEpisode(worker, { name: "plain" });
    const identity = { "durabletask.task.name": "plain", "durabletask.task.instance_id": "instance" };
    expect(lines.filter(([line]) => line === "a line")).toEqual([["a line", identity]]);
  });

  it("L1 with tracing but no tracer provider there are no IDs either", async () => {
    const recorded = recordLogs();
    await hub.run("parent");
    await items.over();
    expect(recorded.events).toHaveLength(10);
    expect(recorded.records.flatMap(({ spanContext }) => spanContext ?? [])).toEqual([]);
  });

  it("L1 in a trace that is not sampled the records have its IDs, as all logs there do", async () => {
    const spans = recordSpans({ sampler: new AlwaysOffSampler() });
    const recorded = recordLogs();
    const { instanceId } = await hub.run("parent");
    await items.over();
    expect(spans.finished).toEqual([]);
    const ofParent = recorded.events.filter(
      (record) =>
        attribute(record, "durabletask.task.instance_id") === instanceId &&
        record.eventName?.includes("orchestration") === true,
    );
    expect(new Set(ofParent.map(({ spanContext }) => idsOf(spanContext))).size).toBe(1);
    expect(new Set(recorded.records.map(({ spanContext }) => spanContext?.traceId)).size).toBe(1);
    expect(new Set(recorded.records.map(({ spanContext }) => spanContext?.traceFlags))).toEqual(new Set([0]));
  });
});
