/** The span that shows an orchestration while it runs. */
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { beforeAll, describe, expect, it } from "vitest";
import { OrchestrationSpan, currentFeatures } from "../../src/index.ts";
import { recordSpans, startHub, wholeness, type Hub, type Steps } from "../harness.ts";
import { episodeWorker, history, runEpisode } from "./episodes.ts";

const first = [history.episode(0), history.started("order", { version: "2.0" })];
const order = async function* (ctx: OrchestrationContext): Steps {
  currentFeatures()?.get(OrchestrationSpan)?.setAttribute("app.total", 42);
  return yield ctx.waitForExternalEvent("go");
};

describe("With tracing({ running: true })", () => {
  it("S13 the first episode emits a span that is a child of the orchestration's, and later ones do not", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => each.addNamedOrchestrator("order", order), { tracing: { running: true } });
    await runEpisode(worker, { fresh: first });
    const [started] = spans.finished;
    expect(spans.finished).toHaveLength(1);
    expect(started).toMatchObject({
      name: "orchestration_started:order@(2.0)",
      kind: SpanKind.INTERNAL,
      links: [],
      attributes: {
        "durabletask.type": "orchestration_started",
        "durabletask.task.name": "order",
        "durabletask.task.version": "2.0",
        "durabletask.task.instance_id": "instance-1",
        "app.total": 42,
      },
    });
    await runEpisode(worker, { past: first, fresh: [history.episode(10), history.raised("noise", 9)] });
    await runEpisode(worker, { past: first, fresh: [history.episode(20), history.raised("go", 19)] });
    expect(spans.finished.map(({ name }) => name)).toEqual([
      "orchestration_started:order@(2.0)",
      "wait:go",
      "orchestration:order@(2.0)",
    ]);
    expect(started?.parentSpanContext?.spanId).toBe(spans.finished[2]?.spanContext().spanId);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0, traces: 1 });
  });

  it("S13 an execution that its first episode finishes has none, and nor has one without the option", async () => {
    const spans = recordSpans();
    const short = episodeWorker((each) => each.addNamedOrchestrator("order", () => 1), { tracing: { running: true } });
    await runEpisode(short, { fresh: first });
    await runEpisode(
      episodeWorker((each) => each.addNamedOrchestrator("order", order)),
      { fresh: first },
    );
    expect(spans.finished.map(({ name }) => name)).toEqual(["orchestration:order@(2.0)"]);
  });

  it("I4 a first episode that is run again emits the same span", async () => {
    const spans = recordSpans();
    for (let run = 0; run < 2; run += 1)
      await runEpisode(
        episodeWorker((each) => each.addNamedOrchestrator("order", order), { tracing: { running: true } }),
        { fresh: first },
      );
    const [one, two] = spans.finished;
    expect(one?.spanContext()).toEqual(two?.spanContext());
    expect(one?.startTime).toEqual(two?.startTime);
  });
});

describe.each(["carry", "drop"] as const)("On a task hub that does this with trace contexts: %s", (traceContext) => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ traceContext });
    for (let worker = 0; worker < 2; worker += 1)
      await hub.worker({ tracing: { running: true } }, (each) => {
        each.addNamedActivity("charge", () => 1);
        each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
          yield ctx.callActivity("charge");
          yield ctx.waitForExternalEvent("go");
          return yield ctx.callSubOrchestrator("child");
        });
        each.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps {
          return yield ctx.callActivity("charge");
        });
      });
  });

  it("S13 the span is there while the orchestration waits, and the finished trace is whole", async () => {
    const spans = recordSpans();
    const id = await hub.client.scheduleNewOrchestration("order");
    await spans.waitFor((finished) => finished.some(({ name }) => name === "orchestration_started:order"));
    expect(spans.finished.some(({ name, kind }) => name === "orchestration:order" && kind === SpanKind.SERVER)).toBe(
      false,
    );
    await hub.client.raiseOrchestrationEvent(id, "go", 1);
    await hub.client.waitForOrchestrationCompletion(id, false, 20);
    await spans.waitFor((finished) =>
      finished.some(({ name, kind }) => name === "orchestration:order" && kind === SpanKind.SERVER),
    );
    expect(spans.finished.filter(({ name }) => name.startsWith("orchestration_started:"))).toHaveLength(2);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
  });
});
