import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { diag, SpanKind, trace, type DiagLogger } from "@opentelemetry/api";
import {
  TraceIdRatioBasedSampler,
  ParentBasedSampler,
  AlwaysOnSampler,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace";
import { describe, expect, it, onTestFinished } from "vitest";
import { recordSpans, startHub, wholeness, type RecordedSpans, type Steps } from "../harness.ts";
import { at, episodeWorker, history, outgoing, runEpisode, type EpisodeRequest } from "./episodes.ts";
import { customOnly } from "../custom-only.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const caller = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${caller}-01`;

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<string> {
    yield ctx.callActivity("charge");
    yield ctx.callActivity("ship");
    return "shipped";
  });
}

/** The three episodes of the workflow. */
function episodes(
  start: Parameters<typeof history.started>[1] = {},
): readonly [EpisodeRequest, EpisodeRequest, EpisodeRequest] {
  const first = [history.episode(0), history.started("order", start)];
  const second = [history.episode(20), history.completed(1, "charged", 18)];
  const third = [history.episode(40), history.completed(2, "shipped", 38)];
  const past = [...first, history.scheduled(1, "charge", 5)];
  return [
    { fresh: first },
    { past, fresh: second },
    { past: [...past, ...second, history.scheduled(2, "ship", 25)], fresh: third },
  ];
}

const ids = (span: ReadableSpan): string => `${span.spanContext().traceId}-${span.spanContext().spanId}`;
const orchestration = (spans: RecordedSpans): ReadableSpan | undefined =>
  spans.finished.find((span) => span.kind === SpanKind.SERVER && span.name === "orchestration:order");

/** Runs all episodes, each on a worker of its own, and gives the orchestration's span. */
async function runAll(start: Parameters<typeof history.started>[1], carriedSpan?: string): Promise<ReadableSpan> {
  const spans = recordSpans();
  for (const episode of episodes(start)) {
    await runEpisode(episodeWorker(register), {
      ...episode,
      ...(carriedSpan === undefined || episode.past === undefined ? {} : { carriedSpan }),
    });
  }
  const span = orchestration(spans);
  if (span === undefined) throw new Error("There is no orchestration span.");
  return span;
}

describe("I1 the identity of an orchestration's span is derived from history", () => {
  it("I1 every worker computes the same identity in every episode, and hands it on", async () => {
    recordSpans();
    const carried = new Set<string>();
    for (const episode of [...episodes(), ...episodes()]) {
      const response = await runEpisode(episodeWorker(register), episode);
      carried.add(response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "none");
      expect(response.getOrchestrationtracecontext()?.getSpanstarttime()?.toDate()).toEqual(at(0));
    }
    expect([...carried]).toEqual([expect.stringMatching(/^(?!0+$)[0-9a-f]{16}$/)]);
  });

  it("I1 the trace is the one whose traceparent started the execution", async () => {
    const span = await runAll({ traceparent });
    expect(span.spanContext().traceId).toBe(traceId);
    expect(span.parentSpanContext?.spanId).toBe(caller);
  });

  it("I1 without a traceparent the trace follows from instance ID and execution ID", async () => {
    const [one, same, other] = [await runAll({}), await runAll({}), await runAll({ executionId: "execution-2" })];
    expect(one.parentSpanContext).toBeUndefined();
    expect(ids(one)).toBe(ids(same));
    expect(other.spanContext().traceId).not.toBe(one.spanContext().traceId);
    expect(other.spanContext().spanId).not.toBe(one.spanContext().spanId);
  });

  it("I1 the span is the one in the request's OrchestrationTraceContext, where another SDK's worker ran the first episode", async () => {
    expect((await runAll({}, "00f067aa0ba902b7")).spanContext().spanId).toBe("00f067aa0ba902b7");
  });

  it("I1 the execution's start time stands in for an execution ID that the backend does not send", async () => {
    const span = await runAll({ executionId: null });
    expect(ids(span)).toBe(ids(await runAll({ executionId: null })));
    expect(ids(span)).not.toBe(ids(await runAll({})));
  });
});

it("I2 the traceparent that goes out with an activity names the span that is emitted when it completes", async () => {
  const spans = recordSpans();
  const [first, second, third] = episodes({ traceparent });
  const out = [
    ...outgoing(await runEpisode(episodeWorker(register), first)),
    ...outgoing(await runEpisode(episodeWorker(register), second)),
  ];
  await runEpisode(episodeWorker(register), third);
  const clients = spans.finished.filter(({ kind }) => kind === SpanKind.CLIENT).map((span) => `00-${ids(span)}-01`);
  expect(out).toHaveLength(2);
  expect(clients).toEqual(out);
});

it("I3 an episode that ends waiting has emitted nothing for the orchestration and holds nothing", async () => {
  const spans = recordSpans();
  const [first, second, third] = episodes();
  await runEpisode(episodeWorker(register), first);
  expect(spans.finished).toEqual([]);
  await runEpisode(episodeWorker(register), second);
  expect(spans.finished.map(({ name }) => name)).toEqual(["activity:charge"]);
  expect(spans.open).toBe(0);
  await runEpisode(episodeWorker(register), third);
  expect(spans.finished.map(({ name }) => name)).toEqual(["activity:charge", "activity:ship", "orchestration:order"]);
  const span = orchestration(spans);
  expect(span?.startTime).toEqual([at(0).getTime() / 1000, 0]);
});

it("I4 a span that is emitted twice is the same span: same IDs, same start", async () => {
  const spans = recordSpans();
  const [, , last] = episodes({ traceparent });
  await runEpisode(episodeWorker(register), last);
  await runEpisode(episodeWorker(register), last);
  const [ship, order, shipAgain, orderAgain] = spans.finished;
  for (const [once, again] of [
    [ship, shipAgain],
    [order, orderAgain],
  ]) {
    expect(again && ids(again)).toBe(once && ids(once));
    expect(again?.startTime).toEqual(once?.startTime);
  }
});

