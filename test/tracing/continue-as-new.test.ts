import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { AlwaysOffSampler, ParentBasedSampler, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeEach, describe, expect, it } from "vitest";
import { recentWork } from "../../middlewares/tracing/recent-work.ts";
import type { TracingOptions } from "../../src/index.ts";
import { recordSpans, startHub, wholeness, type RecordedSpans, type Steps } from "../harness.ts";
import { episodeWorker, history, outgoing, runEpisode } from "./episodes.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const caller = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${caller}-01`;

// What a process remembers is gone when another one goes on.
const anotherProcess = (): boolean => Reflect.deleteProperty(globalThis, Symbol.for("durable-telemetry.recent-work"));
beforeEach(anotherProcess);

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("tick", async function* (ctx: OrchestrationContext, left: number): Steps<void> {
    yield ctx.callActivity("charge");
    if (left > 1) ctx.continueAsNew(left - 1, false);
  });
}

interface Generation {
  readonly number: number;
  readonly traceparent?: string;
  /** The identity that the backend carried over from the execution before. */
  readonly carriedOver?: string;
  readonly options?: TracingOptions;
}

const orchestration = ({ name, kind }: ReadableSpan): boolean =>
  name === "orchestration:tick" && kind === SpanKind.SERVER;

/** Runs the two episodes of one execution, each on a worker of its own; gives the orchestration's span. */
async function runGeneration(
  spans: RecordedSpans,
  { number, traceparent: started, carriedOver, options = {} }: Generation,
): Promise<ReadableSpan> {
  const start = {
    executionId: `execution-${number}`,
    input: 4 - number,
    ...(started === undefined ? {} : { traceparent: started }),
  };
  const first = [history.episode(0), history.started("tick", start)];
  const response = await runEpisode(episodeWorker(register, { tracing: options }), {
    fresh: first,
    ...(carriedOver === undefined ? {} : { carriedSpan: carriedOver }),
  });
  const left = response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "";
  await runEpisode(episodeWorker(register, { tracing: options }), {
    past: [...first, history.scheduled(1, "charge", 5)],
    fresh: [history.episode(20), history.completed(1, "charged", 18)],
    carriedSpan: left,
  });
  const span = spans.finished.findLast(orchestration);
  if (span === undefined) throw new Error("There is no orchestration span.");
  expect(span.spanContext().spanId).toBe(left);
  const charge = spans.finished.findLast(({ name }) => name === "activity:charge");
  expect(charge?.parentSpanContext).toMatchObject({ traceId: span.spanContext().traceId, spanId: left });
  return span;
}

const idsOf = (span: ReadableSpan): { traceId: string; spanId: string } => {
  const { traceId: trace, spanId } = span.spanContext();
  return { traceId: trace, spanId };
};
const linked = (span: ReadableSpan): { traceId: string; spanId: string }[] =>
  span.links.map(({ context }) => ({ traceId: context.traceId, spanId: context.spanId }));

