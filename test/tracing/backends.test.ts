/** What backends and other SDKs' workers send, the odd included: single episodes and activities. */
import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type {
  HistoryEvent,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { SpanKind, trace } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { describe, expect, it } from "vitest";
import { recordSpans, wholeness, type RecordedSpans, type Steps } from "../harness.ts";
import { runActivity } from "./activities.ts";
import { episodeWorker, history, outgoing, runEpisode, type EpisodeRequest } from "./episodes.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const caller = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${caller}-01`;

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<string> {
    yield ctx.callActivity("charge");
    return "charged";
  });
}

const ids = (span: ReadableSpan): string => `${span.spanContext().traceId}-${span.spanContext().spanId}`;
const named = (spans: RecordedSpans, kind: SpanKind, name?: string): ReadableSpan => {
  const found = spans.finished.find((span) => span.kind === kind && (name === undefined || span.name === name));
  if (found === undefined)
    throw new Error(`No span of kind ${SpanKind[kind]} among ${spans.finished.map((span) => span.name).join(", ")}.`);
  return found;
};

function text(value: string): InstanceType<typeof wrappers.StringValue> {
  const message = new wrappers.StringValue();
  message.setValue(value);
  return message;
}

function traceContext(parent: string, tracestate?: string): InstanceType<typeof proto.TraceContext> {
  const context = new proto.TraceContext();
  context.setTraceparent(parent);
  if (tracestate !== undefined) context.setTracestate(text(tracestate));
  return context;
}

/** The same event with another timestamp: none, the zero that some backends put in its place, or a shifted one. */
function timed(event: HistoryEvent, time: "none" | "zero" | number): HistoryEvent {
  const copy = event.cloneMessage();
  if (time === "none") return copy.setTimestamp(undefined);
  if (time === "zero") return copy.setTimestamp(new timestamps.Timestamp());
  const at = copy.getTimestamp()?.toDate().getTime() ?? 0;
  return copy.setTimestamp(timestamps.Timestamp.fromDate(new Date(at + time)));
}

/** The two episodes of an orchestration with one activity; `change` is applied to each event. */
function episodes(
  start: Parameters<typeof history.started>[1] = {},
  change = (event: HistoryEvent): HistoryEvent => event,
): readonly EpisodeRequest[] {
  const first = [history.episode(0), history.started("order", start)].map(change);
  const past = [...first, ...[history.scheduled(1, "charge", 5)].map(change)];
  return [{ fresh: first }, { past, fresh: [history.episode(20), history.completed(1, "charged", 18)].map(change) }];
}

/** Runs episodes, each on a worker of its own, and gives the responses. */
async function runAll(requests: readonly EpisodeRequest[]): Promise<OrchestratorResponse[]> {
  const responses: OrchestratorResponse[] = [];
  for (const request of requests) responses.push(await runEpisode(episodeWorker(register), request));
  return responses;
}

