import {
  InMemoryOrchestrationBackend,
  NoOpLogger,
  RetryPolicy,
  TaskHubGrpcWorker,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import type { HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { beforeAll, describe, expect, it } from "vitest";
import { metrics } from "../../middlewares/metrics/index.ts";
import { withDurableTelemetry } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { at, history } from "../tracing/episodes.ts";
import { recordMetrics, WorkItems } from "./record-metrics.ts";
import { refusal, runActivity, runEpisode } from "./work-items.ts";

const NAME = "durabletask.task.name";
const TYPE = "durabletask.type";
const workItems = new WorkItems();

function worker(register: (worker: TaskHubGrpcWorker) => void): TaskHubGrpcWorker {
  const made = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
    middlewares: () => [metrics()],
  });
  register(made);
  return made;
}

describe("A response", () => {
  const shop = worker((each) => {
    each.addNamedActivity("charge", () => 1);
    each.addNamedOrchestrator("order", () => 1);
  });
  const fresh = [history.episode(), history.started("order")];

  it.each([
    ["that the backend takes is recorded", null, 1],
    ["that it refuses, as the work item is another worker's by now, is not", refusal(5), 0],
    ["that it refuses, as the work item is over, is not", refusal(9), 0],
    ["that may have arrived is not: the work item may come again", refusal(14), 0],
    ["that nobody answered in time is not", refusal(4), 0],
  ])("%s", async (_, answer, count) => {
    const recorded = recordMetrics();
    await runActivity(shop, "charge", answer);
    await runEpisode(shop, { fresh }, answer);
    const collected = await recorded.collect();
    const { active, ...recordedOnce } = {
      activities: collected.total("durabletask.activity.duration").count,
      started: collected.total("durabletask.orchestration.started").count,
      finished: collected.total("durabletask.orchestration.duration").count,
      episodes: collected.total("durabletask.episode.duration").count,
      active: collected.points("durabletask.activity.active").map(({ sum }) => sum),
    };
    expect(recordedOnce).toEqual({ activities: count, started: count, finished: count, episodes: count });
    // That one is not about facts: the activity ran, and runs no more.
    expect(active).toEqual([0]);
    // Nor is that one, and there is no cache that could have been asked.
    expect(collected.instrument("durabletask.activity.cache.requests")).toBeUndefined();
  });

  it("that an in-memory backend refuses is not recorded either", async () => {
    const recorded = recordMetrics();
    for (const size of [1, 100]) {
      const {
        backend,
        client,
        worker: inMemory,
      } = inMemoryHub({ middlewares: () => [metrics()] }, new InMemoryOrchestrationBackend(size));
      inMemory.addNamedOrchestrator("order", () => 1);
      const id = await client.scheduleNewOrchestration("order");
      const processed: unknown = Reflect.apply(Reflect.get(inMemory, "processOrchestration"), inMemory, [
        backend.getInstance(id),
      ]);
      if (size === 1) await expect(processed).rejects.toThrow("maximum history size");
      else await processed;
    }
    expect((await recorded.collect()).total("durabletask.orchestration.started")).toEqual({ count: 1, sum: 1 });
  });
});