describe("S4 continue-as-new", () => {
  it("S4 each execution is a trace of its own, linked to the one before, which this process ran", async () => {
    const spans = recordSpans();
    const hub = await startHub();
    await hub.worker({}, (worker) => {
      register(worker);
      worker.addNamedActivity("charge", () => null);
    });
    await hub.run("tick", 3);
    await spans.waitFor((all) => wholeness(all).orchestrations === 3);
    const [one, two, three] = spans.finished.filter(orchestration);
    if (one === undefined || two === undefined || three === undefined) throw new Error("There are three.");
    expect(wholeness(spans.finished)).toMatchObject({ traces: 3, orphans: 0, duplicates: 0 });
    expect([one, two, three].map(linked)).toEqual([[], [idsOf(one)], [idsOf(two)]]);
  });

  it("S4 where a backend carries the trace context over, it is a trace of its own too, linked to that context", async () => {
    const spans = recordSpans();
    const one = await runGeneration(spans, { number: 1, traceparent });
    anotherProcess();
    const two = await runGeneration(spans, { number: 2, traceparent, carriedOver: one.spanContext().spanId });
    anotherProcess();
    const three = await runGeneration(spans, { number: 3, traceparent, carriedOver: two.spanContext().spanId });
    expect(one.parentSpanContext?.spanId).toBe(caller);
    expect([two, three].map(({ parentSpanContext }) => parentSpanContext)).toEqual([undefined, undefined]);
    expect(new Set([one, two, three].map((span) => span.spanContext().traceId)).size).toBe(3);
    expect([two, three].map(linked)).toEqual([[{ traceId, spanId: caller }], [{ traceId, spanId: caller }]]);
  });

  it("S4 where a backend keeps the trace context alone, it can't be distinguished from a first one: it stays in that trace, linked to the one before", async () => {
    const spans = recordSpans();
    const one = await runGeneration(spans, { number: 1, traceparent });
    const two = await runGeneration(spans, { number: 2, traceparent });
    anotherProcess();
    const three = await runGeneration(spans, { number: 3, traceparent });
    expect([one, two, three].map((span) => span.parentSpanContext?.spanId)).toEqual([caller, caller, caller]);
    expect([one, two, three].map(linked)).toEqual([[], [idsOf(one)], []]);
  });

  it("S4 a first episode that is lost and runs again, in another process, has the same identity", async () => {
    const spans = recordSpans();
    const one = await runGeneration(spans, { number: 1, traceparent });
    const carriedSpan = one.spanContext().spanId;
    const first = [history.episode(0), history.started("tick", { executionId: "execution-2", input: 2, traceparent })];
    const identities = [];
    for (let run = 0; run < 2; run += 1) {
      const response = await runEpisode(episodeWorker(register), { fresh: first, carriedSpan });
      identities.push(outgoing(response)[0]);
      anotherProcess();
    }
    expect(new Set(identities).size).toBe(1);
    expect(identities[0]?.split("-")[1]).not.toBe(traceId);
  });

  it("S4 the last episode that runs again does not link the execution to itself", async () => {
    const spans = recordSpans();
    await runGeneration(spans, { number: 1, traceparent });
    const again = await runGeneration(spans, { number: 1, traceparent });
    expect(linked(again)).toEqual([]);
  });

  it("S4 an instance that another caller starts again under the same ID continues nothing", async () => {
    const spans = recordSpans();
    await runGeneration(spans, { number: 1, traceparent });
    const other = "00-11111111111111111111111111111111-2222222222222222-01";
    const again = await runGeneration(spans, { number: 2, traceparent: other });
    expect(again.parentSpanContext?.spanId).toBe("2222222222222222");
    expect(linked(again)).toEqual([]);
  });

  it('S4 with continueAsNew: "same-trace" it is one trace where the backend keeps the trace context, of several spans', async () => {
    const spans = recordSpans();
    const options: TracingOptions = { continueAsNew: "same-trace" };
    const one = await runGeneration(spans, { number: 1, traceparent, options });
    const two = await runGeneration(spans, { number: 2, traceparent, options, carriedOver: one.spanContext().spanId });
    const three = await runGeneration(spans, {
      number: 3,
      traceparent,
      options,
      carriedOver: two.spanContext().spanId,
    });
    expect([one, two, three].map((span) => span.parentSpanContext?.spanId)).toEqual([caller, caller, caller]);
    expect(new Set([one, two, three].map((span) => span.spanContext().spanId)).size).toBe(3);
    expect([one, two, three].map(linked)).toEqual([[], [idsOf(one)], [idsOf(two)]]);
  });

  it("S4 there is no link to an execution that was not sampled", async () => {
    const spans = recordSpans({ sampler: new ParentBasedSampler({ root: new AlwaysOffSampler() }) });
    const first = [history.episode(0), history.started("tick", { input: 2, executionId: "execution-1" })];
    await runEpisode(episodeWorker(register), {
      past: [...first, history.scheduled(1, "charge", 5)],
      fresh: [history.episode(20), history.completed(1, 1, 18)],
    });
    expect(recentWork().continued.get("instance-1")?.span.traceFlags).toBe(0);
    const two = await runGeneration(spans, { number: 3, traceparent });
    expect(linked(two)).toEqual([]);
  });

  it("K2 what is remembered for links has a fixed size", () => {
    const { continued, sent } = recentWork();
    const span = (id: number): { traceId: string; spanId: string; traceFlags: number } => ({
      traceId,
      spanId: id.toString(16).padStart(16, "0"),
      traceFlags: 1,
    });
    for (let id = 1; id <= 1001; id += 1) {
      continued.set(`instance-${id}`, { span: span(id), traceparent: undefined });
      sent.add(`instance-${id}`, "go", span(id));
      sent.add("busy", "go", span(id));
    }
    expect([1, 2, 1001].map((id) => continued.get(`instance-${id}`)?.span.spanId)).toEqual([
      undefined,
      span(2).spanId,
      span(1001).spanId,
    ]);
    expect([1, 2, 3].map((id) => sent.first(`instance-${id}`, "go", 9).length)).toEqual([0, 0, 1]);
    expect(sent.first("busy", "GO", 99)).toHaveLength(16);
  });

  it("S8 the senders of events are known in the order of sending, each once, and to the target alone", () => {
    const { sent } = recentWork();
    const span = (id: string): { traceId: string; spanId: string; traceFlags: number } => ({
      traceId,
      spanId: id.repeat(16),
      traceFlags: 1,
    });
    for (const id of ["a", "a", "b", "c"]) sent.add("order-1", "go", span(id));
    sent.add("order-1", "go", { ...span("d"), traceFlags: 0 });
    const found = (target: string, name: string, count: number): string[] =>
      sent.first(target, name, count).map(({ spanId }) => spanId.charAt(0));
    expect([
      found("order-1", "Go", 2),
      found("order-1", "go", 9),
      found("order-1g", "o", 9),
      found("order-", "1go", 9),
    ]).toEqual([["a", "b"], ["a", "b", "c"], [], []]);
    sent.forget("order-1", "go", 1);
    expect(found("order-1", "go", 9)).toEqual(["b", "c"]);
    sent.forget("order-1", "go", 2);
    expect(found("order-1", "go", 9)).toEqual([]);
  });
});