describe("The trace context that started an execution", () => {
  it.each([
    ["uppercase", traceparent.toUpperCase()],
    ["a trace ID of zeros", `00-${"0".repeat(32)}-${caller}-01`],
    ["a span ID of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
    ["version ff", `ff-${traceId}-${caller}-01`],
    ["more than version 00 has", `${traceparent}-more`],
    ["more than the flags", `${traceparent}1`],
    ["an ID that is too short", `00-${traceId.slice(1)}-${caller}-01`],
    ["no flags", `00-${traceId}-${caller}`],
    ["text around it", ` ${traceparent}\n`],
    ["garbage", "garbage"],
  ])("I1 is no trace context if it has %s: the trace begins with the orchestration", async (_, malformed) => {
    const spans = recordSpans();
    const responses = await runAll(episodes({ traceparent: malformed }));
    const expected = recordSpans();
    await runAll(episodes());
    expect(spans.finished.map(ids)).toEqual(expected.finished.map(ids));
    expect(named(spans, SpanKind.SERVER).parentSpanContext).toBeUndefined();
    expect(responses.flatMap(outgoing)).toEqual([`00-${ids(named(spans, SpanKind.CLIENT))}-01`]);
  });

  it.each([`cc-${traceId}-${caller}-01`, `01-${traceId}-${caller}-01-what-comes-later`])(
    "I1 counts where its version is one to come: %s",
    async (future) => {
      const spans = recordSpans();
      await runAll(episodes({ traceparent: future }));
      expect(named(spans, SpanKind.SERVER)).toMatchObject({ parentSpanContext: { traceId, spanId: caller } });
    },
  );

  it("I2 hands its tracestate on with each task, and every span has it", async () => {
    const spans = recordSpans();
    const state = "vendor=opaque-1,other=2";
    const change = (event: HistoryEvent): HistoryEvent => {
      event.getExecutionstarted()?.setParenttracecontext(traceContext(traceparent, state));
      return event;
    };
    const [first] = await runAll(episodes({}, change));
    const sent = first?.getActionsList()[0]?.getScheduletask()?.getParenttracecontext();
    expect(sent?.getTracestate()?.getValue()).toBe(state);
    expect(sent?.getSpanid()).toBe(named(spans, SpanKind.CLIENT).spanContext().spanId);
    const activity = episodeWorker((worker) => worker.addNamedActivity("charge", () => 1));
    await runActivity(activity, { name: "charge", traceContext: sent });
    expect(spans.finished.map((span) => span.spanContext().traceState?.serialize())).toEqual([state, state, state]);
  });

  it("I2 loses a tracestate that is none, and nothing else", async () => {
    const spans = recordSpans();
    const change = (event: HistoryEvent): HistoryEvent => {
      event.getExecutionstarted()?.setParenttracecontext(traceContext(traceparent, "=,,\u0000"));
      return event;
    };
    const [first] = await runAll(episodes({}, change));
    expect(first?.getActionsList()[0]?.getScheduletask()?.getParenttracecontext()?.hasTracestate()).toBe(false);
    expect(named(spans, SpanKind.SERVER)).toMatchObject({ parentSpanContext: { traceId, spanId: caller } });
  });

  it.each([true, false])(
    "I5 records nothing where it is unsampled, and hands that on (with DurableIdGenerator: %s)",
    async (generator) => {
      const spans = recordSpans({ generator });
      const responses = await runAll(episodes({ traceparent: `00-${traceId}-${caller}-00` }));
      const [sent] = responses.flatMap(outgoing);
      expect(sent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
      const activity = episodeWorker((worker) =>
        worker.addNamedActivity("charge", () => trace.getTracer("user").startSpan("in activity").end()),
      );
      await runActivity(activity, { name: "charge", traceContext: traceContext(sent ?? "") });
      expect(spans.finished).toEqual([]);
      expect(spans.open).toBe(0);
    },
  );

  it.each([
    ["03", "01"],
    ["02", "00"],
    ["ff", "01"],
  ])("I5 with flags %s hands on %s: the sampling decision alone", async (flags, expected) => {
    const spans = recordSpans();
    const [sent] = (await runAll(episodes({ traceparent: `00-${traceId}-${caller}-${flags}` }))).flatMap(outgoing);
    expect(sent?.slice(-2)).toBe(expected);
    expect(spans.finished).toHaveLength(expected === "01" ? 2 : 0);
  });
});

describe("The persisted span context of an orchestration", () => {
  it.each([
    ["zeros, as a worker without tracing leaves them", "0".repeat(16)],
    ["uppercase", "00F067AA0BA902B7"],
    ["too short", "00f067aa0ba902b"],
    ["too long", "00f067aa0ba902b70"],
    ["garbage", "garbage"],
  ])("I1 does not count if it is %s: the span's ID is the derived one", async (_, carriedSpan) => {
    const spans = recordSpans();
    await runAll(episodes().map((episode) => ({ ...episode, carriedSpan })));
    const expected = recordSpans();
    await runAll(episodes());
    expect(spans.finished.map(ids)).toEqual(expected.finished.map(ids));
  });
});

describe("Times and execution IDs that a backend does not send", () => {
  const started = (spans: RecordedSpans): string[] => spans.finished.map((span) => `${span.name} ${ids(span)}`);

  it.each(["none", "zero"] as const)(
    "I1 with timestamps that are %s the identity follows from the execution ID, and the tree is whole",
    async (time) => {
      const spans = recordSpans();
      await runAll(episodes({}, (event) => timed(event, time)));
      const expected = recordSpans();
      await runAll(episodes());
      expect(started(spans)).toEqual(started(expected));
      for (const span of spans.finished) expect(hrTimeToMilliseconds(span.duration)).toBeLessThan(30_000);
    },
  );

  it.each(["none", "zero"] as const)(
    "I1 with neither execution ID nor timestamps (%s) every episode still computes the same identity",
    async (time) => {
      const spans = recordSpans();
      const responses = await runAll(episodes({ executionId: null }, (event) => timed(event, time)));
      expect(responses.flatMap(outgoing)).toEqual([`00-${ids(named(spans, SpanKind.CLIENT))}-01`]);
      expect(
        new Set(responses.map((response) => response.getOrchestrationtracecontext()?.getSpanid()?.getValue())),
      ).toEqual(new Set([named(spans, SpanKind.SERVER).spanContext().spanId]));
      expect(wholeness(spans.finished)).toMatchObject({ spans: 2, traces: 1, orphans: 0 });
    },
  );

  it("I1 a history without OrchestratorStarted has its start from ExecutionStarted", async () => {
    const spans = recordSpans();
    await runAll(
      episodes({ executionId: null }).map(({ past, fresh }) => ({
        ...(past === undefined ? {} : { past: past.filter((event) => !event.hasOrchestratorstarted()) }),
        fresh: fresh.filter((event) => !event.hasOrchestratorstarted()),
      })),
    );
    const expected = recordSpans();
    await runAll(episodes({ executionId: null }));
    expect(started(spans)).toEqual(started(expected));
  });

  it("S14 no span ends before it starts where the backend's clock is ahead", async () => {
    const spans = recordSpans();
    const hour = 3_600_000;
    const ahead = Date.now() + hour - Date.UTC(2026, 0, 1);
    await runAll(episodes({}, (event) => timed(event, event.hasTaskscheduled() ? ahead + hour : ahead)));
    expect(wholeness(spans.finished)).toMatchObject({ spans: 2, orphans: 0 });
    for (const span of spans.finished) {
      expect(hrTimeToMilliseconds(span.endTime)).toBeGreaterThanOrEqual(hrTimeToMilliseconds(span.startTime));
      expect(span.duration).toEqual([0, 1000]);
    }
  });

  it("I8 an activity whose request has neither trace context nor execution ID, and that this process did not schedule, has no parent: none is guessed", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => each.addNamedActivity("charge", () => 1));
    await runActivity(worker, { name: "charge", instanceId: "of another process" });
    expect(named(spans, SpanKind.SERVER).parentSpanContext).toBeUndefined();
  });

  it("I8 an activity whose request has an execution ID alone hangs on the span that its orchestration emits", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => each.addNamedActivity("charge", () => 1));
    await runActivity(worker, { name: "charge", executionId: "execution-1" });
    await runAll(episodes());
    expect(wholeness(spans.finished)).toMatchObject({ spans: 3, traces: 1, orphans: 0, duplicates: 0 });
  });
});