describe("durabletask.activity.active", () => {
  let hub: Hub;
  let open = Promise.withResolvers<void>();
  const begun = new EventTarget();
  beforeAll(async () => {
    hub = await startHub();
    await hub.worker({ middlewares: () => [workItems.middleware, metrics()] }, (each) => {
      each.addNamedActivity("wait", async () => {
        begun.dispatchEvent(new Event("wait"));
        await open.promise;
      });
      each.addNamedActivity("big", () => 1n);
      each.addNamedOrchestrator("waits", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("wait");
      });
      each.addNamedOrchestrator("big", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("big");
      });
    });
  });

  it("is how many run now", async () => {
    const recorded = recordMetrics();
    const counts = async (): Promise<Record<string, number>> =>
      (await recorded.collect()).counts("durabletask.activity.active", NAME);
    open = Promise.withResolvers();
    const runs: Promise<unknown>[] = [];
    for (let count = 1; count <= 3; count += 1) {
      const next = new Promise((resolve) => begun.addEventListener("wait", resolve, { once: true }));
      runs.push(hub.run("waits"));
      await next;
      expect(await counts()).toEqual({ wait: count });
    }
    open.resolve();
    await Promise.all(runs);
    await workItems.over();
    expect(await counts()).toEqual({ wait: 0 });
  });

  it("counts off an activity whose result can't be sent", async () => {
    const recorded = recordMetrics();
    await hub.run("big");
    await workItems.over();
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.activity.active", NAME)).toEqual({ big: 0 });
    expect(collected.counts("durabletask.activity.duration", NAME, "error.type")).toEqual({ "big TypeError": 1 });
  });
});

describe("durabletask.task.retries", () => {
  const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 10 });

  it("counts those of activities and sub-orchestrations, by policy and by handler, and says which", async () => {
    const hub = await startHub();
    await hub.worker({ middlewares: () => [workItems.middleware, metrics()] }, (each) => {
      each.addNamedActivity("fail", () => {
        throw new Error("on purpose");
      });
      each.addNamedOrchestrator("child", () => {
        throw new Error("on purpose");
      });
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        const handled = async ({ lastAttemptNumber }: { lastAttemptNumber: number }): Promise<boolean> =>
          lastAttemptNumber < 2;
        for (const task of [
          () => ctx.callActivity("fail", null, { retry }),
          () => ctx.callActivity("fail", null, { retry: handled }),
          () => ctx.callActivity("fail"),
          () => ctx.callSubOrchestrator("child", null, { retry }),
        ]) {
          try {
            yield task();
          } catch {
            continue;
          }
        }
      });
    });
    const recorded = recordMetrics();
    await hub.run("order");
    await workItems.over();
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.task.retries", NAME, TYPE)).toEqual({
      "fail activity": 3,
      "child orchestration": 2,
    });
    // As many as ran beside the four first ones.
    expect(collected.total("durabletask.activity.duration").count).toBe(3 + 3);
    expect(collected.counts("durabletask.orchestration.started", NAME)).toEqual({ order: 1, child: 3 });
  });

  it("counts one once that the SDK returns again while the orchestration is suspended", async () => {
    const shop = worker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge", null, { retry });
      });
    });
    const recorded = recordMetrics();
    const failed = [
      history.episode(),
      history.started("order"),
      history.scheduled(1, "charge", 1),
      history.episode(5),
      history.failed(1, new Error("on purpose"), 4),
      history.timerCreated(2, 15, 5),
    ];
    const fired = [history.episode(20), history.timerFired(2, 15, 19), suspended(20)];
    await runEpisode(shop, { past: failed, fresh: fired });
    const count = async (): Promise<number> => (await recorded.collect()).total("durabletask.task.retries").count;
    expect(await count()).toBe(1);
    const second = [...failed, ...fired, history.scheduled(3, "charge", 21)];
    await runEpisode(shop, { past: second, fresh: [history.episode(30), raised()] });
    expect(await count()).toBe(1);
    await runEpisode(shop, {
      past: [...second, history.episode(30), raised()],
      fresh: [history.episode(40), history.completed(3, 1, 39)],
    });
    expect(await count()).toBe(1);
  });
});

const suspended = (time: number): HistoryEvent => {
  const event = events.newSuspendEvent();
  event.setTimestamp(history.episode(time).getTimestamp());
  return event;
};
const raised = (): HistoryEvent => events.newEventRaisedEvent("go", "1");

