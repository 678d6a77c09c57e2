/** How the engine's work grows, in counts instead of times. */
import { createHook } from "node:async_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  InMemoryOrchestrationBackend,
  OrchestrationStatus,
  TestOrchestrationClient,
  TestOrchestrationWorker,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withDurableTelemetry, type DurableTelemetryOptions, type MiddlewareObject } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";
import type { Steps } from "../harness.ts";
import { around } from "./cases.ts";
import { episodesOf, events, type HistoryEvent } from "./episodes.ts";

const functions = (count: number): MiddlewareObject[] =>
  Array.from({ length: count }, (_, index) => around(`function ${index}`, async (ctx, next) => void (await next(ctx))));
const generators = (count: number): MiddlewareObject[] =>
  Array.from({ length: count }, (_, index) =>
    around(`generator ${index}`, async function* (ctx, next) {
      return yield* next(ctx);
    }),
  );

/** How many promises an episode makes that replays `steps` activities, or receives as many events. */
async function promisesIn(
  kind: "activities" | "events",
  steps: number,
  use: readonly MiddlewareObject[],
): Promise<number> {
  const episode = episodesOf(
    async function* (ctx: OrchestrationContext): Steps<void> {
      for (let step = 0; step < steps; step += 1)
        yield kind === "activities" ? ctx.callActivity("work") : ctx.waitForExternalEvent("event");
    },
    { use },
  );
  const history = Array.from({ length: steps }, (_, index): HistoryEvent[] =>
    kind === "activities"
      ? [events.newTaskScheduledEvent(index + 1, "work"), events.newTaskCompletedEvent(index + 1)]
      : [events.newEventRaisedEvent("event")],
  ).flat();
  let promises = 0;
  const hook = createHook({ init: (_, type) => void (promises += type === "PROMISE" ? 1 : 0) }).enable();
  await episode(history.slice(0, -1), history.slice(-1));
  hook.disable();
  return promises;
}

describe.each(["activities", "events"] as const)("D4 An episode with many %s", (kind) => {
  it("makes the same few promises for each step, however many steps and middlewares there are", async () => {
    const perStep = async (from: number, to: number, use: readonly MiddlewareObject[]): Promise<number> =>
      ((await promisesIn(kind, to, use)) - (await promisesIn(kind, from, use))) / (to - from);
    const bare = await perStep(10, 1_000, []);
    const one = await perStep(10, 1_000, functions(1));
    // What the SDK gets, the wait for it, and its await's own; a generator inside makes as many as without.
    expect(one - bare).toBeLessThanOrEqual(4);
    for (const use of [functions(4), functions(40), generators(1), [...functions(3), ...generators(3)]]) {
      expect(await perStep(10, 1_000, use)).toBeCloseTo(one, 1);
    }
    const most = kind === "activities" ? 50_000 : 100_000;
    expect(await perStep(1_000, most, functions(4))).toBeCloseTo(one, 1);
  });
});

describe("O10 An orchestration that continues as new again and again", () => {
  const gc = (): void => {
    setFlagsFromString("--expose-gc");
    (runInNewContext("gc") as () => void)();
  };
  // The SDK's in-memory worker logs to the console.
  const { info, debug } = console;
  beforeEach(() => void Object.assign(console, { info: () => undefined, debug: () => undefined }));
  afterEach(() => {
    Object.assign(console, { info, debug });
    vi.restoreAllMocks();
  });

  // The in-memory worker does not leave the microtask queue meanwhile.
  async function generations(
    count: number,
    options: DurableTelemetryOptions,
    at: (generation: number) => void,
  ): Promise<void> {
    const backend = new InMemoryOrchestrationBackend();
    const worker = withDurableTelemetry(new TestOrchestrationWorker(backend), options);
    worker.addNamedOrchestrator("generations", (ctx: OrchestrationContext, generation: number) => {
      at(generation);
      if (generation < count) ctx.continueAsNew(generation + 1, false);
      return generation;
    });
    await worker.start();
    const client = new TestOrchestrationClient(backend);
    const state = await client.waitForOrchestrationCompletion(
      await client.scheduleNewOrchestration("generations", 1),
      true,
      80,
    );
    await worker.stop();
    expect([state?.runtimeStatus, state?.serializedOutput]).toEqual([OrchestrationStatus.COMPLETED, String(count)]);
  }

  it("keeps nothing of a generation, even while no macrotask comes", async () => {
    const heap: number[] = [];
    await generations(6_000, { ...customOnly, use: functions(4) }, (generation) => {
      if (generation % 2_000 !== 0) return;
      gc();
      heap.push(process.memoryUsage().heapUsed);
    });
    const [, early = 0, late = 0] = heap;
    // Each generation makes some ten kibibytes.
    expect((late - early) / 2_000).toBeLessThan(1_000);
  });

  it("waits for one macrotask in all, over 100,000 generations", async () => {
    const macrotasks = vi.spyOn(globalThis, "setImmediate");
    let before = 0;
    let after = 0;
    await generations(100_000, { ...customOnly, use: functions(1) }, (generation) => {
      if (generation === 1) before = macrotasks.mock.calls.length;
      if (generation === 100_000) after = macrotasks.mock.calls.length;
    });
    expect(after - before).toBe(0);
  });
});
