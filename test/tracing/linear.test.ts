/** What an episode costs grows with its history, and no faster: counted in steps, as time depends on the machine (telemetry.md K1). */
import { NoOpLogger, TaskHubGrpcWorker, whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import type {
  HistoryEvent,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { AlwaysOnSampler, TracerProvider } from "@opentelemetry/sdk-trace";
import { describe, expect, it, onTestFinished } from "vitest";
import { finishSlices } from "../../src/telemetry/slices.ts";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";
import { use, type Steps } from "../harness.ts";
import { history, runEpisode } from "./episodes.ts";

/** How often members of events are read while `code` runs: whatever walks through a history reads some of each event. */
async function stepsOf(code: () => Promise<unknown>): Promise<number> {
  let steps = 0;
  const prototype = proto.HistoryEvent.prototype as unknown as Record<string, unknown>;
  const spies = Object.getOwnPropertyNames(prototype)
    .filter((name) => /^(?:has|get)[A-Z]/.test(name))
    .map((name) => {
      const original = prototype[name] as (...args: unknown[]) => unknown;
      prototype[name] = function (this: unknown, ...args: unknown[]) {
        steps += 1;
        return Reflect.apply(original, this, args);
      };
      return () => void (prototype[name] = original);
    });
  try {
    await code();
  } finally {
    for (const restore of spies) restore();
  }
  return steps;
}

const untimed = (event: HistoryEvent): HistoryEvent => event.setTimestamp(undefined);
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

const failure = Object.assign(new Error("no"), { stack: undefined });

interface Shape {
  readonly orchestrator: string;
  readonly logging?: DurableTelemetryOptions["logging"];
  readonly past: (count: number) => readonly HistoryEvent[];
  readonly fresh: (count: number) => readonly HistoryEvent[];
}

const startAs = (name: string): readonly HistoryEvent[] => [history.episode(0), history.started(name)];

const shapes: Readonly<Record<string, Shape>> = {
  "events without a time of their own, all of them new": {
    orchestrator: "ends",
    past: () => [],
    fresh: (count) => [...startAs("ends"), ...many(count, () => untimed(history.raised("news", 1)))],
  },
  "events sent in one episode": {
    orchestrator: "sends",
    past: () => [],
    fresh: (count) => [history.episode(0), history.started("sends", { input: count })],
  },
  "activities scheduled and completed": {
    orchestrator: "fans",
    past: (count) => [
      history.episode(0),
      history.started("fans", { input: count }),
      ...many(count, (index) => history.scheduled(index + 1, "step", 1)),
    ],
    fresh: (count) => [history.episode(5), ...many(count, (index) => history.completed(index + 1, null, 4))],
  },
  "activities that are still out when the orchestration ends": {
    orchestrator: "leaves",
    past: (count) => [
      history.episode(0),
      history.started("leaves", { input: count }),
      ...many(count, (index) => history.scheduled(index + 1, "step", 1)),
      history.timerCreated(count + 1, 2, 1),
    ],
    fresh: (count) => [history.episode(5), history.timerFired(count + 1, 2, 4)],
  },
  "activities that are given up": {
    orchestrator: "gives up",
    logging: { logger: new NoOpLogger() },
    past: (count) => [
      history.episode(0),
      history.started("gives up", { input: count }),
      ...many(count, (index) => history.scheduled(index + 1, "step", 1)),
    ],
    fresh: (count) => [history.episode(5), ...many(count, (index) => history.failed(index + 1, failure, 4))],
  },
};

async function run({ past, fresh, logging = false }: Shape, count: number): Promise<OrchestratorResponse> {
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), { metrics: false, logging });
  worker.addNamedOrchestrator("ends", async () => "done");
  worker.addNamedOrchestrator("sends", async (ctx: OrchestrationContext, events: number) => {
    for (let index = 0; index < events; index += 1) ctx.sendEvent("other", "news");
  });
  worker.addNamedOrchestrator("fans", async function* (ctx: OrchestrationContext, activities: number): Steps<void> {
    yield whenAll(many(activities, () => ctx.callActivity("step")));
  });
  worker.addNamedOrchestrator("leaves", async function* (ctx: OrchestrationContext, activities: number): Steps<void> {
    for (let index = 0; index < activities; index += 1) ctx.callActivity("step");
    yield ctx.createTimer(0.002);
  });
  worker.addNamedOrchestrator("gives up", async function* (ctx: OrchestrationContext, activities: number): Steps<void> {
    const retry = (): boolean => false;
    try {
      yield whenAll(many(activities, () => ctx.callActivity("step", null, { retry })));
    } catch {
      return;
    }
  });
  return runEpisode(worker, { past: past(count), fresh: fresh(count) });
}

describe("An episode", () => {
  it.each(Object.entries(shapes))(
    "K1 with %s takes as many steps for each of 100,000 as for each of 1,000",
    { timeout: 300_000 },
    async (_, shape) => {
      let spans = 0;
      use(
        new TracerProvider({
          sampler: new AlwaysOnSampler(),
          spanProcessors: [
            {
              onStart: () => undefined,
              onEnd: () => void (spans += 1),
              forceFlush: async () => undefined,
              shutdown: async () => undefined,
            },
          ],
        }),
      );
      onTestFinished(() =>
        use({
          getTracer: () => {
            throw new Error("Nobody asks it.");
          },
        }),
      );
      const perEvent: number[] = [];
      for (const count of [1000, 100_000]) {
        const steps = await stepsOf(async () => {
          const response = await run(shape, count);
          finishSlices();
          expect(
            response
              .getActionsList()
              .some((action) => action.getCompleteorchestration()?.getFailuredetails() !== undefined),
          ).toBe(false);
        });
        perEvent.push(steps / count);
      }
      expect(spans).toBeGreaterThanOrEqual(2);
      const [few = 0, most = Number.POSITIVE_INFINITY] = perEvent;
      expect(most).toBeLessThan(few * 1.2);
    },
  );
});
