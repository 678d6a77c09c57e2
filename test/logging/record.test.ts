import { HistoryEventType, type OrchestrationContext } from "@microsoft/durabletask-js";
import { logs } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { register } from "../e2e/scenarios.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { at, episodeWorker, history, runEpisode } from "../tracing/episodes.ts";
import { runActivity } from "../tracing/activities.ts";
import { hostWorker } from "../worker/requests.ts";
import { logged, loggerProvider, recordLogs, untraced } from "./record-logs.ts";

const items = new WorkItems();
let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker(logged({}, items.middleware), register);
});

describe("A record", () => {
  it("L1 has the durable time of its history event", async () => {
    const recorded = recordLogs();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge");
      });
    }, untraced());
    const before = Date.now();
    const past = [history.episode(7), history.started("order", { version: "2.0" })];
    await runEpisode(worker, { fresh: past });
    await runEpisode(worker, {
      past: [...past, history.scheduled(1, "charge", 8)],
      fresh: [history.episode(40), history.completed(1, null, 30)],
    });
    const [started, finished] = recorded.events;
    expect(recorded.events).toHaveLength(2);
    expect(started && hrTimeToMilliseconds(started.hrTime)).toBe(at(7).getTime());
    expect(started && hrTimeToMilliseconds(started.hrTimeObserved)).toBeGreaterThanOrEqual(before);
    expect(finished && hrTimeToMilliseconds(finished.hrTime)).toBeGreaterThanOrEqual(before);
  });

  it("L1 of an activity has the time of its start, and of its response, however long the backend takes to accept that", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: at(10) });
    onTestFinished(() => void vi.useRealTimers());
    const recorded = recordLogs();
    const worker = hostWorker(untraced());
    worker.addNamedActivity("charge", () => void vi.setSystemTime(at(20)));
    await runActivity(worker, { name: "charge", complete: () => void vi.setSystemTime(at(30)) });
    expect(recorded.events.map(({ hrTime }) => hrTimeToMilliseconds(hrTime))).toEqual([
      at(10).getTime(),
      at(20).getTime(),
    ]);
  });

  it("L1 of a suspension has the time of the suspension, and the same event twice is two records", async () => {
    const recorded = recordLogs();
    const id = await hub.client.scheduleNewOrchestration("waits");
    await recorded.waitFor((records) => records.some(({ eventName }) => eventName === "durabletask.activity.finished"));
    for (const count of [1, 2]) {
      const isLogged = (what: string) => () =>
        recorded.events.filter(({ eventName }) => eventName === `durabletask.orchestration.${what}`).length === count;
      await hub.client.suspendOrchestration(id);
      await recorded.waitFor(isLogged("suspended"));
      await hub.client.resumeOrchestration(id);
      await recorded.waitFor(isLogged("resumed"));
    }
    await hub.client.raiseOrchestrationEvent(id, "go", 1);
    await hub.client.waitForOrchestrationCompletion(id);
    const times = (await hub.client.getOrchestrationHistory(id)).flatMap(({ type, timestamp }) =>
      type === HistoryEventType.ExecutionSuspended || type === HistoryEventType.ExecutionResumed
        ? [timestamp.getTime()]
        : [],
    );
    const turns = recorded.events.filter(({ eventName = "" }) => /suspended|resumed/.test(eventName));
    expect(turns.map(({ hrTime }) => hrTimeToMilliseconds(hrTime))).toEqual(times);
  });

  it("S3 of a failure has the exception's details, once, and the error's type on both ends", async () => {
    const recorded = recordLogs();
    const id = (await hub.run("failure")).instanceId;
    await items.over();
    const failures = recorded.events.filter(({ severityText }) => severityText === "ERROR");
    expect(failures.map(({ eventName, attributes }) => ({ eventName, attributes }))).toEqual([
      {
        eventName: "durabletask.activity.failed",
        attributes: {
          "durabletask.task.name": "fail",
          "durabletask.task.instance_id": id,
          "durabletask.task.execution_id": expect.any(String),
          "durabletask.task.task_id": 2,
          "durabletask.task.status": "Failed",
          "error.type": "RangeError",
          "exception.type": "RangeError",
          "exception.message": "no such order",
          "exception.stacktrace": expect.stringContaining("scenarios.ts"),
        },
      },
      {
        eventName: "durabletask.orchestration.finished",
        attributes: {
          "durabletask.task.name": "failure",
          "durabletask.task.instance_id": id,
          "durabletask.task.execution_id": expect.any(String),
          "durabletask.task.status": "Failed",
          "error.type": "RangeError",
          "durabletask.error.type": "TaskFailedError",
          "exception.type": "TaskFailedError",
          "exception.message": "Activity task #2 failed: no such order",
          "exception.stacktrace": expect.stringMatching(
            /^TaskFailedError: Activity[^]*\nCaused by: RangeError: no such order\n.*scenarios\.ts/,
          ),
        },
      },
    ]);
    expect(failures.map(({ body }) => body)).toEqual([
      `Activity fail failed (task 2 of instance ${id}): RangeError: no such order`,
      `Orchestration failure failed (instance ${id}): TaskFailedError: Activity task #2 failed: no such order; caused by RangeError: no such order`,
    ]);
  });

  it("S3 of a failure without a stack trace has no attribute for one", async () => {
    const ends: unknown[] = [];
    const none = (): void => undefined;
    const error = (_: string, fields: unknown): void => void ends.push(fields);
    const worker = hostWorker(untraced({ logger: { error, warn: none, info: none, debug: none } }));
    worker.addNamedActivity("plain", () => {
      throw Object.assign(new RangeError("negative"), { stack: undefined });
    });
    await runActivity(worker, { name: "plain" });
    expect(ends).toStrictEqual([
      {
        "event.name": "durabletask.activity.failed",
        "durabletask.task.name": "plain",
        "durabletask.task.instance_id": "instance-1",
        "durabletask.task.task_id": 1,
        "durabletask.task.status": "Failed",
        "error.type": "RangeError",
        "exception.type": "RangeError",
        "exception.message": "negative",
      },
    ]);
  });

  it("L1 has the package's scope", async () => {
    const recorded = recordLogs();
    await hub.run("sequence", 1);
    await items.over();
    expect(new Set(recorded.events.map(({ instrumentationScope }) => instrumentationScope.name))).toEqual(
      new Set(["durable-telemetry"]),
    );
  });
});

describe("The LoggerProvider", () => {
  it("L1 may be registered after the worker, and be replaced: each gets what happens in its time", async () => {
    onTestFinished(() => logs.disable());
    await hub.run("sequence", 1);
    const seen: number[] = [];
    for (const count of [1, 2]) {
      const recorded = loggerProvider();
      logs.setGlobalLoggerProvider(recorded.provider);
      await hub.run("sequence", count);
      await items.over();
      logs.disable();
      seen.push(recorded.events.length);
    }
    expect(seen).toEqual([4, 6]);
  });
});
