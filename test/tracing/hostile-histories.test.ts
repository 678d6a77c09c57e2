/** Histories at random, with entities, messages, suspension and duplicates: what tracing makes of them is counted against the requests and responses. */
import {
  EntityInstanceId,
  whenAll,
  type LockHandle,
  type OrchestrationContext,
  type Task,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MiddlewareObject } from "../../src/index.ts";
import { recordSpans, wholeness, type Steps } from "../harness.ts";
import { durable, programs } from "../property/programs.ts";
import { fates, simulate } from "../property/simulate.ts";
import { bareWorker, hostWorker, timestamp } from "../worker/requests.ts";
import { at, episodeWorker, history, runEpisode } from "./episodes.ts";

const caller = "b7ad6b7169203331";
// What a process remembers is gone when another one goes on.
const anotherProcess = (): boolean => Reflect.deleteProperty(globalThis, Symbol.for("durable-telemetry.recent-work"));

function workflows<T extends TaskHubGrpcWorker>(worker: T): T {
  worker.addNamedOrchestrator("durable", durable);
  return worker;
}

/** What one execution was told and did, as its requests and responses say. */
class Execution {
  /** The kinds of its spans, by the ID of the action that makes them. */
  readonly #actions = new Map<number, string>();
  readonly #requests = new Set<string>();
  /** The waits that an episode ended with. */
  readonly #waits = new Set<number>();
  #events: readonly pb.HistoryEvent[] = [];

  /** Takes note of the waits that an episode ended with, by their numbers. */
  ended(waits: readonly number[]): void {
    for (const wait of waits) this.#waits.add(wait);
  }

