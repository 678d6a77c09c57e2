import { EntityInstanceId, type OrchestrationContext, type TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import { AlwaysOnSampler, ParentBasedSampler, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { recordSpans, startHub, wholeness, type Hub, type Steps } from "../harness.ts";
import { at, episodeWorker, history, runEpisode } from "./episodes.ts";

beforeEach(() => void Reflect.deleteProperty(globalThis, Symbol.for("durable-telemetry.recent-work")));

const orchestration = (spans: readonly ReadableSpan[], name = "order"): ReadableSpan => {
  const span = spans.find((each) => each.name === `orchestration:${name}` && each.kind === SpanKind.SERVER);
  if (span === undefined) throw new Error(`There is no span of ${name}.`);
  return span;
};
const eventsOf = (span: ReadableSpan): unknown[] =>
  span.events.map(({ name, attributes = {}, time }) => [
    name.replace("durabletask.orchestration.", ""),
    hrTimeToMilliseconds(time) - at(0).getTime(),
    ...Object.values(attributes),
  ]);

describe("The length of a span", () => {
  it("S14 is a microsecond at least, whatever happened within one millisecond", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.callActivity("charge");
        yield ctx.createTimer(at(7));
        ctx.sendEvent("other", "hello");
        ctx.entities.signalEntity(new EntityInstanceId("counter", "1"), "add");
      });
    });
    const first = [history.episode(7), history.started("order")];
    const second = [history.scheduled(1, "charge", 7), history.episode(7), history.completed(1, null, 7)];
    const third = [history.timerCreated(2, 7, 7), history.episode(7), history.timerFired(2, 7, 7)];
    await runEpisode(worker, { fresh: first });
    await runEpisode(worker, { past: [...first, ...second.slice(0, 1)], fresh: second.slice(1) });
    await runEpisode(worker, { past: [...first, ...second, ...third.slice(0, 1)], fresh: third.slice(1) });
    const lengths = spans.finished
      .filter(({ kind }) => kind !== SpanKind.SERVER)
      .map(({ name, startTime, duration }) => [name, hrTimeToMilliseconds(startTime) - at(0).getTime(), duration]);
    expect(lengths).toEqual([
      ["activity:charge", 7, [0, 1000]],
      ["orchestration:order:timer", 7, [0, 1000]],
      ["orchestration_event:hello", 7, [0, 1000]],
      ["signal_entity:add", 7, [0, 1000]],
    ]);
  });
});

describe("S2 events on the orchestration's span", () => {
  function register(worker: TaskHubGrpcWorker): void {
    worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
      ctx.setCustomStatus({ card: "4111" });
      ctx.setCustomStatus({ card: "4111" });
      yield ctx.waitForExternalEvent("approved");
      // As code does that has a view of the context made.
      new Proxy(ctx, {}).setCustomStatus("paying");
      yield ctx.callActivity("charge");
      ctx.setCustomStatus(undefined);
    });
  }

  it("S2 tell of external events, suspension, resumption and changes of the custom status, at their durable times, by name only", async () => {
    const spans = recordSpans();
    const first = [history.episode(0), history.started("order")];
    const second = [history.episode(10), history.raised("Approved", 9, "4111"), history.suspended(10)];
    const third = [history.episode(30), history.resumed(28)];
    const fourth = [history.episode(50), history.raised("ignored", 45), history.completed(1, null, 49)];
    const past = [...first, ...second, history.scheduled(1, "charge", 11), ...third];
    await runEpisode(episodeWorker(register), { fresh: first });
    await runEpisode(episodeWorker(register), { past: first, fresh: second });
    await runEpisode(episodeWorker(register), {
      past: [...first, ...second, history.scheduled(1, "charge", 11)],
      fresh: third,
    });
    await runEpisode(episodeWorker(register), { past, fresh: fourth });
    expect(eventsOf(orchestration(spans.finished))).toEqual([
      ["custom_status_changed", 0],
      ["event_raised", 9, "Approved"],
      ["suspended", 10],
      ["custom_status_changed", 10],
      ["resumed", 28],
      ["event_raised", 45, "ignored"],
      ["custom_status_changed", 50],
    ]);
    expect(JSON.stringify(spans.finished.map(({ attributes, events }) => [attributes, events]))).not.toContain("4111");
  });
});

