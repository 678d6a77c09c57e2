/** What reading a history costs, counted in look-ups of its events: it grows with the number of events, and no faster. */
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ProtoHistory } from "../../src/worker/history.ts";
import { recordSpans, type Steps } from "../harness.ts";
import {
  at,
  bareWorker,
  hostWorker,
  orchestratorRequest,
  resultIn,
  runEpisode,
  startEvents,
  text,
} from "./requests.ts";

/** How often an event was looked at. */
let lookups = 0;
const prototype = pb.HistoryEvent.prototype;
const originals = new Map<string, PropertyDescriptor>();

beforeEach(() => {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    const original: unknown = descriptor.value;
    if (!/^(get|has)[A-Z]/i.test(name) || typeof original !== "function") continue;
    originals.set(name, descriptor);
    Object.defineProperty(prototype, name, {
      ...descriptor,
      value(this: object, ...args: unknown[]): unknown {
        lookups += 1;
        return Reflect.apply(original, this, args);
      },
    });
  }
});
afterEach(() => {
  for (const [name, descriptor] of originals) Object.defineProperty(prototype, name, descriptor);
  originals.clear();
});

function counted(run: () => void): number {
  lookups = 0;
  run();
  return lookups;
}

const epoch = new Date(1000);
const [orchestratorStarted, executionStarted] = startEvents({ name: "long" }, epoch);
if (orchestratorStarted === undefined || executionStarted === undefined)
  throw new Error("A first episode has two events.");

// What an orchestration carries over when it continues as new has no time of its own.
const raised = (name: string): pb.HistoryEvent =>
  new pb.HistoryEvent().setEventid(-1).setEventraised(new pb.EventRaisedEvent().setName(name).setInput(text("1")));
const sent = (id: number): pb.HistoryEvent =>
  at(new pb.HistoryEvent().setEventsent(new pb.EventSentEvent().setName("go").setInstanceid("other")), epoch, id);
const scheduled = (id: number): pb.HistoryEvent =>
  at(new pb.HistoryEvent().setTaskscheduled(new pb.TaskScheduledEvent().setName("work")), epoch, id);
const completed = (id: number): pb.HistoryEvent =>
  at(
    new pb.HistoryEvent().setTaskcompleted(new pb.TaskCompletedEvent().setTaskscheduledid(id).setResult(text("1"))),
    epoch,
  );
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index + 1));

type Histories = Readonly<
  Record<string, (count: number) => readonly [past: pb.HistoryEvent[], fresh: pb.HistoryEvent[]]>
>;
const histories: Histories = {
  "received without a time of their own": (count) => [
    [],
    [orchestratorStarted, executionStarted, ...many(count, () => raised("go"))],
  ],
  "received before the start of the episode": (count) => [
    [],
    [...many(count, () => raised("go")), orchestratorStarted, executionStarted],
  ],
  "named like answers of entities": (count) => [
    [orchestratorStarted, executionStarted],
    [
      orchestratorStarted,
      ...many(count, (index) => raised(`00000000-0000-0000-0000-${String(index).padStart(12, "0")}`)),
    ],
  ],
  "received and sent": (count) => [
    [orchestratorStarted, executionStarted, ...many(count / 2, sent)],
    [orchestratorStarted, ...many(count / 2, () => raised("go"))],
  ],
  "of a fan-out that comes in at once": (count) => [
    [orchestratorStarted, executionStarted, ...many(count / 2, scheduled)],
    [orchestratorStarted, ...many(count / 2, (index) => completed(count / 2 + 1 - index))],
  ],
  replayed: (count) => [[orchestratorStarted, executionStarted, ...many(count, scheduled)], [orchestratorStarted]],
};

describe("The history of an episode", () => {
  it.each(Object.keys(histories))(
    "is read in steps that grow with its events alone, up to 100,000: events %s",
    (name) => {
      const steps = (count: number): number => {
        const [past, fresh] = histories[name]?.(count) ?? [[], []];
        return counted(() => {
          const history = new ProtoHistory(past, fresh);
          const events = history.newEvents();
          const received = history.received();
          history.unfinishedTasks();
          void history.episodes;
          void history.rewound;
          // What middleware asks for each event.
          for (let index = 0; index < events.length + received.length; index += 1) {
            void history.startedAt;
            void history.episodeStartedAt;
            void history.started;
            history.newEvents();
          }
          for (let id = 1; id <= count; id += 1) history.hasLeft(id);
        });
      };
      const perEvent = [1_000, 10_000, 100_000].map((count) => steps(count) / count);
      expect(perEvent[0]).toBeLessThan(60);
      for (const each of perEvent) expect(each).toBeLessThan((perEvent[0] ?? 0) * 1.05);
    },
  );
});

describe("An episode under the built-in middlewares", () => {
  it("looks at each of 30,000 events without a time as often as at each of 1,000", async () => {
    recordSpans();
    const worker = hostWorker({ tracing: true, metrics: true, logging: true });
    const bare = bareWorker();
    for (const each of [worker, bare]) {
      each.addNamedOrchestrator("long", async function* (ctx: OrchestrationContext, count: number): Steps {
        let sum = 0;
        for (let index = 0; index < count; index += 1) sum += yield ctx.waitForExternalEvent("go");
        return sum;
      });
    }
    const steps = async (each: typeof bare, count: number): Promise<number> => {
      const events = [
        ...startEvents({ name: "long", rawInput: String(count) }, epoch),
        ...many(count, () => raised("go")),
      ];
      const request = orchestratorRequest(events);
      lookups = 0;
      expect(resultIn(await runEpisode(each, request))).toBe(count);
      return lookups / count;
    };
    const extra = async (count: number): Promise<number> => (await steps(worker, count)) - (await steps(bare, count));
    const few = await extra(1_000);
    expect(few).toBeGreaterThan(0);
    expect(await extra(30_000)).toBeLessThan(few * 1.05);
  });
});
