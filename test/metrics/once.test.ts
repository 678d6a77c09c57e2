import {
  HistoryEventType,
  NoOpLogger,
  RetryPolicy,
  TaskHubGrpcWorker,
  whenAll,
  type ActivityContext,
  type HistoryEvent,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { metrics as api } from "@opentelemetry/api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metrics } from "../../middlewares/metrics/index.ts";
import { withDurableTelemetry } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import * as hubs from "./expected-measurements.ts";
import { meterProvider, WorkItems, type Collected } from "./record-metrics.ts";

// One run of many orchestrations, on two workers, of which one is stopped with an activity in flight and replaced.
// All tests below look at what was recorded, beside the histories that the hub has.

const NAME = "durabletask.task.name";
const VERSION = "durabletask.task.version";
const STATUS = "durabletask.task.status";
const OUTCOME = "durabletask.outcome";
const TYPE = "durabletask.type";
const ERROR = "error.type";

const workItems = new WorkItems();
const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 10 });

// Where the activity `held` runs first; its worker is stopped then.
const held = Promise.withResolvers<TaskHubGrpcWorker>();
const released = Promise.withResolvers<void>();
let heldRuns = 0;

// Each attempt has a task ID of its own, also if it runs twice.
const attemptsOf = new Map<string, number[]>();
function attempt(key: string, taskId: number): number {
  const known = attemptsOf.get(key) ?? [];
  attemptsOf.set(key, known);
  if (!known.includes(taskId)) known.push(taskId);
  return known.indexOf(taskId) + 1;
}

async function startWorker(hub: Hub): Promise<TaskHubGrpcWorker> {
  const options = { hostAddress: hub.sidecar.address, logger: new NoOpLogger(), shutdownTimeoutMs: 100 };
  const worker = withDurableTelemetry(new TaskHubGrpcWorker(options), {
    middlewares: () => [workItems.middleware, metrics()],
  });

  worker.addNamedActivity("step", (_: ActivityContext, value: number) => value + 1);
  worker.addNamedActivity("fail", () => {
    throw new RangeError("no such order");
  });
  worker.addNamedActivity("flaky", (ctx: ActivityContext, key: string) => {
    if (attempt(`${ctx.orchestrationId} ${key}`, ctx.taskId) < 3) throw new TypeError("not yet");
  });
  worker.addNamedActivity("held", async () => {
    heldRuns += 1;
    if (heldRuns > 1) return;
    held.resolve(worker);
    await released.promise;
  });

  worker.addNamedOrchestrator("fifty", async function* (ctx: OrchestrationContext): Steps<number> {
    let value = 0;
    while (value < 20) value = yield ctx.callActivity("step", value, { version: "2.0" });
    yield ctx.callActivity("held");
    yield ctx.createTimer(0.02);
    // 3 attempts each.
    yield whenAll([1, 2, 3].map((key) => ctx.callActivity("flaky", key, { retry })));
    yield ctx.callSubOrchestrator("child", "good");
    yield* caught(ctx.callSubOrchestrator("child", "bad"));
    yield ctx.createTimer(0.02);
    const rest = Array.from({ length: 20 }, (_, index) => ctx.callActivity<number, number>("step", index));
    yield whenAll(rest);
    return value;
  });
  worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext, kind: string): Steps {
    return yield ctx.callActivity(kind === "bad" ? "fail" : "step", 1);
  });
  worker.addNamedOrchestrator("waits", async function* (ctx: OrchestrationContext): Steps<void> {
    yield ctx.callActivity("step", 1);
    ctx.setCustomStatus("waiting");
    yield ctx.waitForExternalEvent("go");
  });
  worker.addNamedOrchestrator("generations", async function* (ctx: OrchestrationContext, left: number): Steps<void> {
    yield ctx.callActivity("step", left);
    ctx.setCustomStatus(`waiting in ${left}`);
    yield ctx.waitForExternalEvent("go");
    if (left > 1) ctx.continueAsNew(left - 1, false);
  });
  await worker.start();
  return worker;
}

async function* caught(task: ReturnType<OrchestrationContext["callSubOrchestrator"]>): Steps<void> {
  try {
    yield task;
  } catch {
    return;
  }
}

async function untilCustomStatus(hub: Hub, id: string, status: string): Promise<void> {
  for (;;) {
    const state = await hub.client.getOrchestrationState(id);
    if (state?.serializedCustomStatus === JSON.stringify(status)) return;
  }
}

async function terminated(hub: Hub): Promise<readonly HistoryEvent[]> {
  const id = await hub.client.scheduleNewOrchestration("waits");
  await untilCustomStatus(hub, id, "waiting");
  await hub.client.terminateOrchestration(id, "enough");
  await hub.client.waitForOrchestrationCompletion(id);
  return hub.client.getOrchestrationHistory(id);
}