describe("Tasks in the history", () => {
  it("I2 the CLIENT span of a task that another SDK's worker scheduled is the one whose ID went out with it", async () => {
    const spans = recordSpans();
    const scheduled = history.scheduled(1, "charge", 5);
    scheduled.getTaskscheduled()?.setParenttracecontext(traceContext(`00-${traceId}-00f067aa0ba902b7-01`));
    const past = [history.episode(0), history.started("order", { traceparent }), scheduled];
    await runAll([{ past, fresh: [history.episode(20), history.completed(1, 1, 18)] }]);
    expect(named(spans, SpanKind.CLIENT).spanContext()).toMatchObject({ traceId, spanId: "00f067aa0ba902b7" });
  });

  it("I2 a trace context of a task that is none does not count", async () => {
    const spans = recordSpans();
    const scheduled = history.scheduled(1, "charge", 5);
    scheduled.getTaskscheduled()?.setParenttracecontext(traceContext("garbage"));
    const [first, second] = episodes();
    const sent = (await runAll(first === undefined ? [] : [first])).flatMap(outgoing);
    await runAll([{ past: [...(second?.past?.slice(0, 2) ?? []), scheduled], fresh: second?.fresh ?? [] }]);
    expect([`00-${ids(named(spans, SpanKind.CLIENT))}-01`]).toEqual(sent);
  });

  it("I2 task IDs of any size have spans of their own", async () => {
    const spans = recordSpans();
    const taskIds = [0, 1, 2, 255, 65_536, 2_147_483_647, -1, -2_147_483_648];
    const past = [
      history.episode(0),
      history.started("order"),
      ...taskIds.map((id) => history.scheduled(id, "charge", 5)),
    ];
    const fresh = [history.episode(20), ...taskIds.map((id) => history.completed(id, 1, 18))];
    // Nothing is registered: what the orchestrator would do has no part in it.
    await runEpisode(
      episodeWorker(() => undefined),
      { past, fresh },
    );
    const clients = spans.finished.filter(({ kind }) => kind === SpanKind.CLIENT);
    expect(clients.map(({ attributes }) => attributes["durabletask.task.task_id"])).toEqual(taskIds);
    expect(wholeness(spans.finished)).toMatchObject({ spans: taskIds.length + 1, duplicates: 0, orphans: 0 });
    for (const client of clients) expect(client.spanContext().spanId).toMatch(/^(?!0+$)[0-9a-f]{16}$/);
  });

  it("S1 the completion of an unknown task makes no span", async () => {
    const spans = recordSpans();
    const past = [history.episode(0), history.started("order"), history.scheduled(1, "charge", 5)];
    await runAll([
      { past, fresh: [history.episode(10), history.completed(7, 1, 8), history.failed(9, new Error("?"), 9)] },
    ]);
    expect(spans.finished).toEqual([]);
    await runAll([{ past, fresh: [history.episode(10), history.timerFired(7, 5, 8), history.completed(1, 1, 9)] }]);
    expect(wholeness(spans.finished)).toMatchObject({ duplicates: 0, orphans: 0, orchestrations: 1 });
  });

  it("S1 a completion that a backend delivers twice, in one episode or in a later one, makes one span", async () => {
    const spans = recordSpans();
    const done = [history.completed(1, 1, 18), history.timerFired(2, 15, 18)];
    const past = [
      history.episode(0),
      history.started("order"),
      history.scheduled(1, "charge", 5),
      history.timerCreated(2, 15, 5),
    ];
    await runEpisode(
      episodeWorker(() => undefined),
      { past, fresh: [history.episode(20), ...done, ...done] },
    );
    await runEpisode(
      episodeWorker(() => undefined),
      { past: [...past, history.episode(20), ...done], fresh: [history.episode(30), ...done] },
    );
    expect(spans.finished.filter(({ kind }) => kind !== SpanKind.SERVER).map(({ name }) => name)).toEqual([
      "activity:charge",
      "orchestration:order:timer",
    ]);
  });

  it("S1 an action that a suspended orchestration returns again and again, as SDK 0.4.0 does, is one span when it is terminated", async () => {
    const spans = recordSpans();
    const suspended = events.newSuspendEvent();
    const first = [history.episode(0), history.started("order", { traceparent }), suspended];
    const past = [...first, history.scheduled(1, "charge", 5), history.episode(10)];
    const responses = await runAll([
      { fresh: first },
      { past, fresh: [history.episode(12), events.newEventRaisedEvent("other", "1")] },
      { past, fresh: [history.episode(20), history.terminated(19)] },
    ]);
    expect(responses.map((response) => outgoing(response).length)).toEqual([1, 1, 1]);
    expect(new Set(responses.flatMap(outgoing))).toEqual(new Set([`00-${ids(named(spans, SpanKind.CLIENT))}-01`]));
    expect(spans.finished.map(({ name, kind }) => `${name} ${SpanKind[kind]}`)).toEqual([
      "activity:charge CLIENT",
      "orchestration:order SERVER",
    ]);
  });

  it("S1 nor is it another one if its task is done when the suspended orchestration is terminated", async () => {
    const spans = recordSpans();
    const first = [history.episode(0), history.started("order", { traceparent }), events.newSuspendEvent()];
    const done = [history.scheduled(1, "charge", 5), history.episode(20), history.completed(1, 1, 18)];
    const responses = await runAll([
      { past: [...first, ...done.slice(0, 1)], fresh: done.slice(1) },
      { past: [...first, ...done], fresh: [history.episode(30), history.terminated(29)] },
    ]);
    expect(responses.map((response) => outgoing(response).length)).toEqual([1, 1]);
    expect(spans.finished.map(({ name, kind }) => `${name} ${SpanKind[kind]}`)).toEqual([
      "activity:charge CLIENT",
      "orchestration:order SERVER",
    ]);
  });

  it("S1 a task is one span too where the orchestrator's code was changed, and its actions don't match the history any more", async () => {
    const spans = recordSpans();
    const past = [
      history.episode(0),
      history.started("order", { traceparent }),
      history.scheduled(1, "charge before", 5),
      history.episode(20),
      history.completed(1, 1, 18),
    ];
    await runAll([
      { past: past.slice(0, 3), fresh: past.slice(3) },
      { past, fresh: [history.episode(30), history.completed(2, 1, 28)] },
    ]);
    const failed = spans.finished.filter(({ kind }) => kind === SpanKind.SERVER);
    expect(failed[0]).toMatchObject({ attributes: { "durabletask.task.status": "Failed" } });
    expect(spans.finished.filter(({ kind }) => kind === SpanKind.CLIENT).map(({ name }) => name)).toEqual([
      "activity:charge before",
    ]);
  });
});