describe("Events that an orchestration sends", () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub();
    await hub.worker({}, (worker) => {
      worker.addNamedOrchestrator("receiver", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.waitForExternalEvent("go");
        yield ctx.waitForExternalEvent("go");
      });
      worker.addNamedOrchestrator("sender", async function* (ctx: OrchestrationContext, target: string): Steps<void> {
        yield ctx.createTimer(0.001);
        ctx.sendEvent(target, "Go", 1);
        yield ctx.createTimer(0.001);
      });
    });
  });

  it("S8 are spans orchestration_event:NAME, PRODUCER, once, and linked from the orchestration that got them, never its parents", async () => {
    const spans = recordSpans();
    const receiver = await hub.client.scheduleNewOrchestration("receiver", null, { instanceId: "receiver-1" });
    await hub.client.waitForOrchestrationStart(receiver, false, 20);
    await hub.run("sender", receiver);
    // Another sender, of whom nothing is known here.
    await hub.client.raiseOrchestrationEvent(receiver, "go", 2);
    await hub.client.waitForOrchestrationCompletion(receiver, false, 20);
    await spans.waitFor((all) => wholeness(all).orchestrations === 2);
    const own = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
    const sent = own.filter(({ name }) => name.startsWith("orchestration_event:"));
    expect(
      sent.map(({ name, kind, attributes }) => [
        name,
        kind,
        attributes["durabletask.event.target_instance_id"],
        attributes["durabletask.type"],
      ]),
    ).toEqual([["orchestration_event:Go", SpanKind.PRODUCER, "receiver-1", "event"]]);
    expect(sent[0]?.parentSpanContext?.spanId).toBe(orchestration(own, "sender").spanContext().spanId);
    const got = orchestration(own, "receiver");
    expect(got.links.map(({ context }) => context.spanId)).toEqual([sent[0]?.spanContext().spanId]);
    expect(got.spanContext().traceId).not.toBe(sent[0]?.spanContext().traceId);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
  });

  it("S1 are not sent again by an orchestration that was suspended before they left", async () => {
    const spans = recordSpans();
    const register = (worker: TaskHubGrpcWorker): string =>
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        ctx.sendEvent("other", "hello", 1);
        ctx.entities.signalEntity(new EntityInstanceId("counter", "a"), "add", 1);
        yield ctx.waitForExternalEvent("end");
      });
    const first = [history.episode(0), history.started("order"), history.suspended(1)];
    const responses = [await runEpisode(episodeWorker(register), { fresh: first })];
    // While it is suspended the SDK holds these events back, and so returns the actions again.
    const past = [...first, history.eventSent(1, "other", "hello", 2, 1), history.eventSent(2, "@counter@a", "op", 2)];
    const second = [history.episode(10), history.raised("unheard", 9)];
    responses.push(await runEpisode(episodeWorker(register), { past, fresh: second }));
    await runEpisode(episodeWorker(register), {
      past: [...past, ...second],
      fresh: [history.episode(20), history.resumed(18), history.raised("end", 19)],
    });
    expect(responses.map((response) => response.getActionsList().length)).toEqual([2, 2]);
    expect(spans.finished.map(({ name }) => name)).toEqual([
      "orchestration_event:hello",
      "signal_entity:add",
      "wait:end",
      "orchestration:order",
    ]);
    expect(spans.finished[1]?.attributes["durabletask.entity.instance_id"]).toBe("@counter@a");
  });

  it("I4 that are sent again, as the first response was lost, are the same span", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        ctx.sendEvent("other", "go", 1);
        yield ctx.callActivity("charge");
      });
    });
    for (let run = 0; run < 2; run += 1)
      await runEpisode(worker, { fresh: [history.episode(7), history.started("order")] });
    const [one, same] = spans.finished.map((span) => [span.spanContext().spanId, span.startTime, span.endTime]);
    expect(same).toEqual(one);
    expect(hrTimeToMilliseconds(spans.finished[0]?.startTime ?? [0, 0])).toBe(at(7).getTime());
  });

  it("S8 are not linked where the sender's span was not sampled", async () => {
    const spans = recordSpans({ sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }) });
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("sender", async (ctx: OrchestrationContext) => ctx.sendEvent("instance-1", "go", 1));
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.waitForExternalEvent("go");
      });
    });
    const receive = async (): Promise<number> => {
      spans.reset();
      await runEpisode(worker, {
        fresh: [history.episode(0), history.started("order", { executionId: "receives" }), history.raised("go", 1)],
      });
      return orchestration(spans.finished).links.length;
    };
    const send = (flags: string): Promise<unknown> =>
      runEpisode(worker, {
        fresh: [
          history.episode(0),
          history.started("sender", { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-${flags}` }),
        ],
      });
    await send("00");
    expect(await receive()).toBe(0);
    await send("01");
    // Once: by then it is known who sent it.
    expect([await receive(), await receive()]).toEqual([1, 0]);
  });
});

describe("tracing({ episodes: true })", () => {
  it("S1 makes a span episode:NAME of each episode, with the length of its history, what it replayed and what it returned", async () => {
    const register = (worker: TaskHubGrpcWorker): string =>
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.callActivity("charge");
      });
    const spans = recordSpans();
    const first = [history.episode(0), history.started("order")];
    const run = async (episodes: boolean): Promise<void> => {
      const options = { tracing: { episodes } };
      await runEpisode(episodeWorker(register, options), { fresh: first });
      await runEpisode(episodeWorker(register, options), {
        past: [...first, history.scheduled(1, "charge", 3)],
        fresh: [history.episode(20), history.completed(1, 1, 18)],
      });
    };
    await run(false);
    expect(spans.finished.filter(({ name }) => name.startsWith("episode:"))).toEqual([]);
    spans.reset();
    await run(true);
    const parent = orchestration(spans.finished).spanContext().spanId;
    const found = spans.finished.filter(({ name }) => name === "episode:order");
    expect(
      found.map(({ kind, attributes, parentSpanContext }) => [
        kind,
        parentSpanContext?.spanId,
        attributes["durabletask.episode.history_size"],
        attributes["durabletask.episode.replayed_events"],
        attributes["durabletask.episode.actions"],
      ]),
    ).toEqual([
      [SpanKind.INTERNAL, parent, 2, 0, 1],
      [SpanKind.INTERNAL, parent, 5, 3, 1],
    ]);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
  });
});