/** The history of each generation, as it is before the last episode, with what the hub then adds. */
async function generations(hub: Hub): Promise<(readonly HistoryEvent[])[]> {
  const id = await hub.client.scheduleNewOrchestration("generations", 3);
  const histories: (readonly HistoryEvent[])[] = [];
  for (const left of [3, 2, 1]) {
    await untilCustomStatus(hub, id, `waiting in ${left}`);
    const waiting = await hub.client.getOrchestrationHistory(id);
    const timestamp = new Date();
    await hub.client.raiseOrchestrationEvent(id, "go");
    if (left === 1) continue;
    const [episode] = waiting;
    if (episode === undefined) throw new Error("The history is empty.");
    histories.push([
      ...waiting,
      { ...episode, timestamp },
      { type: HistoryEventType.EventRaised, name: "go", eventId: -1, timestamp },
    ]);
  }
  await hub.client.waitForOrchestrationCompletion(id);
  return [...histories, await hub.client.getOrchestrationHistory(id)];
}

async function completed(hub: Hub): Promise<(readonly HistoryEvent[])[]> {
  const state = await hub.run("fifty", null, { instanceId: "fifty-1", version: "1.1" });
  const history = await hub.client.getOrchestrationHistory(state.instanceId);
  const below = hubs.children(hubs.executionOf(history));
  return [history, ...(await Promise.all(below.map((id) => hub.client.getOrchestrationHistory(id))))];
}

let executions: readonly hubs.Execution[];
let recorded: Collected;
const workers: TaskHubGrpcWorker[] = [];

beforeAll(async () => {
  const provider = meterProvider();
  api.setGlobalMeterProvider(provider.provider);
  const hub = await startHub();
  workers.push(await startWorker(hub), await startWorker(hub));
  const histories = Promise.all([
    completed(hub),
    generations(hub),
    terminated(hub),
    terminated(hub).then((each) => [each]),
  ]);
  const doomed = await held.promise;
  await doomed.stop();
  workers.splice(workers.indexOf(doomed), 1, await startWorker(hub));
  const [first, second, third, fourth] = await histories;
  released.resolve();
  await workItems.over();
  executions = [...first, ...second, third, ...fourth].map(hubs.executionOf);
  recorded = await provider.collect();
});
afterAll(async () => {
  api.disable();
  await Promise.all(workers.map((worker) => worker.stop()));
});

const label = (...parts: readonly unknown[]): string => parts.map(String).join(" ");
const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
const names = (): readonly string[] => [...new Set(executions.map(({ name }) => name))];
const of = (name: string): readonly hubs.Execution[] => executions.filter((each) => each.name === name);
const allAttempts = (): readonly hubs.Attempt[] => executions.flatMap(hubs.attempts);