describe("A rewound history", () => {
  const failedRun = [history.episode(0), history.started("order", { traceparent }), history.scheduled(1, "charge", 5)];
  const rewound = (): HistoryEvent => new proto.HistoryEvent().setExecutionrewound(new proto.ExecutionRewoundEvent());

  it("I1 the span of the run after a rewind is not the failed run's, whatever is persisted", async () => {
    const spans = recordSpans();
    await runAll([{ past: failedRun, fresh: [history.episode(20), history.failed(1, new Error("no"), 18)] }]);
    const failed = named(spans, SpanKind.SERVER);
    const again = recordSpans();
    // The SDK gives the run that follows another execution ID, and keeps what was scheduled and has no result.
    const past = [
      history.episode(0),
      history.started("order", { traceparent, executionId: "execution-2" }),
      history.episode(30),
      rewound(),
    ];
    const fresh = [history.episode(40), history.completed(1, 1, 38)];
    await runAll([
      { past, fresh: [history.episode(31)], carriedSpan: failed.spanContext().spanId },
      { past: [...past, history.scheduled(1, "charge", 32)], fresh, carriedSpan: failed.spanContext().spanId },
    ]);
    expect(named(again, SpanKind.SERVER).spanContext().spanId).not.toBe(failed.spanContext().spanId);
    expect(named(again, SpanKind.SERVER)).toMatchObject({ parentSpanContext: { traceId, spanId: caller } });
    expect(wholeness([...spans.finished, ...again.finished])).toMatchObject({
      spans: 4,
      traces: 1,
      orphans: 2,
      duplicates: 0,
    });
  });

  it("I1 the run after a rewind is in the same trace: the history that the worker rewrites keeps its trace context", async () => {
    recordSpans();
    const started = history.started("order", { traceparent });
    started.getExecutionstarted()?.getParenttracecontext()?.setTracestate(text("vendor=1"));
    const completed = new proto.HistoryEvent().setExecutioncompleted(
      new proto.ExecutionCompletedEvent().setOrchestrationstatus(proto.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED),
    );
    const response = await runEpisode(episodeWorker(register), {
      past: [history.episode(0), started, completed],
      fresh: [history.episode(30), rewound()],
    });
    const rewritten = response.getActionsList()[0]?.getRewindorchestration()?.getNewhistoryList() ?? [];
    const kept = rewritten
      .find((event) => event.hasExecutionstarted())
      ?.getExecutionstarted()
      ?.getParenttracecontext();
    expect([kept?.getTraceparent(), kept?.getTracestate()?.getValue()]).toEqual([traceparent, "vendor=1"]);
  });

  it("I4 the span of a task that the failed run emitted at its end is not emitted again, as another one, by the run after the rewind", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) =>
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        const slow = ctx.callActivity("slow");
        yield ctx.callActivity("charge");
        return yield slow;
      }),
    );
    const slow = history.scheduled(1, "slow", 5);
    const charge = (time: number): HistoryEvent => history.scheduled(2, "charge", time);
    const [sent = ""] = outgoing(
      await runEpisode(worker, { fresh: [history.episode(0), history.started("order", { traceparent })] }),
    );
    slow.getTaskscheduled()?.setParenttracecontext(traceContext(sent));
    const past = [history.episode(0), history.started("order", { traceparent }), slow, charge(5)];
    await runEpisode(worker, { past, fresh: [history.episode(20), history.failed(2, new Error("no"), 18)] });
    expect(spans.finished.map(({ name }) => name)).toEqual(["activity:charge", "activity:slow", "orchestration:order"]);
    // What still ran when the orchestration failed answers to the run after the rewind.
    const after = [
      history.episode(0),
      history.started("order", { traceparent, executionId: "execution-2" }),
      slow,
      history.episode(30),
      rewound(),
    ];
    const both = [history.episode(40), history.completed(1, 1, 38), history.completed(2, 1, 39)];
    await runEpisode(worker, { past: [...after, charge(31)], fresh: both });
    expect(wholeness(spans.finished)).toMatchObject({ spans: 6, traces: 1, duplicates: 0 });
  });
});

