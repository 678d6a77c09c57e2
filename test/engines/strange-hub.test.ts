import type { Logger, OrchestrationContext } from "@microsoft/durabletask-js";
import { TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { SpanKind } from "@opentelemetry/api";
import { afterAll, describe, expect, it } from "vitest";
import { withDurableTelemetry, type WithDurableTelemetry } from "../../src/index.ts";
import { field } from "../../src/worker/wire.ts";
import { recordSpans, wholeness, type Steps } from "../harness.ts";
import { expectNoUnhandledRejections } from "../pipeline/cases.ts";
import { at, completionIn, orchestratorRequest, startEvents, text } from "../worker/requests.ts";
import { ScriptedHub, type Implemented } from "./scripted-hub.ts";

expectNoUnhandledRejections();

const all: readonly Implemented[] = ["hello", "getWorkItems", "completeOrchestratorTask", "completeActivityTask"];

/** Lines that a worker logs; a wait for one of them ends when it is there. */
class Lines implements Logger {
  readonly all: string[] = [];
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly error = (line: string): void => this.#add(line);
  readonly warn = (line: string): void => this.#add(line);
  readonly info = (line: string): void => this.#add(line);
  readonly debug = (): void => undefined;

  async until(isLast: (line: string) => boolean): Promise<void> {
    while (!this.all.some(isLast)) await this.#changed.promise;
  }

  #add(line: string): void {
    this.all.push(line);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

// All at once after the tests, since the SDK takes a second for each; what does not stop fails the file.
const stops: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(stops.map((stop) => stop())));

interface Set {
  readonly hub: ScriptedHub;
  readonly worker: TaskHubGrpcWorker | WithDurableTelemetry<TaskHubGrpcWorker>;
  readonly lines: Lines;
}

async function start(implemented: readonly Implemented[], decorated = true): Promise<Set> {
  const hub = await ScriptedHub.start(implemented);
  const lines = new Lines();
  const bare = new TaskHubGrpcWorker({
    hostAddress: hub.address,
    logger: lines,
    shutdownTimeoutMs: 100,
    workItemFilters: "auto",
  });
  const worker = decorated ? withDurableTelemetry(bare, { metrics: false, logging: false }) : bare;
  worker.addNamedActivity("charge", () => "charged");
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callActivity("charge");
  });
  await worker.start();
  stops.push(async () => {
    await worker.stop();
    await hub[Symbol.asyncDispose]();
  });
  return { hub, worker, lines };
}

const began = new Date("2026-01-01T00:00:00Z");
const times = (seconds: number): Date => new Date(began.getTime() + seconds * 1000);
const orderStarts = (): pb.HistoryEvent[] => startEvents({ name: "order", executionId: "execution" }, began);
const scheduled = (): pb.HistoryEvent =>
  at(new pb.HistoryEvent().setTaskscheduled(new pb.TaskScheduledEvent().setName("charge")), times(1), 1);
const episodeStarts = (): pb.HistoryEvent =>
  at(new pb.HistoryEvent().setOrchestratorstarted(new pb.OrchestratorStartedEvent()), times(2));
const completed = (): pb.HistoryEvent =>
  at(
    new pb.HistoryEvent().setTaskcompleted(
      new pb.TaskCompletedEvent().setTaskscheduledid(1).setResult(text('"charged"')),
    ),
    times(2),
  );

/** The work item of an episode, as bytes: with `more` behind the request's own fields. */
function episode(past: readonly Uint8Array[], fresh: readonly Uint8Array[], more: Uint8Array = new Uint8Array()) {
  const request = orchestratorRequest([], [], { executionId: "execution" }).serializeBinary();
  const events = [...past.map((event) => field(3, event)), ...fresh.map((event) => field(4, event))];
  return Buffer.concat([field(1, Buffer.concat([request, ...events, more])), field(10, "token")]);
}

const bytesOf = (events: readonly pb.HistoryEvent[]): Uint8Array[] => events.map((event) => event.serializeBinary());

