import { EntityInstanceId, type OrchestrationContext, type TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type { HistoryEvent, OrchestratorAction } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { describe, expect, it } from "vitest";
import { recordSpans, wholeness, type Steps } from "../harness.ts";
import { at, episodeWorker, history, runEpisode } from "./episodes.ts";

const counter = new EntityInstanceId("counter", "a");
const target = counter.toString();

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<string> {
    try {
      yield ctx.entities.callEntity(counter, "add", 1);
    } catch {
      return "failed";
    }
    return "added";
  });
}

const shape = (span: ReadableSpan): unknown[] => [
  span.name,
  SpanKind[span.kind],
  hrTimeToMilliseconds(span.startTime) - at(0).getTime(),
  hrTimeToMilliseconds(span.endTime) - at(0).getTime(),
  span.status.code,
];

describe("Calls of entities on backends without the entity protocol", () => {
  /** Runs the call: it left as an event that names the request, and is answered by an event with that name. */
  async function run(answer: (requestId: string) => HistoryEvent): Promise<readonly ReadableSpan[]> {
    const spans = recordSpans();
    const first = [history.episode(0), history.started("order")];
    const response = await runEpisode(episodeWorker(register), { fresh: first });
    const [action]: readonly OrchestratorAction[] = response.getActionsList();
    const id = action?.getSendentitymessage()?.getEntityoperationcalled()?.getRequestid() ?? "";
    const sent = history.eventSent(1, target, "op", 5, { op: "add", id, input: "1", parent: "instance-1" });
    await runEpisode(episodeWorker(register), { past: [...first, sent], fresh: [history.episode(20), answer(id)] });
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0, orchestrations: 1 });
    return spans.finished;
  }

  it("S1 are one CLIENT span from the call to the answer, and the answer is no external event", async () => {
    const spans = await run((id) => history.raised(id, 18, { result: "1" }));
    expect(spans.slice(0, 1).map(shape)).toEqual([["call_entity:add", "CLIENT", 5, 18, SpanStatusCode.UNSET]]);
    expect(spans[0]?.attributes).toMatchObject({
      "durabletask.entity.operation": "add",
      "durabletask.entity.instance_id": target,
    });
    expect(spans[1]?.events).toEqual([]);
  });

  it("S3 that fail are marked so, as the answer says", async () => {
    const [call] = await run((id) =>
      history.raised(id, 18, {
        result: null,
        exceptionType: "no room",
        failureDetails: { ErrorType: "RangeError", ErrorMessage: "no room" },
      }),
    );
    expect(call?.status).toEqual({ code: SpanStatusCode.ERROR, message: "no room" });
    expect(call?.attributes["error.type"]).toBe("RangeError");
  });

  it("S3 whose answer has no result did not fail, as for the SDK: the answer is the result", async () => {
    const [call] = await run((id) => history.raised(id, 18, { exceptionType: "no room" }));
    expect(call?.status.code).toBe(SpanStatusCode.UNSET);
  });

  it("S1 whose answer arrives again in a later episode are one span", async () => {
    const spans = recordSpans();
    const waits = episodeWorker((worker) => {
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.entities.callEntity(counter, "add", 1);
        yield ctx.waitForExternalEvent("end");
      });
    });
    const first = [history.episode(0), history.started("order")];
    const response = await runEpisode(waits, { fresh: first });
    const id = response.getActionsList()[0]?.getSendentitymessage()?.getEntityoperationcalled()?.getRequestid() ?? "";
    const past = [
      ...first,
      history.eventSent(1, target, "op", 5, { op: "add", id }),
      history.episode(20),
      history.raised(id, 18, { result: "1" }),
    ];
    await runEpisode(waits, {
      past,
      fresh: [history.episode(30), history.raised(id.toUpperCase(), 29, { result: "1" })],
    });
    expect(spans.finished.map(({ name }) => name)).toEqual([]);
  });

  it("S2 an event whose name merely looks like a request's ID is an external event", async () => {
    const spans = recordSpans();
    const name = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
    const waits = episodeWorker((worker) => {
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.waitForExternalEvent(name);
        yield ctx.waitForExternalEvent(name);
      });
    });
    const fresh = [history.episode(0), history.started("order"), history.raised(name, 1), history.raised(name, 2)];
    await runEpisode(waits, { fresh });
    expect(spans.finished[0]?.events.map(({ attributes }) => attributes?.["durabletask.event.name"])).toEqual([
      name,
      name,
    ]);
  });
});
