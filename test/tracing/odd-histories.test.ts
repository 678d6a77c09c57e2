/** Histories that lack what most have, or have what most have not. */
import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import proto, { type HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { whenAll } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ProtoHistory } from "../../src/worker/history.ts";
import { recordSpans, type Steps } from "../harness.ts";
import { at, episodeWorker, history, outgoing, runEpisode, type EpisodeRequest } from "./episodes.ts";

const untimed = (event: HistoryEvent): HistoryEvent => event.setTimestamp(undefined);
const orchestration = (spans: readonly ReadableSpan[]): ReadableSpan => {
  const span = spans.find(({ kind, name }) => kind === SpanKind.SERVER && name === "orchestration:order");
  if (span === undefined) throw new Error("There is no orchestration span.");
  return span;
};
const register = (worker: TaskHubGrpcWorker): string =>
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
    ctx.setCustomStatus("charging");
    yield ctx.callActivity("charge");
  });

describe("Without timestamps", () => {
  const first = (): HistoryEvent[] => [
    untimed(history.episode(0)),
    untimed(history.started("order", { executionId: null })),
  ];

  it("I1 nor execution ID, nor trace context, what leaves with an activity names the trace that the orchestration ends in", async () => {
    const spans = recordSpans();
    const response = await runEpisode(episodeWorker(register), { fresh: first() });
    const [traceparent = ""] = outgoing(response);
    const carriedSpan = response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "";
    await runEpisode(episodeWorker(register), {
      past: [...first(), untimed(history.scheduled(1, "charge", 0))],
      fresh: [untimed(history.episode(0)), untimed(history.completed(1, 1, 0))],
      carriedSpan,
    });
    expect(traceparent.split("-")[1]).toBe(orchestration(spans.finished).spanContext().traceId);
  });

  it.each([
    undefined,
    new timestamps.Timestamp().setSeconds(-62_135_596_800),
    new timestamps.Timestamp().setSeconds(1e15),
  ])("S2 an event on the span is at a time that can be exported (timestamp %#)", async (timestamp) => {
    const spans = recordSpans();
    const worker = episodeWorker((each) =>
      each.addNamedOrchestrator("order", async (ctx: OrchestrationContext) => ctx.setCustomStatus("x")),
    );
    const fresh = [history.episode(0), history.started("order")].map((event) => event.setTimestamp(timestamp));
    const before = Date.now();
    await runEpisode(worker, { fresh });
    const span = orchestration(spans.finished);
    for (const [seconds] of [span.startTime, span.endTime, ...span.events.map(({ time }) => time)]) {
      expect(seconds).toBeGreaterThanOrEqual(Math.floor(before / 1000));
      expect(seconds).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000));
    }
    expect(span.events).toHaveLength(1);
  });

  it("S2 what is carried over when an orchestration continues as new stands at the time of its episode", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.waitForExternalEvent("one");
        yield ctx.waitForExternalEvent("two");
      });
    });
    const past = [history.episode(10), history.started("order"), untimed(history.raised("one", 0))];
    await runEpisode(worker, { past, fresh: [history.episode(5000), history.raised("two", 4000)] });
    expect(
      orchestration(spans.finished).events.map(({ time }) => hrTimeToMilliseconds(time) - at(0).getTime()),
    ).toEqual([10, 4000]);
  });
});

it("K1 a durable time that can't be read does not fail the orchestration that sets a custom status", async () => {
  recordSpans();
  const worker = episodeWorker((each) => {
    each.addNamedOrchestrator("order", async (ctx: OrchestrationContext) => {
      Object.defineProperty(ctx, "currentUtcDateTime", {
        get: () => {
          throw new Error("on purpose");
        },
      });
      ctx.setCustomStatus("x");
      return "done";
    });
  });
  const response = await runEpisode(worker, { fresh: [history.episode(0), history.started("order")] });
  expect(response.getActionsList()[0]?.getCompleteorchestration()?.getResult()?.getValue()).toBe('"done"');
});

it("an event whose name looks like a request's ID is an event each time", () => {
  const name = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
  const events = new ProtoHistory(
    [history.episode(0), history.started("x"), history.raised(name, 1)],
    [history.episode(5), history.raised(name, 6)],
  ).newEvents();
  expect(events.map(({ type }) => type)).toEqual(["event_raised"]);
});

describe("The cost of an episode grows with its history no faster than the history", () => {
  const worker = (): ReturnType<typeof episodeWorker> =>
    episodeWorker((each) => {
      each.addNamedOrchestrator("fan", async function* (ctx: OrchestrationContext, count: number): Steps<void> {
        yield whenAll(Array.from({ length: count }, () => ctx.callActivity("charge")));
      });
      each.addNamedOrchestrator("send", async function* (ctx: OrchestrationContext, count: number): Steps<void> {
        for (let sent = 0; sent < count; sent += 1) ctx.sendEvent("other", "hi", 1);
        yield ctx.waitForExternalEvent("end");
      });
    });
  async function reads(method: "hasExecutionrewound" | "getEventid", request: EpisodeRequest): Promise<number> {
    recordSpans();
    const spy = vi.spyOn(proto.HistoryEvent.prototype, method);
    onTestFinished(() => spy.mockRestore());
    await runEpisode(worker(), request);
    const count = spy.mock.calls.length;
    spy.mockRestore();
    return count;
  }
  const each = (count: number, make: (id: number) => HistoryEvent): HistoryEvent[] =>
    Array.from({ length: count }, (_, index) => make(index + 1));
  const fan = (count: number): HistoryEvent[] => [
    history.episode(0),
    history.started("fan", { input: count }),
    ...each(count, (id) => history.scheduled(id, "charge", 1)),
  ];

  it.each([
    [
      "completes many activities",
      "hasExecutionrewound",
      (count: number): EpisodeRequest => ({
        past: fan(count),
        fresh: [history.episode(2), ...each(count, (id) => history.completed(id, 1, 2))],
      }),
    ],
    [
      "is terminated with many activities out",
      "hasExecutionrewound",
      (count: number): EpisodeRequest => ({ past: fan(count), fresh: [history.episode(2), history.terminated(2)] }),
    ],
    [
      "returns many actions again while it is suspended",
      "getEventid",
      (count: number): EpisodeRequest => ({
        past: [
          history.episode(0),
          history.started("send", { input: count }),
          history.suspended(1),
          ...each(count, (id) => history.eventSent(id, "other", "hi", 1, 1)),
        ],
        fresh: [history.episode(2), history.raised("unheard", 2)],
      }),
    ],
  ] as const)("where it %s", async (_, method, request) => {
    const [some, twice] = [await reads(method, request(200)), await reads(method, request(400))];
    expect(twice / some).toBeLessThan(2.5);
  });
});
