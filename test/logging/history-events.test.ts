import {
  HistoryEventType,
  type OrchestrationContext,
  type OrchestrationState,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import { register, scenarios } from "../e2e/scenarios.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { runActivity } from "../tracing/activities.ts";
import { hostWorker, orchestratorRequest, startEvents } from "../worker/requests.ts";
import { expectedRecords } from "./expected-events.ts";
import { attribute, isEnd, label, labelOf, logged, recordLogs, untraced, type RecordedLogs } from "./record-logs.ts";

const items = new WorkItems();
const withLogs = logged({}, items.middleware);

let hub: Hub;
let shared: Hub;
let replaced: Hub;
let crashed: Hub;
let rewinding: Hub;
beforeAll(async () => {
  [hub, shared, replaced, crashed, rewinding] = await Promise.all([
    startHub(),
    startHub(),
    startHub(),
    startHub(),
    startHub(),
  ]);
  await hub.worker(withLogs, (worker) => {
    register(worker);
    worker.addNamedOrchestrator("unknown activity", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("nowhere");
    });
  });
  await shared.worker(withLogs, register);
  await shared.worker(withLogs, register);
});

const instanceOf = (state: unknown): string => (state as OrchestrationState).instanceId;

/** All records that there are, in short, once the workers are done. */
async function labelsOf(recorded: RecordedLogs): Promise<readonly string[]> {
  await items.over();
  return recorded.events.map(labelOf).toSorted();
}