describe("Times", () => {
  it("that the backend does not tell are left out, and those of clocks that differ are not negative", async () => {
    const shop = worker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.createTimer(1);
        yield ctx.callActivity("charge");
      });
    });
    const recorded = recordMetrics();
    const timeless = (event: HistoryEvent): HistoryEvent => event.setTimestamp(undefined);
    const past = [history.episode(), history.started("order"), history.timerCreated(1, 1000, 0)];
    const charged = [
      ...past,
      history.episode(1000),
      history.timerFired(1, 1000, 990),
      history.scheduled(2, "charge", 1000),
    ];
    // Fired before it was due, by another clock; or the event was written when the timer was created, as durabletask-go does.
    await runEpisode(shop, { past, fresh: [history.episode(1250), history.timerFired(1, 1000, 0)] });
    await runEpisode(shop, {
      past: charged,
      fresh: [history.episode(1010), timeless(history.completed(2, null, 1005))],
    });
    const collected = await recorded.collect();
    expect(collected.total("durabletask.timer.lag")).toEqual({ count: 1, sum: 0.25 });
    expect(collected.instrument("durabletask.activity.turnaround")).toBeUndefined();
    expect(collected.total("durabletask.orchestration.episodes")).toEqual({ count: 1, sum: 3 });

    await runEpisode(shop, {
      past: charged.map(timeless),
      fresh: [timeless(history.episode()), timeless(history.completed(2, null, 0))],
    });
    const again = await recorded.collect();
    expect(again.total("durabletask.orchestration.episodes").count).toBe(2);
    expect(again.total("durabletask.orchestration.duration").count).toBe(1);
  });

  it("are in seconds", async () => {
    const shop = worker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.callActivity("charge");
      });
      each.addNamedActivity("charge", () => performance.now());
    });
    const recorded = recordMetrics();
    const day = 24 * 60 * 60 * 1000;
    const past = [history.episode(), history.started("order"), history.scheduled(1, "charge", 100)];
    const begin = performance.now();
    await runEpisode(shop, { past, fresh: [history.episode(day), history.completed(1, 1, day + 100)] });
    const episode = (performance.now() - begin) / 1000;
    const before = performance.now();
    await runActivity(shop, "charge");
    const took = (performance.now() - before) / 1000;
    const collected = await recorded.collect();
    expect(collected.total("durabletask.activity.turnaround").sum).toBe(day / 1000);
    expect(collected.total("durabletask.episode.duration").sum).toBeGreaterThan(0);
    expect(collected.total("durabletask.episode.duration").sum).toBeLessThanOrEqual(episode);
    expect(collected.total("durabletask.activity.duration").sum).toBeGreaterThan(0);
    expect(collected.total("durabletask.activity.duration").sum).toBeLessThanOrEqual(took);
    expect(collected.total("durabletask.orchestration.duration").sum).toBeCloseTo(
      (Date.now() - at(0).getTime()) / 1000,
      -1,
    );
  });
});

describe("A rewind", () => {
  it("is an episode, and not another start", async () => {
    const shop = worker((each) => each.addNamedOrchestrator("order", () => 1));
    const recorded = recordMetrics();
    const rewound = new pb.HistoryEvent()
      .setTimestamp(history.episode(20).getTimestamp())
      .setExecutionrewound(new pb.ExecutionRewoundEvent());
    const ended = events.newOrchestratorStartedEvent(at(5));
    ended.clearOrchestratorstarted();
    ended.setExecutioncompleted(new pb.ExecutionCompletedEvent());
    await runEpisode(shop, {
      past: [history.episode(), history.started("order"), ended],
      fresh: [history.episode(20), rewound],
    });
    const collected = await recorded.collect();
    expect(collected.counts("durabletask.episode.duration", NAME, "durabletask.outcome")).toEqual({
      "order rewound": 1,
    });
    expect(collected.instruments.map(({ descriptor }) => descriptor.name).toSorted()).toEqual([
      "durabletask.episode.duration",
      "durabletask.episode.replayed_events",
      "durabletask.orchestration.active",
    ]);
    expect(collected.total("durabletask.orchestration.active")).toMatchObject({ sum: 1 });
  });
});
