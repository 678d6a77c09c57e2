/** The spans of waits: for external events, and for timers that did not fire in time. */
import {
  HistoryEventType,
  NoOpLogger,
  TaskHubGrpcWorker,
  whenAll,
  whenAny,
  type OrchestrationContext,
  type Task,
} from "@microsoft/durabletask-js";
import type { HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { SpanKind } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeAll, describe, expect, it } from "vitest";
import { recordSpans, startHub, wholeness, type Hub, type RecordedSpans, type Steps } from "../harness.ts";
import { at, episodeWorker, history, runEpisode } from "./episodes.ts";

type Orchestrator = (ctx: OrchestrationContext) => Steps;
function fail(message: string): never {
  throw new Error(message);
}
/** The events of one episode. */
type EpisodeEvents = readonly HistoryEvent[];

/**
 * Runs the episodes of an orchestration, each on a worker of its own, as a crash between two of them would have it.
 *
 * @param added what the backend adds to the history after each episode: the confirmations of actions.
 */
async function play(
  orchestrator: Orchestrator,
  episodes: readonly EpisodeEvents[],
  added: readonly EpisodeEvents[] = [],
): Promise<void> {
  let past: HistoryEvent[] = [];
  for (const [index, fresh] of episodes.entries()) {
    const worker = episodeWorker((each) => each.addNamedOrchestrator("order", orchestrator));
    await runEpisode(worker, { past, fresh });
    past = [...past, ...fresh, ...(added[index] ?? [])];
  }
}

const first = [history.episode(0), history.started("order")];
const milliseconds = (span: ReadableSpan): [number, number] => [
  hrTimeToMilliseconds(span.startTime) - at(0).getTime(),
  hrTimeToMilliseconds(span.endTime) - at(0).getTime(),
];

/** The spans of waits and timers: name, outcome, start and end. */
function waits({ finished }: RecordedSpans): (readonly [string, unknown, number, number])[] {
  return finished
    .filter(({ kind }) => kind === SpanKind.INTERNAL)
    .map((span) => [span.name, span.attributes["durabletask.outcome"], ...milliseconds(span)] as const);
}