describe("On a hub that answers UNIMPLEMENTED", () => {
  it.each([true, false])(
    "to `hello`, a worker (decorated: %s) says so, and stops when it is asked to",
    async (decorated) => {
      const { hub, lines } = await start([], decorated);
      await lines.until((line) => line.startsWith("Worker error"));
      expect(lines.all).toEqual([
        "Error on grpc stream: 12 UNIMPLEMENTED: unknown method hello",
        "Worker error: 12 UNIMPLEMENTED: unknown method hello",
      ]);
      expect(hub.refused).toEqual(["hello"]);
    },
  );

  it("to `getWorkItems`, a worker says so, asks again, and runs work items once the hub has them", async () => {
    const spans = recordSpans();
    const { hub, lines } = await start(["hello", "completeOrchestratorTask"]);
    await hub.until(() => hub.refused.length === 2);
    expect(lines.all).toContain("Stream error: 12 UNIMPLEMENTED: unknown method getWorkItems");
    expect(spans.finished).toEqual([]);
    hub.implement("getWorkItems");
    await hub.send(episode(bytesOf([...orderStarts(), scheduled()]), bytesOf([episodeStarts(), completed()])));
    await hub.until(() => hub.responses.length === 1);
    await spans.waitFor((finished) => finished.length === 2 && spans.open === 0);
    expect(wholeness(spans.finished)).toMatchObject({ traces: 1, orphans: 0, duplicates: 0, orchestrations: 1 });
  });

  it("I4 to a response, a worker says so, and emits nothing of what did not become durable", async () => {
    const spans = recordSpans();
    const { hub, lines } = await start(["hello", "getWorkItems"]);
    await hub.send(episode(bytesOf([...orderStarts(), scheduled()]), bytesOf([episodeStarts(), completed()])));
    await lines.until((line) => line.includes("trying to complete"));
    expect(lines.all).toContain(
      "An error occurred while trying to complete instance 'instance': 12 UNIMPLEMENTED: unknown method completeOrchestratorTask",
    );
    expect(hub.refused).toEqual(["completeOrchestratorTask"]);
    expect({ finished: spans.finished, open: spans.open }).toEqual({ finished: [], open: 0 });
  });

  it("to `streamInstanceHistory`, a client rejects with what the hub said", async () => {
    const hub = await ScriptedHub.start(all);
    const client = new TaskHubGrpcClient({ hostAddress: hub.address, logger: new Lines() });
    await expect(client.getOrchestrationHistory("instance")).rejects.toThrow(/UNIMPLEMENTED/);
    await client.stop();
    await hub[Symbol.asyncDispose]();
  });
});

describe("On a hub that is newer than the SDK", () => {
  // Fields, an event and a work item that no release has.
  const unknownField = field(900, "from a newer engine");
  const unknownEvent = Buffer.concat([
    at(new pb.HistoryEvent(), times(1), 7).serializeBinary(),
    field(901, field(1, "something new")),
  ]);
  const withUnknownFields = (events: readonly pb.HistoryEvent[]): Uint8Array[] =>
    bytesOf(events).map((bytes) => Buffer.concat([bytes, unknownField]));

  async function answers(decorated: boolean): Promise<readonly [pb.OrchestratorResponse[], readonly string[]]> {
    const { hub, lines } = await start(all, decorated);
    // A work item that it does not know, as a whole.
    await hub.send(Buffer.concat([field(902, "a new kind of work"), field(10, "token 0")]));
    await hub.send(episode([], [...withUnknownFields(orderStarts()), unknownEvent], unknownField));
    await hub.until(() => hub.responses.length === 1);
    const past = [...withUnknownFields([...orderStarts(), scheduled()]), unknownEvent];
    await hub.send(episode(past, [...withUnknownFields([episodeStarts()]), unknownEvent, ...bytesOf([completed()])]));
    await hub.until(() => hub.responses.length === 2);
    return [hub.responses as pb.OrchestratorResponse[], lines.all];
  }

  it("D3, S1 a history with unknown events and fields has the responses of the bare SDK, and a whole trace", async () => {
    const [bare] = await answers(false);
    const spans = recordSpans();
    const [decorated, lines] = await answers(true);
    const comparable = (response: pb.OrchestratorResponse): object => {
      for (const action of response.getActionsList()) action.getScheduletask()?.setParenttracecontext(undefined);
      return response.setOrchestrationtracecontext(undefined).toObject();
    };
    expect(decorated.map(comparable)).toEqual(bare.map(comparable));
    const [, last] = decorated;
    expect(last && completionIn(last).getResult()?.getValue()).toBe('"charged"');
    expect(lines).toContain("Received unknown type of work item");
    expect(lines.filter((line) => line.startsWith("Unknown history event type"))).toHaveLength(3);
    await spans.waitFor((finished) => finished.length === 2 && spans.open === 0);
    expect(wholeness(spans.finished)).toMatchObject({ traces: 1, orphans: 0, duplicates: 0 });
    expect(spans.finished.map(({ name, kind }) => `${name} ${SpanKind[kind]}`).toSorted()).toEqual([
      "activity:charge CLIENT",
      "orchestration:order SERVER",
    ]);
  });
});
