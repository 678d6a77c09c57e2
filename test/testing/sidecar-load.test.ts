import { HistoryEventType, OrchestrationStatus, whenAll } from "@microsoft/durabletask-js";
import type { ActivityContext, HistoryEvent, OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { sidecars, type Steps } from "./sidecar-fixture.ts";

const hub = sidecars();

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedActivity("double", (_: ActivityContext, n: number) => n * 2);
  worker.addNamedOrchestrator("fan-out", async function* (ctx: OrchestrationContext, width: number): Steps<number> {
    const doubles = Array.from({ length: width }, (_, n) => ctx.callActivity<number, number>("double", n));
    const results: number[] = yield whenAll(doubles);
    return results.reduce((sum, n) => sum + n, 0);
  });
  // Tells which events it got, in order, with an activity, a timer or a sub-orchestration between them.
  worker.addNamedOrchestrator("collect", async function* (ctx: OrchestrationContext): Steps<number[]> {
    const items: number[] = [];
    for (;;) {
      const item: number | "end" = yield ctx.waitForExternalEvent("item");
      if (item === "end") return items;
      if (item % 3 === 0) yield ctx.createTimer(0.001);
      if (item % 3 === 1) yield ctx.callSubOrchestrator("fan-out", 2);
      const doubled: number = yield ctx.callActivity("double", item);
      items.push(doubled / 2);
    }
  });
}

async function connected() {
  const sidecar = await hub.start();
  await Promise.all([hub.worker(sidecar, register), hub.worker(sidecar, register)]);
  return hub.client(sidecar);
}

const SCHEDULED: readonly HistoryEventType[] = [
  HistoryEventType.TaskScheduled,
  HistoryEventType.TimerCreated,
  HistoryEventType.SubOrchestrationInstanceCreated,
];

/** The IDs of the tasks that were scheduled, and of those that have a result. */
function tasks(history: HistoryEvent[]): { scheduled: number[]; settled: number[] } {
  return {
    scheduled: history.filter(({ type }) => SCHEDULED.includes(type)).map(({ eventId }) => eventId),
    settled: history.flatMap((event) => {
      if (event.type === HistoryEventType.TimerFired) return event.timerId;
      if (event.type === HistoryEventType.TaskCompleted) return event.taskScheduledId;
      if (event.type === HistoryEventType.SubOrchestrationInstanceCompleted) return event.taskScheduledId;
      return [];
    }),
  };
}

function expectSoundHistory(history: HistoryEvent[]): void {
  const { scheduled, settled } = tasks(history);
  expect(new Set(scheduled).size).toBe(scheduled.length);
  expect(new Set(settled).size).toBe(settled.length);
  for (const id of settled) expect(scheduled).toContain(id);
  expect(history.at(-1)?.type).toBe(HistoryEventType.ExecutionCompleted);
  for (const { timestamp } of history) expect(timestamp.getTime()).toBeGreaterThan(Date.now() - 60_000);
}

it("200 orchestrations at once, with fan-outs, all complete with the right result", async () => {
  const client = await connected();
  const widths = Array.from({ length: 200 }, (_, index) => index % 12);
  const ids = await Promise.all(widths.map((width) => client.scheduleNewOrchestration("fan-out", width)));
  const states = await Promise.all(ids.map((id) => client.waitForOrchestrationCompletion(id)));
  expect(states.map((state) => state?.serializedOutput)).toEqual(widths.map((width) => String(width * (width - 1))));
});

type Step = number | "suspend" | "resume" | "restart another" | "terminate another";

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(20) },
  { weight: 1, arbitrary: fc.constantFrom<Step>("suspend", "resume", "restart another", "terminate another") },
);

it("Under random traffic each orchestration gets each of its events once and in order, and ends as requested", async () => {
  const client = await connected();
  const drive = async (steps: Step[], terminated: boolean): Promise<void> => {
    const id = await client.scheduleNewOrchestration("collect");
    for (const next of steps) {
      if (typeof next === "number") await client.raiseOrchestrationEvent(id, "item", next);
      if (next === "suspend") await client.suspendOrchestration(id);
      if (next === "resume") await client.resumeOrchestration(id);
      if (next === "restart another") await client.restartOrchestration(id, true);
      if (next === "terminate another") {
        await client.terminateOrchestration(await client.scheduleNewOrchestration("collect"), "gone");
      }
    }
    if (terminated) await client.terminateOrchestration(id, "enough");
    await client.raiseOrchestrationEvent(id, "item", "end");
    await client.resumeOrchestration(id);
    const state = await client.waitForOrchestrationCompletion(id);
    const history = await client.getOrchestrationHistory(id);
    expectSoundHistory(history);
    const items = steps.filter((next) => typeof next === "number");
    if (terminated) {
      expect(state).toMatchObject({ runtimeStatus: OrchestrationStatus.TERMINATED, serializedOutput: '"enough"' });
    } else {
      expect(JSON.parse(state?.serializedOutput ?? "null")).toEqual(items);
      const { scheduled, settled } = tasks(history);
      expect(new Set(settled)).toEqual(new Set(scheduled));
    }
  };
  const traffic = fc.array(fc.tuple(fc.array(step, { maxLength: 12 }), fc.boolean()), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(traffic, async (orchestrations) => {
      await Promise.all(orchestrations.map(([steps, terminated]) => drive(steps, terminated)));
    }),
    { numRuns: 20 },
  );
});