describe("A wait for an external event", () => {
  const approved: Orchestrator = async function* (ctx) {
    return yield ctx.waitForExternalEvent("Approval");
  };

  it("S9 is a span from the time at which the orchestrator began to wait to the event's, a child of the orchestration's", async () => {
    const spans = recordSpans();
    await play(approved, [first, [history.episode(5020), history.raised("approval", 5000)]]);
    const [wait, orchestration] = spans.finished;
    expect(wait).toMatchObject({
      name: "wait:Approval",
      kind: SpanKind.INTERNAL,
      parentSpanContext: { spanId: orchestration?.spanContext().spanId },
      attributes: {
        "durabletask.type": "wait",
        "durabletask.task.name": "order",
        "durabletask.task.instance_id": "instance-1",
        "durabletask.event.name": "Approval",
        "durabletask.outcome": "received",
      },
    });
    expect(wait && milliseconds(wait)).toEqual([0, 5000]);
    expect(wholeness(spans.finished)).toMatchObject({ spans: 2, orphans: 0, duplicates: 0 });
  });

  it("S9 makes no span if the event was there already: in the same episode, or buffered by an earlier one", async () => {
    const spans = recordSpans();
    const twice: Orchestrator = async function* (ctx) {
      yield ctx.waitForExternalEvent("a");
      yield ctx.callActivity("charge");
      yield ctx.waitForExternalEvent("b");
    };
    await play(
      twice,
      [
        [...first, history.raised("a", 0)],
        [history.episode(10), history.raised("b", 9)],
        [history.episode(20), history.completed(1, 1, 19)],
      ],
      [[history.scheduled(1, "charge", 1)]],
    );
    expect(waits(spans)).toEqual([]);
  });

  it("S9 makes no span if the event was raised before the orchestrator came to wait, but delivered in a later episode", async () => {
    const spans = recordSpans();
    await play(approved, [
      [history.episode(50), history.started("order")],
      [history.episode(60), history.raised("approval", 40)],
    ]);
    expect(waits(spans)).toEqual([]);
  });

  it("S9 is a span also if the time stands still, as on the SDK's in-memory backend", async () => {
    const spans = recordSpans();
    await play(approved, [first, [history.raised("approval", 0).setTimestamp(undefined)]]);
    expect(waits(spans)).toEqual([["wait:Approval", "received", 0, expect.closeTo(0, 1)]]);
  });

  it("S9 is emitted once, however often it replays, and has the same identity in each process", async () => {
    const run = async (): Promise<string[]> => {
      const spans = recordSpans();
      const steps: Orchestrator = async function* (ctx) {
        yield ctx.waitForExternalEvent("a");
        yield ctx.waitForExternalEvent("a");
        yield ctx.waitForExternalEvent("b");
      };
      await play(steps, [
        first,
        [history.episode(10), history.raised("A", 9)],
        [history.episode(20), history.raised("a", 19)],
        [history.episode(30), history.raised("b", 29)],
      ]);
      expect(waits(spans)).toEqual([
        ["wait:a", "received", 0, 9],
        ["wait:a", "received", 10, 19],
        ["wait:b", "received", 20, 29],
      ]);
      expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
      return spans.finished.map((span) => span.spanContext().spanId);
    };
    expect(await run()).toEqual(await run());
  });

  it("S9 of several for the same event, the first is answered first", async () => {
    const spans = recordSpans();
    const both: Orchestrator = async function* (ctx) {
      yield whenAll([ctx.waitForExternalEvent("a"), ctx.waitForExternalEvent("a")]);
    };
    await play(both, [
      first,
      [history.episode(10), history.raised("a", 9)],
      [history.episode(20), history.raised("a", 19)],
    ]);
    expect(waits(spans)).toEqual([
      ["wait:a", "received", 0, 9],
      ["wait:a", "received", 0, 19],
    ]);
  });

  it("S9 that is never answered ends with the orchestration, marked so", async () => {
    const spans = recordSpans();
    await play(approved, [first, [history.episode(30), history.terminated(20)]]);
    const [wait, orchestration] = spans.finished;
    expect(wait?.attributes["durabletask.outcome"]).toBe("unanswered");
    expect(wait?.endTime).toEqual(orchestration?.endTime);
  });

  it("S9 ends when another task wins the race, also if its event comes later, and the event makes no second span", async () => {
    const spans = recordSpans();
    const impatient: Orchestrator = async function* (ctx) {
      yield whenAny([ctx.waitForExternalEvent("approval"), ctx.createTimer(1)]);
      yield ctx.callActivity("charge");
    };
    await play(
      impatient,
      [
        first,
        [history.episode(1010), history.timerFired(1, 1000, 1001)],
        [history.episode(2010), history.raised("approval", 2000)],
        [history.episode(3010), history.completed(2, 1, 3000)],
      ],
      [[history.timerCreated(1, 1000, 1)], [history.scheduled(2, "charge", 1012)]],
    );
    expect(waits(spans)).toEqual([
      ["orchestration:order:timer", undefined, 1, 1001],
      ["wait:approval", "lost", 0, 1010],
    ]);
  });

  it("S9 of an event and a timer that come in one episode, as after an outage of the workers, the first one wins", async () => {
    const spans = recordSpans();
    const race: Orchestrator = async function* (ctx) {
      yield whenAny([ctx.waitForExternalEvent("go"), ctx.createTimer(1)]);
      yield ctx.callActivity("charge");
    };
    const outcomes = async (...events: EpisodeEvents): Promise<unknown> => {
      spans.reset();
      await play(race, [first, [history.episode(5000), ...events]], [[history.timerCreated(1, 1000, 1)]]);
      return Object.fromEntries(waits(spans).map(([name, ...rest]) => [name, rest]));
    };
    expect(await outcomes(history.timerFired(1, 1000, 1001), history.raised("go", 2000))).toEqual({
      "orchestration:order:timer": [undefined, 1, 1001],
      "wait:go": ["lost", 0, 5000],
    });
    expect(await outcomes(history.raised("go", 900), history.timerFired(1, 1000, 1001))).toEqual({
      "wait:go": ["received", 0, 900],
      "orchestration:order:timer": ["lost", 1, 5000],
    });
  });

  it("S9 that lost a race and is waited for again ends with its event", async () => {
    for (const again of [(task: Task<unknown>) => task, (task: Task<unknown>) => whenAny([whenAll([task])])]) {
      const spans = recordSpans();
      const reminded: Orchestrator = async function* (ctx) {
        const approval = ctx.waitForExternalEvent("approval");
        yield whenAny([approval, ctx.createTimer(1)]);
        yield ctx.callActivity("remind");
        yield again(approval);
      };
      await play(
        reminded,
        [
          first,
          [history.episode(1010), history.timerFired(1, 1000, 1001)],
          [history.episode(2010), history.completed(2, 1, 2000)],
          [history.episode(9010), history.raised("approval", 9000)],
        ],
        [[history.timerCreated(1, 1000, 1)], [history.scheduled(2, "remind", 1012)]],
      );
      expect(waits(spans)).toEqual([
        ["orchestration:order:timer", undefined, 1, 1001],
        ["wait:approval", "received", 0, 9000],
      ]);
    }
  });

  it("S9 that lost a race in a group, which is waited for again, ends with its event", async () => {
    const spans = recordSpans();
    const both: Orchestrator = async function* (ctx) {
      const approvals = whenAll([ctx.waitForExternalEvent("a"), ctx.waitForExternalEvent("b")]);
      yield whenAny([approvals, ctx.createTimer(1)]);
      yield ctx.callActivity("remind");
      yield approvals;
    };
    const episodes = [
      first,
      [history.episode(1010), history.timerFired(1, 1000, 1001)],
      [history.episode(2010), history.completed(2, 1, 2000)],
      [history.episode(9010), history.raised("a", 9000)],
    ];
    const added = [[history.timerCreated(1, 1000, 1)], [history.scheduled(2, "remind", 1012)]];
    await play(both, [...episodes, [history.episode(9510), history.terminated(9505)]], added);
    expect(waits(spans).map(([name, outcome]) => [name, outcome])).toEqual([
      ["orchestration:order:timer", undefined],
      ["wait:a", "received"],
      ["wait:b", "unanswered"],
    ]);
    spans.reset();
    await play(both, [...episodes, [history.episode(9510), history.raised("b", 9500)]], added);
    expect(waits(spans).slice(1)).toEqual([
      ["wait:a", "received", 0, 9000],
      ["wait:b", "received", 0, 9500],
    ]);
  });

  it("S9 that loses a second race, which another task had won before it began, ends with that", async () => {
    const spans = recordSpans();
    const won: Orchestrator = async function* (ctx) {
      const go = ctx.waitForExternalEvent("go");
      const approval = ctx.waitForExternalEvent("approval");
      for (let step = 0; step < 2; step += 1) {
        yield whenAny([go, approval]);
        yield ctx.callActivity("charge");
      }
    };
    await play(
      won,
      [
        first,
        [history.episode(20), history.raised("go", 19)],
        [history.episode(30), history.completed(1, 1, 29)],
        [history.episode(40), history.completed(2, 1, 39)],
      ],
      [[], [history.scheduled(1, "charge", 21)], [history.scheduled(2, "charge", 31)]],
    );
    expect(waits(spans)).toEqual([
      ["wait:go", "received", 0, 19],
      ["wait:approval", "lost", 0, 30],
    ]);
  });

  it("S9 that begins, or is answered, while the orchestration is suspended has its span once", async () => {
    const spans = recordSpans();
    await play(approved, [
      first,
      [history.episode(10), history.suspended(9)],
      [history.episode(20), history.raised("approval", 19)],
      [history.episode(30), history.raised("noise", 29)],
      [history.episode(40), history.resumed(39)],
    ]);
    expect(waits(spans)).toEqual([["wait:Approval", "received", 0, 19]]);
  });

  it("S9 of an execution that continues as new ends there, and the next execution has its own", async () => {
    const spans = recordSpans();
    const endless: Orchestrator = async function* (ctx) {
      yield whenAny([ctx.waitForExternalEvent("never"), ctx.waitForExternalEvent("tick")]);
      ctx.continueAsNew(undefined, true);
    };
    const second = (executionId: string): EpisodeEvents[] => [
      [history.episode(0), history.started("order", { executionId })],
      [history.episode(10), history.raised("tick", 9)],
    ];
    await play(endless, second("one"));
    await play(endless, second("two"));
    expect(waits(spans)).toEqual([
      ["wait:tick", "received", 0, 9],
      ["wait:never", "lost", 0, 10],
      ["wait:tick", "received", 0, 9],
      ["wait:never", "lost", 0, 10],
    ]);
    expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0, traces: 2 });
  });

  it("S9 is not emitted again by the worker whose response was lost: its span is the same", async () => {
    const spans = recordSpans();
    const answered = { past: first, fresh: [history.episode(20), history.raised("approval", 19)] };
    for (let run = 0; run < 2; run += 1)
      await runEpisode(
        episodeWorker((each) => each.addNamedOrchestrator("order", approved)),
        answered,
      );
    const seen = spans.finished.filter(({ name }) => name === "wait:Approval");
    expect(seen).toHaveLength(2);
    expect(new Set(seen.map((span) => span.spanContext().spanId)).size).toBe(1);
    expect(new Set(seen.map((span) => milliseconds(span).join())).size).toBe(1);
  });

  it("K1 in groups that are nested deeper than calls can be changes no outcome, and is lost with them", async () => {
    const spans = recordSpans();
    const nested: Orchestrator = async function* (ctx) {
      let group: Task<unknown> = ctx.waitForExternalEvent("never");
      for (let depth = 0; depth < 20_000; depth += 1) group = whenAny([group]);
      yield whenAny([group, ctx.waitForExternalEvent("go")]);
      yield ctx.waitForExternalEvent("end");
    };
    await play(nested, [
      first,
      [history.episode(20), history.raised("go", 19)],
      [history.episode(30), history.raised("end", 29)],
    ]);
    expect(waits(spans)).toEqual([
      ["wait:go", "received", 0, 19],
      ["wait:end", "received", 20, 29],
      ["wait:never", "lost", 0, 20],
    ]);
    const [orchestration] = spans.finished.filter(({ kind }) => kind === SpanKind.SERVER);
    expect(orchestration?.attributes["durabletask.task.status"]).toBe("Completed");
  });

  it("D3 a race with something that is no task fails with the SDK's own error", async () => {
    recordSpans();
    const wrong: Orchestrator = async function* (ctx) {
      const go = ctx.waitForExternalEvent("go");
      yield whenAny([go, ctx.waitForExternalEvent("approval")]);
      yield whenAny([go, undefined as unknown as Task<unknown>]);
    };
    const bare = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
    bare.addNamedOrchestrator("order", wrong);
    const observed = episodeWorker((each) => each.addNamedOrchestrator("order", wrong));
    const messages: unknown[] = [];
    for (const worker of [observed, bare]) {
      const response = await runEpisode(worker, {
        past: first,
        fresh: [history.episode(20), history.raised("go", 19)],
      });
      const [action] = response.getActionsList();
      messages.push(action?.getCompleteorchestration()?.getFailuredetails()?.getErrormessage());
    }
    const message = "Cannot set properties of undefined (setting '_parent')";
    expect(messages).toEqual([message, message]);
  });

  it("K1 works with the bare SDK's results where the code replaces what is observed", async () => {
    const spans = recordSpans();
    const replaces: Orchestrator = async function* (ctx) {
      const original = ctx.waitForExternalEvent.bind(ctx);
      ctx.waitForExternalEvent = () => original("b");
      Object.freeze(ctx.createTimer(1));
      yield ctx.waitForExternalEvent("a");
    };
    await play(replaces, [first, [history.episode(20), history.raised("b", 19)]], [[history.timerCreated(1, 1000, 1)]]);
    expect(waits(spans)).toEqual([
      ["wait:b", "received", 0, 19],
      ["orchestration:order:timer", "unfired", 1, expect.any(Number)],
    ]);
  });
});