it("I4 a response that the backend refuses emits nothing: the work item is another worker's by now", async () => {
  const spans = recordSpans();
  const worker = episodeWorker(register);
  // The stub's answer to a stale completion token.
  const refused = Object.assign(new Error("stale token"), { code: 5 });
  const internal = worker as unknown as {
    _executeOrchestratorInternal(request: unknown, token: string, stub: unknown): Promise<void>;
  };
  const { default: proto } = await import("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
  const request = new proto.OrchestratorRequest();
  request.setInstanceid("instance-1");
  request.setPasteventsList([...(episodes()[2].past ?? [])]);
  request.setNeweventsList([...episodes()[2].fresh]);
  const stub = (error: unknown) => ({
    completeOrchestratorTask: (_: unknown, __: unknown, done: (error: unknown) => void) => done(error),
  });
  await internal._executeOrchestratorInternal(request.cloneMessage(), "", stub(refused));
  expect(spans.finished).toEqual([]);
  await internal._executeOrchestratorInternal(request.cloneMessage(), "", stub(null));
  expect(spans.finished).toHaveLength(2);
});

describe("I6 span IDs are chosen through the SDK's IdGenerator", () => {
  it("I6 other instrumentation keeps its random IDs", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async () => {
        trace.getTracer("user").startSpan("one").end();
        trace.getTracer("user").startSpan("two").end();
      });
    });
    for (let run = 0; run < 2; run += 1)
      await runEpisode(worker, { fresh: [history.episode(), history.started("order")] });
    const own = spans.finished.filter(({ name }) => name !== "orchestration:order").map(ids);
    expect(new Set(own).size).toBe(4);
    expect(new Set(spans.finished.filter(({ name }) => name === "orchestration:order").map(ids)).size).toBe(1);
  });

  it("I6 with a provider that lacks the generator the tree is the same, and nothing is reported", async () => {
    const messages: string[] = [];
    const say = (message: string): void => void messages.push(message);
    const logger: DiagLogger = { error: say, warn: say, info: say, debug: () => undefined, verbose: () => undefined };
    diag.setLogger(logger, { suppressOverrideMessage: true });
    onTestFinished(() => diag.disable());
    const shapes: unknown[] = [];
    for (const generator of [true, false]) {
      for (const start of [{}, { traceparent }]) {
        const spans = recordSpans({ generator });
        for (const episode of episodes(start)) await runEpisode(episodeWorker(register), episode);
        shapes.push(
          spans.finished.map((span) => [
            span.name,
            ids(span),
            span.parentSpanContext?.spanId,
            span.spanContext().traceFlags,
          ]),
        );
      }
    }
    expect(shapes.slice(2)).toEqual(shapes.slice(0, 2));
    expect(messages).toEqual([]);
  });

  it("I6 a ratio sampler decides alike with and without the generator, for a trace that starts on the worker", async () => {
    const sampler = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0.5) });
    const decisions: string[] = [];
    for (const generator of [true, false]) {
      const spans = recordSpans({ generator, sampler });
      for (let run = 0; run < 40; run += 1) {
        const before = spans.finished.length;
        for (const episode of episodes({ executionId: `execution-${run}` }))
          await runEpisode(episodeWorker(register), episode);
        // Whole or absent.
        expect([0, 3]).toContain(spans.finished.length - before);
        decisions.push(`${run} ${spans.finished.length - before}`);
      }
    }
    expect(decisions.slice(40)).toEqual(decisions.slice(0, 40));
    expect(new Set(decisions.map((decision) => decision.split(" ")[1])).size).toBe(2);
  });
});

describe("I9 the SDK's built-in spans are silenced for a worker with tracing, for that worker only", () => {
  it("I9 no span of the SDK's tracer is left on a worker with tracing, also where it sends events", async () => {
    const spans = recordSpans({ sampler: new AlwaysOnSampler() });
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async (ctx: OrchestrationContext) => ctx.sendEvent("other", "hello", 1));
    });
    const response = await runEpisode(worker, {
      fresh: [history.episode(), history.started("order", { traceparent })],
    });
    expect(spans.finished.map((span) => `${span.name} of ${span.instrumentationScope.name}`)).toEqual([
      "orchestration_event:hello of durable-telemetry",
      "orchestration:order of durable-telemetry",
    ]);
    expect(response.getActionsList()).toHaveLength(2);
  });

  it("I9 a worker without tracing keeps the SDK's spans", async () => {
    const spans = recordSpans();
    await runEpisode(
      episodeWorker(register, {
        ...customOnly,
        use: [{ name: "other", orchestration: async (ctx, next) => void (await next(ctx)) }],
      }),
      episodes()[0],
    );
    expect(spans.finished.map((span) => span.instrumentationScope.name)).toEqual(["Microsoft.DurableTask"]);
  });

  it("I9 client spans stay the SDK's", async () => {
    const spans = recordSpans();
    const hub = await startHub();
    await hub.worker({}, (worker) => worker.addNamedOrchestrator("order", async () => 1));
    await hub.run("order");
    await spans.waitFor((all) => wholeness(all).orchestrations === 1);
    expect(spans.finished.map((span) => `${span.name} of ${span.instrumentationScope.name}`)).toEqual([
      "create_orchestration:order of Microsoft.DurableTask",
      "orchestration:order of durable-telemetry",
    ]);
    expect(wholeness(spans.finished).orphans).toBe(0);
  });
});