describe("On two workers, one of them replaced half-way, each history event is recorded exactly once", () => {
  it("and there is much to record", () => {
    expect(of("fifty").flatMap(hubs.attempts)).toHaveLength(50);
    expect(heldRuns).toBe(2);
    expect(hubs.tally(executions.map(({ name, status }) => label(name, status)))).toEqual({
      "fifty Completed": 1,
      "child Completed": 1,
      "child Failed": 1,
      "generations ContinuedAsNew": 2,
      "generations Completed": 1,
      "waits Terminated": 2,
    });
    // More episodes than that were replayed by both workers.
    expect(executions.flatMap(hubs.episodes).length).toBeGreaterThan(40);
  });

  it("durabletask.orchestration.started counts the starts", () => {
    expect(recorded.counts("durabletask.orchestration.started", NAME, VERSION)).toEqual(
      hubs.tally(executions.map(({ name, version }) => label(name, version))),
    );
  });

  it("durabletask.orchestration.duration has each finish, with its status and what failed", () => {
    const finishes = executions.map(({ name, version, status, errorType }) => label(name, version, status, errorType));
    expect(recorded.counts("durabletask.orchestration.duration", NAME, VERSION, STATUS, ERROR)).toEqual(
      hubs.tally(finishes),
    );
    expect(finishes).toContain("child undefined Failed RangeError");
  });

  it("durabletask.orchestration.duration lasts from the first episode to the end", () => {
    for (const name of names()) {
      const { sum: total } = recorded.total("durabletask.orchestration.duration", { [NAME]: name });
      const bounds = of(name).map((each) => {
        const [earliest, latest] = hubs.endsBetween(each);
        const start = hubs.startedAt(each);
        return [(earliest - start) / 1000, (latest - start) / 1000] as const;
      });
      expect(total, name).toBeGreaterThanOrEqual(sum(bounds.map(([least]) => least)) - 0.0001);
      expect(total, name).toBeLessThanOrEqual(sum(bounds.map(([, most]) => most)) + 0.0001);
    }
  });

  it("durabletask.orchestration.episodes and .history.size have what the histories have", () => {
    for (const name of names()) {
      const count = of(name).length;
      expect(recorded.total("durabletask.orchestration.episodes", { [NAME]: name }), name).toEqual({
        count,
        sum: of(name).flatMap(hubs.episodes).length,
      });
      expect(recorded.total("durabletask.orchestration.history.size", { [NAME]: name }), name).toEqual({
        count,
        sum: sum(of(name).map(hubs.eventsAtTheFinish)),
      });
    }
  });

  it("durabletask.episode.duration has each episode, with how it ended", () => {
    const outcomes = {
      Completed: "completed",
      Failed: "failed",
      Terminated: "terminated",
      ContinuedAsNew: "continued_as_new",
    };
    const ends = executions.flatMap((each) => [
      ...hubs
        .episodes(each)
        .slice(1)
        .map(() => label(each.name, "waiting")),
      label(each.name, outcomes[each.status]),
    ]);
    expect(recorded.counts("durabletask.episode.duration", NAME, OUTCOME)).toEqual(hubs.tally(ends));
  });

  it("durabletask.episode.replayed_events has what each episode replayed", () => {
    for (const name of names()) {
      // What lies before the event that began the episode.
      const replayed = of(name).flatMap(hubs.episodes);
      expect(recorded.total("durabletask.episode.replayed_events", { [NAME]: name }), name).toEqual({
        count: replayed.length,
        sum: sum(replayed),
      });
    }
  });

  it("durabletask.activity.duration has each attempt once, also the one that ran on both workers", () => {
    expect(recorded.counts("durabletask.activity.duration", NAME, VERSION, ERROR)).toEqual(
      hubs.tally(allAttempts().map(({ name, version, errorType }) => label(name, version, errorType))),
    );
    expect(recorded.total("durabletask.activity.duration", { [NAME]: "held" }).count).toBe(1);
  });

  it("durabletask.activity.duration is shorter than the turnaround", () => {
    const { sum: total } = recorded.total("durabletask.activity.duration");
    expect(total).toBeGreaterThan(0);
    // The history's times are whole milliseconds.
    expect(total).toBeLessThan(sum(allAttempts().map(({ turnaround }) => turnaround + 0.001)));
  });

  it("durabletask.activity.turnaround has the times of the history", () => {
    const outcomeOf = ({ errorType }: hubs.Attempt): string => (errorType === undefined ? "completed" : "failed");
    expect(recorded.counts("durabletask.activity.turnaround", NAME, OUTCOME)).toEqual(
      hubs.tally(allAttempts().map((each) => label(each.name, outcomeOf(each)))),
    );
    for (const { attributes, sum: total } of recorded.points("durabletask.activity.turnaround")) {
      const same = allAttempts().filter(
        (each) => each.name === attributes[NAME] && outcomeOf(each) === attributes[OUTCOME],
      );
      expect(total, JSON.stringify(attributes)).toBeCloseTo(sum(same.map(({ turnaround }) => turnaround)), 6);
    }
  });

  it("durabletask.activity.active is back at zero", () => {
    expect(recorded.counts("durabletask.activity.active", NAME)).toEqual({ fail: 0, flaky: 0, held: 0, step: 0 });
  });

  it("durabletask.task.retries counts the attempts after the first", () => {
    expect(recorded.counts("durabletask.task.retries", NAME, TYPE)).toEqual({ "flaky activity": 6 });
    expect(executions.flatMap(hubs.scheduledNames).filter((name) => name === "flaky")).toHaveLength(9);
  });

  it("durabletask.timer.lag has each timer that fired, those of retries too", () => {
    const lags = of("fifty").flatMap(hubs.timerLags);
    expect(lags).toHaveLength(2 + 6);
    expect(recorded.counts("durabletask.timer.lag", NAME)).toEqual({ fifty: lags.length });
    expect(recorded.total("durabletask.timer.lag").sum).toBeCloseTo(sum(lags), 6);
  });

  it("nothing broke, and no attribute holds an instance ID", () => {
    expect(recorded.instrument("durabletask.middleware.errors")).toBeUndefined();
    const values = recorded.instruments.flatMap(({ descriptor }) =>
      recorded.points(descriptor.name).flatMap(({ attributes }) => Object.values(attributes).map(String)),
    );
    const ids = executions.flatMap(hubs.ids);
    expect(ids.length).toBeGreaterThan(executions.length);
    expect(values.filter((value) => ids.some((id) => value.includes(id)))).toEqual([]);
  });
});