describe("A timer that does not fire in time", () => {
  const created = [[history.timerCreated(1, 60_000, 1)]];
  const race = (lose: (timer: Task<unknown>) => void): Orchestrator =>
    async function* (ctx) {
      const timer = ctx.createTimer(60);
      yield whenAny([ctx.waitForExternalEvent("go"), timer]);
      lose(timer);
      yield ctx.callActivity("charge");
    };
  const won = [first, [history.episode(510), history.raised("go", 500)]];
  const charged = [history.episode(900), history.completed(2, 1, 899)];
  const late = [history.episode(60_010), history.timerFired(1, 60_000, 60_001)];
  const scheduled = [...created, [history.scheduled(2, "charge", 511)]];
  const cancel = (timer: Task<unknown>): void => (timer as ReturnType<OrchestrationContext["createTimer"]>).cancel();

  it("S9 is a span that ends where the code canceled it, marked so", async () => {
    const spans = recordSpans();
    await play(race(cancel), [...won, charged], scheduled);
    expect(waits(spans)).toEqual([
      ["wait:go", "received", 0, 500],
      ["orchestration:order:timer", "canceled", 1, 510],
    ]);
    expect(spans.finished.find(({ name }) => name === "orchestration:order:timer")?.attributes).toMatchObject({
      "durabletask.fire_at": at(60_000).toISOString(),
      "durabletask.task.task_id": 1,
    });
  });

  it("S9 has its span if it fires in the episode in which the code cancels it, but not before that", async () => {
    const spans = recordSpans();
    await play(
      race(cancel),
      [first, [history.episode(60_010), history.raised("go", 60_000), history.timerFired(1, 60_000, 60_001)], charged],
      scheduled,
    );
    expect(waits(spans).filter(([name]) => name === "orchestration:order:timer")).toEqual([
      ["orchestration:order:timer", "canceled", 1, 60_010],
    ]);
  });

  it("S9 makes no second span if it fires after all", async () => {
    for (const [lose, outcome] of [
      [cancel, "canceled"],
      [() => undefined, "lost"],
    ] as const) {
      const spans = recordSpans();
      const done = [history.episode(70_000), history.completed(2, 1, 69_999)];
      await play(race(lose), [...won, late, done], scheduled);
      expect(waits(spans)).toEqual([
        ["wait:go", "received", 0, 500],
        ["orchestration:order:timer", outcome, 1, 510],
      ]);
      expect(wholeness(spans.finished)).toMatchObject({ orphans: 0, duplicates: 0 });
    }
  });

  it("S9 that lost a race ends where that was decided, and is emitted when the orchestration finishes", async () => {
    const spans = recordSpans();
    await play(
      race(() => undefined),
      [...won, charged],
      scheduled,
    );
    expect(waits(spans)).toEqual([
      ["wait:go", "received", 0, 500],
      ["orchestration:order:timer", "lost", 1, 510],
    ]);
  });

  it("S9 that the orchestration outlives ends with it", async () => {
    const spans = recordSpans();
    await play(
      race(() => undefined),
      [first, [history.episode(30), history.terminated(20)]],
      created,
    );
    const orchestration = spans.finished.find(({ name }) => name === "orchestration:order");
    const timer = spans.finished.find(({ name }) => name === "orchestration:order:timer");
    expect(timer?.attributes["durabletask.outcome"]).toBe("unfired");
    expect(timer?.endTime).toEqual(orchestration?.endTime);
  });

  it("S9 that code which fails does not create again ends with the orchestration", async () => {
    const spans = recordSpans();
    const worker = episodeWorker((each) => each.addNamedOrchestrator("order", () => fail("too early")));
    await runEpisode(worker, {
      past: [...first, history.timerCreated(1, 60_000, 1)],
      fresh: [history.episode(20), history.raised("go", 19)],
    });
    expect(waits(spans)).toEqual([["orchestration:order:timer", "unfired", 1, expect.any(Number)]]);
  });

  it("S9 that was canceled has one span, also where code that fails later does not create it again", async () => {
    const spans = recordSpans();
    const canceling: Orchestrator = async function* (ctx) {
      const deadline = ctx.createTimer(60);
      yield whenAny([ctx.waitForExternalEvent("approved"), deadline]);
      deadline.cancel();
      yield ctx.waitForExternalEvent("shipped");
    };
    const past = [...first, history.timerCreated(1, 60_000, 1)];
    const approved = [history.episode(20), history.raised("approved", 19)];
    await runEpisode(
      episodeWorker((each) => each.addNamedOrchestrator("order", canceling)),
      { past, fresh: approved },
    );
    await runEpisode(
      episodeWorker((each) => each.addNamedOrchestrator("order", () => fail("too early"))),
      { past: [...past, ...approved], fresh: [history.episode(40), history.raised("shipped", 39)] },
    );
    expect(waits(spans).filter(([name]) => name === "orchestration:order:timer")).toEqual([
      ["orchestration:order:timer", "canceled", 1, 20],
    ]);
    expect(wholeness(spans.finished)).toMatchObject({ duplicates: 0 });
  });

  it("S9 that is canceled in the episode that created it makes no span", async () => {
    const spans = recordSpans();
    const hasty: Orchestrator = async function* (ctx) {
      const timer = ctx.createTimer(60);
      cancel(timer);
      yield ctx.waitForExternalEvent("go");
    };
    await play(hasty, won);
    expect(waits(spans)).toEqual([["wait:go", "received", 0, 500]]);
  });

  it("S9 one deadline of several races ends with the last of them, or when it fires", async () => {
    const rounds: Orchestrator = async function* (ctx) {
      const deadline = ctx.createTimer(60);
      for (let round = 0; round < 3; round += 1) {
        const winner: Task<unknown> = yield whenAny([ctx.waitForExternalEvent("go"), deadline]);
        if (winner === deadline) return "late";
      }
      return "in time";
    };
    const spans = recordSpans();
    await play(
      rounds,
      [first, ...[10, 20, 30].map((time) => [history.episode(time), history.raised("go", time - 1)])],
      created,
    );
    expect(waits(spans).at(-1)).toEqual(["orchestration:order:timer", "lost", 1, 30]);
    spans.reset();
    await play(rounds, [first, [history.episode(10), history.raised("go", 9)], late], created);
    expect(waits(spans).filter(([name]) => name === "orchestration:order:timer")).toEqual([
      ["orchestration:order:timer", undefined, 1, 60_001],
    ]);
  });
});