  /** Takes note of an episode; takes actions out of the response that have left before, as backends do. */
  note(request: pb.OrchestratorRequest, response: pb.OrchestratorResponse): void {
    this.#events = [...request.getPasteventsList(), ...request.getNeweventsList()];
    response.setActionsList(
      response.getActionsList().filter((action) => {
        if (action.hasCompleteorchestration()) return true;
        if (this.#actions.has(action.getId())) return false;
        this.#actions.set(action.getId(), kindOf(action));
        const call = action.getSendentitymessage()?.getEntityoperationcalled();
        if (call !== undefined) this.#requests.add(call.getRequestid());
        return true;
      }),
    );
  }

  /** How many spans and span events of each kind there are to be when it has ended. */
  counts(): Record<string, number> {
    const spans = [...this.#actions.values()].filter((kind) => kind !== "timer" && kind !== "unlock");
    const timers = new Set(
      this.#events.flatMap((event) =>
        event.hasTimercreated() ? event.getEventid() : (event.getTimerfired()?.getTimerid() ?? []),
      ),
    );
    const told = this.#events.flatMap((event) => {
      if (event.hasExecutionsuspended()) return "suspended";
      if (event.hasExecutionresumed()) return "resumed";
      const name = event.getEventraised()?.getName();
      return name === undefined || this.#requests.has(name) ? [] : "event_raised";
    });
    return tally([...spans, ...[...timers].map(() => "timer"), ...[...this.#waits].map(() => "wait"), ...told]);
  }
}

/** Calls `ended` at the end of each episode that is not the last, with the numbers of the waits that are open. */
function countWaits(ended: (waits: readonly number[]) => void): MiddlewareObject {
  let tasks: Task<unknown>[] = [];
  return {
    name: "waits",
    workItem: () => {
      tasks = [];
      return {
        onResponse: (response) => {
          if (response.outcome.status !== "waiting") return;
          ended(tasks.flatMap(({ isComplete }, number) => (isComplete ? [] : number)));
        },
      };
    },
    orchestration: (ctx, next) => {
      const { orchestrationContext } = ctx;
      const original = orchestrationContext.waitForExternalEvent.bind(orchestrationContext);
      orchestrationContext.waitForExternalEvent = <T>(name: string): Task<T> => {
        const task = original(name) as Task<T>;
        tasks.push(task);
        return task;
      };
      return next(ctx);
    },
  };
}

function kindOf(action: pb.OrchestratorAction): string {
  if (action.hasScheduletask()) return "activity";
  if (action.hasCreatesuborchestration()) return "orchestration";
  if (action.hasCreatetimer()) return "timer";
  if (action.hasSendevent()) return "orchestration_event";
  const message = action.getSendentitymessage();
  if (message?.hasEntityoperationcalled()) return "call_entity";
  if (message?.hasEntityoperationsignaled()) return "signal_entity";
  return message?.hasEntitylockrequested() ? "entity" : "unlock";
}

function tally(kinds: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of kinds.toSorted()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

const isOrchestration = ({ kind }: ReadableSpan): boolean => kind === SpanKind.SERVER;

/** The same counts, of the spans under `orchestration`. */
function spanCounts(orchestration: ReadableSpan, spans: readonly ReadableSpan[]): Record<string, number> {
  const { traceId, spanId } = orchestration.spanContext();
  const under = spans.filter(
    ({ parentSpanContext: parent }) => parent?.spanId === spanId && parent.traceId === traceId,
  );
  const kinds = under.map(({ name }) => (name.endsWith(":timer") ? "timer" : (name.split(":")[0] ?? "")));
  const told = orchestration.events.map(({ name }) => name.replace("durabletask.orchestration.", ""));
  return tally([...kinds, ...told.filter((name) => ["event_raised", "suspended", "resumed"].includes(name))]);
}

describe("Any history", () => {
  it("S1 S2 S8 S9 each task, message, wait and external event stands in the trace once, there are no orphans, and links lead to spans that are there", async () => {
    const spans = recordSpans();
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(programs, fates, fc.boolean(), async (program, fate, alone) => {
        spans.reset();
        anotherProcess();
        const executions = [new Execution()];
        const counting = (): TaskHubGrpcWorker =>
          workflows(hostWorker({ tracing: true, use: [countWaits((open) => executions.at(-1)?.ended(open))] }));
        const workers = [counting(), counting()] as const;
        let turn = 0;
        const episodes = await simulate("durable", program, fate, async (bytes) => {
          if (alone) anotherProcess();
          turn += 1;
          const worker = workers[turn % 2 === 0 ? 0 : 1];
          const request = pb.OrchestratorRequest.deserializeBinary(bytes);
          const response = pb.OrchestratorResponse.deserializeBinary(await worker.processOrchestratorRequest(bytes));
          executions.at(-1)?.note(request, response);
          const complete = response
            .getActionsList()
            .find((action) => action.hasCompleteorchestration())
            ?.getCompleteorchestration();
          if (complete?.getOrchestrationstatus() === pb.OrchestrationStatus.ORCHESTRATION_STATUS_CONTINUED_AS_NEW)
            executions.push(new Execution());
          return response.serializeBinary();
        });
        expect(episodes).toBeGreaterThan(0);
        const { finished } = spans;
        const found = finished.filter(isOrchestration).map((span) => spanCounts(span, finished));
        const expected = executions.map((execution) => execution.counts());
        expect(found).toEqual(expected);
        for (const kind of expected.flatMap((counts) => Object.keys(counts))) seen.add(kind);
        const known = new Set([caller, ...finished.map((span) => span.spanContext().spanId)]);
        expect(finished.flatMap(({ links }) => links).filter(({ context }) => !known.has(context.spanId))).toEqual([]);
        expect(
          finished.filter(({ parentSpanContext: parent }) => parent !== undefined && !known.has(parent.spanId)),
        ).toEqual([]);
        expect(wholeness(finished)).toMatchObject({ duplicates: 0 });
      }),
      { numRuns: 100 },
    );
    // The histories were not all trivial ones.
    expect([...seen].toSorted()).toEqual([
      "activity",
      "call_entity",
      "entity",
      "event_raised",
      "orchestration",
      "orchestration_event",
      "resumed",
      "signal_entity",
      "suspended",
      "timer",
      "wait",
    ]);
  });
});

describe("Histories that no backend should send", () => {
  const orchestration = (spans: readonly ReadableSpan[]): ReadableSpan => {
    const [span, ...more] = spans.filter(isOrchestration);
    if (span === undefined || more.length > 0) throw new Error("There is one orchestration span.");
    return span;
  };
  const counter = new EntityInstanceId("counter", "a");
  const waits = (worker: TaskHubGrpcWorker): string =>
    worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
      yield ctx.waitForExternalEvent("end");
    });
  const calls = (worker: TaskHubGrpcWorker): string =>
    worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
      yield whenAll([ctx.entities.callEntity(counter, "one"), ctx.entities.callEntity(counter, "two")]);
      const lock: LockHandle = yield ctx.entities.lockEntities(counter);
      lock.release();
    });
  const requestIds = (response: pb.OrchestratorResponse): string[] =>
    response.getActionsList().flatMap((action) => {
      const message = action.getSendentitymessage();
      return (
        message?.getEntityoperationcalled()?.getRequestid() ??
        message?.getEntitylockrequested()?.getCriticalsectionid() ??
        []
      );
    });
  const asked = (response: pb.OrchestratorResponse, time: number): pb.HistoryEvent[] =>
    response.getActionsList().map((action) => {
      const message = action.getSendentitymessage();
      return stamped(new pb.HistoryEvent().setEventid(action.getId()), time)
        .setEntityoperationcalled(message?.getEntityoperationcalled())
        .setEntityoperationsignaled(message?.getEntityoperationsignaled())
        .setEntitylockrequested(message?.getEntitylockrequested())
        .setEntityunlocksent(message?.getEntityunlocksent());
    });
  const stamped = (event: pb.HistoryEvent, time: number): pb.HistoryEvent => event.setTimestamp(timestamp(at(time)));
  const answered = (id: string, time: number): pb.HistoryEvent =>
    stamped(
      new pb.HistoryEvent().setEntityoperationcompleted(new pb.EntityOperationCompletedEvent().setRequestid(id)),
      time,
    );
  const failed = (id: string, time: number): pb.HistoryEvent =>
    stamped(
      new pb.HistoryEvent().setEntityoperationfailed(
        new pb.EntityOperationFailedEvent()
          .setRequestid(id)
          .setFailuredetails(new pb.TaskFailureDetails().setErrortype("RangeError").setErrormessage("no room")),
      ),
      time,
    );
  const granted = (id: string, time: number): pb.HistoryEvent =>
    stamped(new pb.HistoryEvent().setEntitylockgranted(new pb.EntityLockGrantedEvent().setCriticalsectionid(id)), time);
  const times = (span: ReadableSpan): [string, number, number] => [
    span.name,
    hrTimeToMilliseconds(span.startTime) - at(0).getTime(),
    hrTimeToMilliseconds(span.endTime) - at(0).getTime(),
  ];

  it("S1 two calls that are answered in one episode, the later one first and twice over, and a lock granted while suspended, are a span each", async () => {
    const spans = recordSpans();
    const first = [history.episode(0), history.started("order")];
    const called = await runEpisode(episodeWorker(calls), { fresh: first });
    const [one = "", two = ""] = requestIds(called);
    const second = [
      history.episode(20),
      answered(two, 18),
      answered(one, 19),
      answered(two, 19),
      history.suspended(19),
    ];
    const past = [...first, ...asked(called, 5)];
    const locking = await runEpisode(episodeWorker(calls), { past, fresh: second });
    const [section = ""] = requestIds(locking);
    const locked = [...past, ...second, ...asked(locking, 21)];
    const third = [history.episode(30), granted(section, 28), answered(one, 29)];
    await runEpisode(episodeWorker(calls), { past: locked, fresh: third });
    await runEpisode(episodeWorker(calls), {
      past: [...locked, ...third],
      fresh: [history.episode(40), granted(section, 38), history.resumed(39)],
    });
    expect(spans.finished.slice(0, -1).map(times)).toEqual([
      ["call_entity:two", 5, 18],
      ["call_entity:one", 5, 19],
      ["entity:lock_request", 21, 28],
    ]);
    expect(orchestration(spans.finished).events.map(({ name }) => name)).toEqual([
      "durabletask.orchestration.suspended",
      "durabletask.orchestration.resumed",
    ]);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
  });

  it("S1 what the SDK returns again while the orchestration is suspended has its span once", async () => {
    const spans = recordSpans();
    const sends = (worker: TaskHubGrpcWorker): string =>
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        ctx.sendEvent("other", "hello", 1);
        ctx.entities.signalEntity(counter, "add");
        yield whenAll([
          ctx.entities.callEntity(counter, "get"),
          ctx.callActivity("charge"),
          ctx.entities.lockEntities(counter),
        ]);
      });
    const first = [history.episode(0), history.started("order"), history.suspended(1)];
    const response = await runEpisode(episodeWorker(sends), { fresh: first });
    // In the history they stand behind the suspension, so replay does not come to them.
    const others = asked(response, 5)
      .slice(1)
      .map((event) => (event.getEventid() === 4 ? history.scheduled(4, "charge", 5) : event));
    const sent = [history.eventSent(1, "other", "hello", 5, 1), ...others];
    const past = [...first, ...sent];
    const again = await runEpisode(episodeWorker(sends), {
      past,
      fresh: [history.episode(20), history.raised("noise", 18)],
    });
    expect(again.getActionsList()).toHaveLength(5);
    expect(spans.finished.map(({ name }) => name)).toEqual(["orchestration_event:hello", "signal_entity:add"]);
    spans.reset();
    await runEpisode(episodeWorker(sends), { past, fresh: [history.episode(30), history.terminated(28)] });
    expect(spans.finished.map(({ name }) => name).toSorted()).toEqual([
      "activity:charge",
      "call_entity:get",
      "entity:lock_request",
      "orchestration:order",
    ]);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
  });

  it("S3 a failed operation marks the span of its call, with the type and message that the entity gave", async () => {
    const spans = recordSpans();
    const first = [history.episode(0), history.started("order")];
    const called = await runEpisode(episodeWorker(calls), { fresh: first });
    const [one = ""] = requestIds(called);
    await runEpisode(episodeWorker(calls), {
      past: [...first, ...asked(called, 5)],
      fresh: [history.episode(20), failed(one, 18)],
    });
    const call = spans.finished.find(({ name }) => name === "call_entity:one");
    expect([call?.status, call?.attributes["error.type"]]).toEqual([
      { code: SpanStatusCode.ERROR, message: "no room" },
      "RangeError",
    ]);
  });

  it("S2 suspension and resumption stand on the span as often as they came, in any order, also when it ends suspended", async () => {
    const spans = recordSpans();
    const first = [
      history.episode(0),
      history.resumed(0),
      history.started("order"),
      history.suspended(1),
      history.suspended(2),
    ];
    const past = [...first, history.episode(10), history.resumed(8), history.resumed(9), history.suspended(10)];
    await runEpisode(episodeWorker(waits), {
      past,
      fresh: [history.episode(20), history.raised("end", 18), history.terminated(19)],
    });
    const names = orchestration(spans.finished).events.map(({ name }) =>
      name.replace("durabletask.orchestration.", ""),
    );
    expect(names).toEqual(["resumed", "suspended", "suspended", "resumed", "resumed", "suspended", "event_raised"]);
  });

  it("S2 an external event keeps its name as it came, whatever it is", async () => {
    const spans = recordSpans();
    const names = ["Proto__", "İstanbul", " ", "\u0000", "@counter@a", "🙂", "a".repeat(300)];
    await runEpisode(episodeWorker(waits), {
      fresh: [
        history.episode(0),
        history.started("order"),
        ...names.map((name, index) => history.raised(name, index)),
        history.raised("END", 99),
      ],
    });
    expect(
      orchestration(spans.finished).events.map(({ attributes }) => attributes?.["durabletask.event.name"]),
    ).toEqual([...names, "END"]);
  });

  it("K1 code that replaces ctx.setCustomStatus, or goes around it, works as with the bare SDK", async () => {
    recordSpans();
    const replaces = (worker: TaskHubGrpcWorker): string =>
      worker.addNamedOrchestrator("order", async (ctx: OrchestrationContext) => {
        const seen: unknown[] = [Object.keys(ctx).includes("setCustomStatus"), "setCustomStatus" in ctx];
        const original = ctx.setCustomStatus.bind(ctx);
        ctx.setCustomStatus = (status) => {
          seen.push(status);
          original(status);
        };
        ctx.setCustomStatus("one");
        ctx.setCustomStatus.call(undefined, "two");
        const proto = Object.getPrototypeOf(ctx) as OrchestrationContext;
        proto.setCustomStatus.call(ctx, "three");
        return [...seen, Reflect.deleteProperty(ctx, "setCustomStatus"), typeof ctx.setCustomStatus];
      });
    const [bare, traced] = [bareWorker(), episodeWorker(() => undefined)];
    const fresh = [history.episode(0), history.started("order")];
    const responses: unknown[] = [];
    for (const worker of [bare, traced]) {
      replaces(worker);
      const response = await runEpisode(worker, { fresh });
      responses.push([
        response.getCustomstatus()?.getValue(),
        response.getActionsList()[0]?.getCompleteorchestration()?.getResult()?.getValue(),
      ]);
    }
    expect(responses[0]).toEqual(['"three"', '[false,true,"one","two",true,"function"]']);
    expect(responses[1]).toEqual(responses[0]);
  });
});