describe("Names and versions", () => {
  it.each(["", "a:b@(1)", "名前 \u{1f680}", "line\nbreak\u0000", "x".repeat(10_000)])(
    "the name %j is the span's as it is",
    async (name) => {
      const spans = recordSpans();
      const worker = episodeWorker((each) => {
        if (name === "") return;
        each.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext): Steps {
          return yield ctx.callActivity(name);
        });
      });
      const past = [history.episode(0), history.started(name), history.scheduled(1, name, 5)];
      await runEpisode(worker, { past, fresh: [history.episode(20), history.completed(1, 1, 18)] });
      expect(spans.finished.map((span) => span.name)).toEqual([`activity:${name}`, `orchestration:${name}`]);
      expect(named(spans, SpanKind.SERVER).attributes["durabletask.task.name"]).toBe(name);
      expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
    },
  );

  it("a version stands in the name, of a task as of an orchestration, and an empty one is none", async () => {
    const spans = recordSpans();
    const scheduled = history.scheduled(1, "charge", 5);
    scheduled.getTaskscheduled()?.setVersion(text("1.2-beta"));
    const past = [history.episode(0), history.started("order", { version: "" }), scheduled];
    await runAll([{ past, fresh: [history.episode(20), history.completed(1, 1, 18)] }]);
    await runAll(episodes({ version: "2.0" }));
    expect(spans.finished.map((span) => span.name)).toEqual([
      "activity:charge@(1.2-beta)",
      "orchestration:order",
      "activity:charge",
      "orchestration:order@(2.0)",
    ]);
  });
});