describe.each(["carry", "drop"] as const)("On a task hub that does this with trace contexts: %s", (traceContext) => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ traceContext });
    for (let worker = 0; worker < 2; worker += 1)
      await hub.worker({}, (each) => {
        each.addNamedActivity("charge", () => "charged");
        each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
          yield ctx.callActivity("charge");
          const deadline = ctx.createTimer(3600);
          const approval = ctx.waitForExternalEvent("approval");
          yield whenAny([approval, deadline]);
          deadline.cancel();
          yield ctx.callActivity("charge");
          return approval.getResult();
        });
      });
  });

  it("S9 an approval and its deadline are spans of the orchestration, once each, at the times of the history", async () => {
    const spans = recordSpans();
    const { client } = hub;
    const id = await client.scheduleNewOrchestration("order");
    await spans.waitFor((finished) =>
      finished.some(({ kind, name }) => kind === SpanKind.CLIENT && name === "activity:charge"),
    );
    await client.raiseOrchestrationEvent(id, "approval", "yes");
    const state = await client.waitForOrchestrationCompletion(id, true, 25);
    expect(state?.serializedOutput).toBe('"yes"');
    await spans.waitFor((finished) =>
      finished.some(({ name, kind }) => name === "orchestration:order" && kind === SpanKind.SERVER),
    );
    const events = await client.getOrchestrationHistory(id);
    const own = spans.finished.filter(({ kind }) => kind === SpanKind.INTERNAL);
    expect(own.map(({ name, attributes }) => [name, attributes["durabletask.outcome"]])).toEqual([
      ["wait:approval", "received"],
      ["orchestration:order:timer", "canceled"],
    ]);
    const raised = events.find(({ type }) => type === HistoryEventType.EventRaised);
    const [wait, timer] = own;
    expect(wait && hrTimeToMilliseconds(wait.endTime)).toBeCloseTo(raised?.timestamp.getTime() ?? 0, 0);
    const root = spans.finished.find(({ name, kind }) => name === "orchestration:order" && kind === SpanKind.SERVER);
    for (const span of [wait, timer]) expect(span?.parentSpanContext?.spanId).toBe(root?.spanContext().spanId);
  });
});