describe("L1 each history event is one log record", () => {
  const one = scenarios.filter(({ executions, name }) => executions === 1 || name.startsWith("sub-orchestrations"));

  it.each(one)("L1 $name: the records are the events of the task hub's history, each once", async ({ run }) => {
    const recorded = recordLogs();
    const id = instanceOf(await run(hub));
    expect(await labelsOf(recorded)).toEqual(await expectedRecords(hub.client, id));
  });

  it.each(one)("L1 $name: with two workers that share the work, they still are", async ({ run }) => {
    const recorded = recordLogs();
    const id = instanceOf(await run(shared));
    expect(await labelsOf(recorded)).toEqual(await expectedRecords(shared.client, id));
  });

  it("L1 continue-as-new ends one execution and starts another, and each has its own records", async () => {
    const recorded = recordLogs();
    const id = instanceOf(await hub.run("generations", 3));
    await items.over();
    expect(
      recorded.events.map((record) => label(record.eventName, attribute(record, "durabletask.task.status"))),
    ).toEqual(
      // An activity tells of itself as it starts; the episode that scheduled it, when the hub has its response.
      [1, 2, 3].flatMap((generation) => [
        expect.stringMatching(/^(orchestration|activity).started$/),
        expect.stringMatching(/^(orchestration|activity).started$/),
        "activity.finished Completed",
        `orchestration.finished ${generation === 3 ? "Completed" : "ContinuedAsNew"}`,
      ]),
    );
    const executions = recorded.events.map((record) => attribute(record, "durabletask.task.execution_id"));
    expect(new Set(executions).size).toBe(3);
    expect(new Set(recorded.events.map((record) => attribute(record, "durabletask.task.instance_id")))).toEqual(
      new Set([id]),
    );
  });

  it("L1 a worker that is stopped half-way and replaced changes nothing", async () => {
    const recorded = recordLogs();
    const waits = (worker: TaskHubGrpcWorker): void => {
      worker.addNamedActivity("step", () => "done");
      worker.addNamedOrchestrator("half-way", async function* (ctx: OrchestrationContext): Steps {
        for (let step = 0; step < 3; step += 1) yield ctx.callActivity("step");
        yield ctx.waitForExternalEvent("go on");
        for (let step = 0; step < 3; step += 1) yield ctx.callActivity("step");
        return "done";
      });
    };
    const [first] = await Promise.all([replaced.worker(withLogs, waits), replaced.worker(withLogs, waits)]);
    const finished = (count: number) => () =>
      recorded.events.filter(({ eventName }) => eventName === "durabletask.activity.finished").length === count;
    const id = await replaced.client.scheduleNewOrchestration("half-way");
    await recorded.waitFor(finished(3));
    await items.over();
    await first.stop();
    await replaced.worker(withLogs, waits);
    await replaced.client.raiseOrchestrationEvent(id, "go on");
    await replaced.client.waitForOrchestrationCompletion(id);
    const records = await expectedRecords(replaced.client, id);
    expect(records).toHaveLength(2 + 6 * 2);
    expect(await labelsOf(recorded)).toEqual(records);
  });

  it("L1 a worker that vanishes with an activity leaves its start; each history event is there once", async () => {
    const recorded = recordLogs();
    const running = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    let runs = 0;
    const tasks = (worker: TaskHubGrpcWorker): void => {
      worker.addNamedActivity("hang once", async () => {
        runs += 1;
        if (runs > 1) return "done";
        running.resolve();
        await release.promise;
        return "too late";
      });
      worker.addNamedOrchestrator("patient", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("hang once");
      });
    };
    const doomed = await crashed.worker(withLogs, tasks);
    const id = await crashed.client.scheduleNewOrchestration("patient");
    await running.promise;
    await doomed.stop();
    await crashed.worker(withLogs, tasks);
    await crashed.client.waitForOrchestrationCompletion(id);
    release.resolve();
    const records = await expectedRecords(crashed.client, id);
    const started = records.filter((each) => each.startsWith("activity.started"));
    expect(started).toHaveLength(1);
    expect(await labelsOf(recorded)).toEqual([...records, ...started].toSorted());
  });

  it.each(["nobody knows it", "unknown activity"])(
    "L1 what nobody registered is logged all the same: %s",
    async (name) => {
      const recorded = recordLogs();
      const id = instanceOf(await hub.run(name));
      const records = await expectedRecords(hub.client, id);
      expect(records.some((each) => each.includes(" Failed "))).toBe(true);
      expect(await labelsOf(recorded)).toEqual(records);
    },
  );

  it("L1 a rewind is one record, and what runs after it is reported again only for a new history event", async () => {
    const recorded = recordLogs();
    let broken = true;
    await rewinding.worker(withLogs, (worker) => {
      worker.addNamedActivity("steady", () => "done");
      worker.addNamedActivity("fragile", () => {
        if (broken) throw new RangeError("broken");
      });
      worker.addNamedOrchestrator("repaired", async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity("steady");
        return yield ctx.callActivity("fragile");
      });
    });
    const id = instanceOf(await rewinding.run("repaired"));
    broken = false;
    await rewinding.client.rewindInstance(id, "repaired");
    await recorded.waitFor((records) => records.filter(isEnd("repaired")).length === 2);
    await items.over();
    const short = (record: (typeof recorded.events)[number]): string =>
      label(
        record.eventName,
        record.eventName?.includes("activity") === true ? attribute(record, "durabletask.task.name") : undefined,
      );
    expect(recorded.events.map(short).toSorted()).toEqual(
      [
        "orchestration.started",
        "activity.started steady",
        "activity.finished steady",
        "activity.started fragile",
        "activity.failed fragile",
        "orchestration.finished",
        "orchestration.rewound",
        "activity.started fragile",
        "activity.finished fragile",
        "orchestration.finished",
      ].toSorted(),
    );
    const rewound = (await rewinding.client.getOrchestrationHistory(id)).filter(
      ({ type }) => type === HistoryEventType.ExecutionRewound,
    );
    expect(rewound).toHaveLength(1);
  });

  const undelivered = [
    Object.assign(new Error("stale token"), { code: 5 }),
    Object.assign(new Error("no connection"), { code: 14 }),
  ];

  it("L1 an episode whose response the backend refused, or may not have, is not logged: whoever comes after tells it", async () => {
    const recorded = recordLogs();
    const worker = hostWorker(untraced());
    worker.addNamedOrchestrator("plain", () => undefined);
    // The host entry takes every response; so this goes one step further in, where a backend may refuse.
    const internal = worker as unknown as {
      _executeOrchestratorInternal(request: unknown, token: string, stub: unknown): Promise<void>;
    };
    const run = (error: unknown): Promise<void> =>
      internal._executeOrchestratorInternal(orchestratorRequest(startEvents({ name: "plain" })), "", {
        completeOrchestratorTask: (_: unknown, __: unknown, done: (error: unknown) => void) => done(error),
      });
    for (const error of undelivered) await run(error);
    expect(recorded.events).toEqual([]);
    await run(null);
    expect(recorded.events.map(({ eventName }) => eventName)).toEqual([
      "durabletask.orchestration.started",
      "durabletask.orchestration.finished",
    ]);
  });

  it("L1 nor is the end of an activity whose response the backend refused, or may not have", async () => {
    const recorded = recordLogs();
    const worker = hostWorker(untraced());
    worker.addNamedActivity("charge", () => 1);
    for (const error of undelivered) await runActivity(worker, { name: "charge", complete: () => error });
    expect(recorded.events.map(({ eventName }) => eventName)).toEqual([
      "durabletask.activity.started",
      "durabletask.activity.started",
    ]);
    await runActivity(worker, { name: "charge" });
    expect(recorded.events.map(({ eventName }) => eventName).slice(2)).toEqual([
      "durabletask.activity.started",
      "durabletask.activity.finished",
    ]);
  });

  it("L1 the in-memory worker's orchestrations are logged as those over gRPC", async () => {
    const recorded = recordLogs();
    const memory = inMemoryHub(untraced());
    memory.worker.addNamedActivity("step", () => 1);
    memory.worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("step");
    });
    await memory.run("steps");
    await recorded.waitFor((records) => records.some(isEnd("steps")));
    expect(recorded.events.map(({ eventName }) => eventName)).toEqual([
      "durabletask.orchestration.started",
      "durabletask.activity.started",
      "durabletask.activity.finished",
      "durabletask.orchestration.finished",
    ]);
  });
});
