/** What a log says while an orchestration waits, and of attempts. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  RetryPolicy,
  whenAny,
  type OrchestrationContext,
  type RetryPolicyOptions,
  type TaskHubGrpcWorker,
  type TaskOptions,
} from "@microsoft/durabletask-js";
import { logs, SpanKind } from "@opentelemetry/api";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { logging } from "../../middlewares/index.ts";
import type { LoggingOptions } from "../../src/index.ts";
import { recordSpans, startHub, type Hub, type Steps } from "../harness.ts";
import { runActivity } from "../tracing/activities.ts";
import { at, episodeWorker, history, runEpisode } from "../tracing/episodes.ts";
import { firstEpisode, type Start } from "../worker/requests.ts";
import { attribute, isEnd, logged, recordLogs, untraced } from "./record-logs.ts";

type Retry = NonNullable<TaskOptions["retry"]>;
const policy = (more: Partial<RetryPolicyOptions>): RetryPolicy =>
  new RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 10, ...more });
function fail(message: string): never {
  throw new RangeError(message);
}

const waiting = "durabletask.orchestration.waiting";
const first = [history.episode(0), history.started("order")];

/** The records of what the first episode of `order` ended waiting for. */
async function waitingAfter(
  order: (ctx: OrchestrationContext) => Steps,
  options: LoggingOptions = {},
  episode: Parameters<typeof runEpisode>[1] = { fresh: first },
): Promise<readonly ReadableLogRecord[]> {
  const recorded = recordLogs();
  const worker = episodeWorker((each) => each.addNamedOrchestrator("order", order), untraced(options));
  await runEpisode(worker, episode);
  const found = recorded.records.filter(({ eventName }) => eventName === waiting);
  logs.disable();
  return found;
}

describe("An episode that ends waiting", () => {
  it("L5 says for which events, timers and tasks, at DEBUG", async () => {
    const [record, ...more] = await waitingAfter(async function* (ctx) {
      yield whenAny([
        ctx.waitForExternalEvent("Approval"),
        ctx.createTimer(new Date(at(60_000))),
        ctx.callActivity("charge"),
        ctx.callSubOrchestrator("ship"),
      ]);
    });
    expect(more).toEqual([]);
    expect(record).toMatchObject({
      severityText: "DEBUG",
      body: `Orchestration order waits for event Approval, timer ${at(60_000).toISOString()}, activity charge #2, sub_orchestration ship #3 (instance instance-1)`,
      attributes: {
        "durabletask.task.name": "order",
        "durabletask.task.instance_id": "instance-1",
        "durabletask.waiting.count": 4,
        "durabletask.waiting.events": ["Approval"],
        "durabletask.waiting.since": at(0).toISOString(),
        "durabletask.waiting.timers": [at(60_000).toISOString()],
        "durabletask.waiting.tasks": ["activity charge #2", "sub_orchestration ship #3"],
      },
    });
  });

  it("L5 says so in later episodes too, of what is still out, without what was answered, lost or canceled", async () => {
    const [record] = await waitingAfter(
      async function* (ctx) {
        ctx.callActivity("slow");
        const timer = ctx.createTimer(60);
        yield whenAny([ctx.waitForExternalEvent("go"), timer]);
        timer.cancel();
        yield whenAny([ctx.waitForExternalEvent("more"), ctx.createTimer(90)]);
        yield ctx.waitForExternalEvent("Approval");
      },
      {},
      {
        past: [
          ...first,
          history.scheduled(1, "slow", 1),
          history.timerCreated(2, 60_000, 1),
          history.episode(10),
          history.raised("go", 9),
          history.timerCreated(3, 90_000, 11),
        ],
        fresh: [history.episode(20), history.raised("more", 19)],
      },
    );
    expect(record?.attributes).toMatchObject({
      "durabletask.waiting.count": 2,
      "durabletask.waiting.events": ["Approval"],
      "durabletask.waiting.tasks": ["activity slow #1"],
    });
    expect(record?.attributes).not.toHaveProperty("durabletask.waiting.timers");
  });

  const charges = async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callActivity("charge");
  };

  it("L5 has the time at which the wait began, whatever else happens meanwhile", async () => {
    const [record] = await waitingAfter(
      async function* (ctx) {
        yield ctx.waitForExternalEvent("go");
      },
      {},
      { past: first, fresh: [history.episode(20), history.raised("comment", 19)] },
    );
    expect(record?.attributes["durabletask.waiting.since"]).toBe(at(0).toISOString());
  });

  it("L5 counts no timer that lost, however many there are", async () => {
    const rounds = 100;
    const [record] = await waitingAfter(
      async function* (ctx) {
        for (let round = 0; round < rounds; round += 1)
          yield whenAny([ctx.waitForExternalEvent("tick"), ctx.createTimer(3600)]);
        yield ctx.waitForExternalEvent("go");
      },
      {},
      {
        past: first,
        fresh: [history.episode(10), ...Array.from({ length: rounds }, () => history.raised("tick", 5))],
      },
    );
    expect(record?.attributes["durabletask.waiting.count"]).toBe(1);
    expect(record?.body).toBe("Orchestration order waits for event go (instance instance-1)");
  });

  it("L5 says nothing if it waits for tasks alone, which log themselves, unless asked", async () => {
    expect(await waitingAfter(charges)).toEqual([]);
    const [record] = await waitingAfter(charges, { waiting: { tasks: true, level: "info" } });
    expect(record).toMatchObject({
      severityText: "INFO",
      attributes: { "durabletask.waiting.count": 1, "durabletask.waiting.tasks": ["activity charge #1"] },
    });
  });

  it("L5 names the due time of the pause before another attempt", async () => {
    const retry = new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 1000 });
    const [record] = await waitingAfter(
      async function* (ctx) {
        yield ctx.callActivity("charge", null, { retry });
      },
      {},
      {
        past: [...first, history.scheduled(1, "charge", 1)],
        fresh: [history.episode(20), history.failed(1, new Error("no"), 19)],
      },
    );
    expect(record?.attributes["durabletask.waiting.timers"]).toEqual([at(1020).toISOString()]);
  });

  it("L5 is silent with waiting: false, and if nobody takes records of that severity", async () => {
    const waits = async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.waitForExternalEvent("go");
    };
    expect(await waitingAfter(waits, { waiting: false })).toEqual([]);
    const asked: unknown[] = [];
    logs.setGlobalLoggerProvider({
      getLogger: () => ({
        emit: () => undefined,
        enabled: ({ severityNumber = 0 } = {}) => {
          asked.push(severityNumber);
          return severityNumber === 0;
        },
      }),
    });
    onTestFinished(() => logs.disable());
    const worker = episodeWorker((each) => each.addNamedOrchestrator("order", waits), untraced());
    await runEpisode(worker, { fresh: first });
    expect(asked).toContain(5);
  });

  it("K4 names 32 of each at most, and counts all", async () => {
    const [record] = await waitingAfter(async function* (ctx) {
      yield whenAny(Array.from({ length: 100 }, (_, number) => ctx.waitForExternalEvent(`event ${number}`)));
    });
    expect(record?.attributes["durabletask.waiting.count"]).toBe(100);
    expect(record?.attributes["durabletask.waiting.events"]).toHaveLength(32);
    expect(record?.body).toMatch(/event event 31 and 68 more \(instance instance-1\)$/);
  });

  it("K4 names of any length make no record longer than a few strings", async () => {
    const long = "n".repeat(200_000);
    const [record] = await waitingAfter(
      async function* (ctx) {
        yield whenAny([
          ...Array.from({ length: 40 }, (_, number) => ctx.waitForExternalEvent(`event ${number} ${long}`)),
          ...Array.from({ length: 40 }, (_, number) => ctx.callActivity(`activity ${number} ${long}`)),
        ]);
      },
      { waiting: { tasks: true } },
    );
    for (const list of ["durabletask.waiting.events", "durabletask.waiting.tasks"]) {
      const entries = record?.attributes[list] as string[];
      expect(entries).toHaveLength(32);
      for (const entry of entries) {
        expect(entry).toMatch(/^(event|activity) .*n\.\.\. \[\d+ characters cut\]$/);
        expect(Buffer.byteLength(entry)).toBe(1024);
      }
    }
    expect(record?.attributes["durabletask.waiting.count"]).toBe(80);
    expect(Buffer.byteLength(String(record?.body))).toBeLessThanOrEqual(32 * 1024);
  });

  it("X4 refuses a wrong option, and names it", () => {
    expect(() => logging({ waiting: { level: "loud" as "debug" } })).toThrow(
      /logging: waiting: option "level" must be/,
    );
    expect(() => logging({ waiting: true as unknown as false })).toThrow(/logging: option "waiting" must be an object/);
  });
});

describe("A change of the custom status", () => {
  const statusRecords = async (options: LoggingOptions): Promise<unknown[]> => {
    const recorded = recordLogs();
    const worker = episodeWorker((each) => {
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        ctx.setCustomStatus("charging");
        yield ctx.callActivity("charge");
        ctx.setCustomStatus({ step: "shipping", address: "secret" });
        return yield ctx.callActivity("ship");
      });
    }, untraced(options));
    const past = [...first, history.scheduled(1, "charge", 1)];
    await runEpisode(worker, { fresh: first });
    await runEpisode(worker, { past, fresh: [history.episode(20), history.completed(1, 1, 19)] });
    const found = recorded.records
      .filter(({ eventName }) => eventName === "durabletask.orchestration.custom_status_changed")
      .map(({ attributes }) => attributes["durabletask.custom_status"]);
    logs.disable();
    return found;
  };

  it("L5 is a record once, with the status where the user allows it", async () => {
    expect(await statusRecords({})).toEqual([]);
    expect(await statusRecords({ customStatus: true })).toEqual(["charging", undefined]);
    const name = (status: unknown): string => (typeof status === "string" ? status : (status as { step: string }).step);
    expect(await statusRecords({ customStatus: name })).toEqual(["charging", "shipping"]);
  });

  it("L5 is a record once if a retry handler sets it", async () => {
    const recorded = recordLogs();
    const worker = episodeWorker(
      (each) =>
        each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
          const retry: Retry = ({ lastAttemptNumber }) => {
            ctx.setCustomStatus(`failed ${lastAttemptNumber}`);
            return true;
          };
          return yield ctx.callActivity("charge", null, { retry });
        }),
      untraced({ customStatus: true }),
    );
    const past = [...first, history.scheduled(1, "charge", 1)];
    const failed = [history.episode(20), history.failed(1, new RangeError("no stock"), 19)];
    await runEpisode(worker, { past, fresh: failed });
    const again = [...past, ...failed, history.scheduled(2, "charge", 21)];
    await runEpisode(worker, {
      past: again,
      fresh: [history.episode(30), history.failed(2, new RangeError("no stock"), 29)],
    });
    const statuses = recorded.records.flatMap((record) => attribute(record, "durabletask.custom_status") ?? []);
    logs.disable();
    expect(statuses).toEqual(["failed 1", "failed 2"]);
  });

  it("K4 keeps of many long ones in one episode no more than it records", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const recorded = recordLogs();
    let kept = Number.POSITIVE_INFINITY;
    const heap = (): number => (collect(), process.memoryUsage().heapUsed);
    const worker = episodeWorker(
      (each) =>
        each.addNamedOrchestrator("order", (ctx: OrchestrationContext) => {
          const before = heap();
          for (let step = 0; step < 50; step += 1) ctx.setCustomStatus("x".repeat(1024 * 1024) + step);
          kept = heap() - before;
        }),
      untraced({ customStatus: true }),
    );
    await runEpisode(worker, { fresh: first });
    // The SDK keeps the last one.
    expect(kept).toBeLessThan(50 * 3 * 32 * 1024 + 2 * 1024 * 1024);
    const statuses = recorded.records.map((record) => attribute(record, "durabletask.custom_status"));
    expect(statuses.filter((status) => status?.length === 32 * 1024).length).toBe(50);
    logs.disable();
  });

  it("S2 is on the event of the span too, where the user allows it", async () => {
    const spans = recordSpans();
    const order = (worker: TaskHubGrpcWorker): string =>
      worker.addNamedOrchestrator("order", async (ctx: OrchestrationContext) => ctx.setCustomStatus("charging"));
    await runEpisode(episodeWorker(order, { tracing: { customStatus: true } }), { fresh: first });
    expect(spans.finished[0]?.events[0]?.attributes).toEqual({ "durabletask.custom_status": "charging" });
    spans.reset();
    await runEpisode(episodeWorker(order), { fresh: first });
    expect(spans.finished[0]?.events[0]?.attributes).toEqual({});
  });
});

describe("Attempts and origins", () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub();
    const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 1 });
    await hub.worker(logged(), (worker) => {
      worker.addNamedActivity("charge", () => {
        throw new RangeError("no stock");
      });
      worker.addNamedActivity("once", () => {
        throw new RangeError("no");
      });
      worker.addNamedActivity("pack", () => "packed");
      worker.addNamedOrchestrator("retried", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge", null, { retry });
      });
      worker.addNamedOrchestrator("fails", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("once");
      });
      worker.addNamedOrchestrator("top", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callSubOrchestrator("middle", null, { instanceId: `${ctx.instanceId}-middle` });
      });
      worker.addNamedOrchestrator("middle", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callSubOrchestrator("bottom", null, { instanceId: `${ctx.instanceId}-bottom` });
      });
      worker.addNamedOrchestrator("bottom", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("pack");
      });
    });
  });

  it("L5 a failed attempt that can be retried is a warning, the last one an error", async () => {
    const recorded = recordLogs();
    await hub.run("retried");
    await hub.run("fails");
    await recorded.waitFor((records) => records.some(isEnd("fails")));
    const failures = recorded.records.filter(({ eventName }) => eventName === "durabletask.activity.failed");
    expect(
      failures.map(({ severityText, attributes }) => [
        attributes["durabletask.task.name"],
        severityText,
        attributes["durabletask.task.attempt"],
      ]),
    ).toEqual([
      ["charge", "WARN", undefined],
      ["charge", "WARN", 2],
      ["charge", "ERROR", 3],
      ["once", "ERROR", undefined],
    ]);
  });

  const failing = (name: "callActivity" | "callSubOrchestrator", retry: Retry) =>
    async function* (ctx: OrchestrationContext): Steps {
      try {
        yield ctx[name]("charge", null, { retry });
      } catch {
        // Replayed once more.
        yield ctx.createTimer(0.001);
      }
      return 0;
    };
  it.each([
    ["a handler decides against another one", ({ lastAttemptNumber }) => lastAttemptNumber < 2, 2],
    ["an asynchronous handler decides so", async () => false, 1],
    ["a handler throws", () => fail("broken"), 1],
    ["a policy's predicate decides so", policy({ handleFailure: () => false }), 1],
  ] satisfies [string, Retry, number][])(
    "L5 an attempt that can be retried is a warning, and the orchestration logs an error once if %s",
    async (_, retry, attempts) => {
      for (const call of ["callActivity", "callSubOrchestrator"] as const) {
        const recorded = recordLogs();
        const own = await startHub();
        await own.worker(logged(), (worker) => {
          const charge = (): never => fail("no stock");
          if (call === "callActivity") worker.addNamedActivity("charge", charge);
          else worker.addNamedOrchestrator("charge", charge);
          worker.addNamedOrchestrator("order", failing(call, retry));
        });
        await own.run("order");
        await recorded.waitFor((records) => records.some(isEnd("order")));
        const levelOf = ({ eventName, severityText }: ReadableLogRecord): string => `${eventName} ${severityText}`;
        const isFailure = ({ severityText }: ReadableLogRecord): boolean => /WARN|ERROR/.test(severityText ?? "");
        const ended =
          call === "callActivity" ? "durabletask.activity.failed WARN" : "durabletask.orchestration.finished WARN";
        expect(recorded.records.filter(isFailure).map(levelOf)).toEqual([
          ...Array.from({ length: attempts }, () => ended),
          "durabletask.task.gave_up ERROR",
        ]);
        const record = recorded.records.find(({ eventName }) => eventName === "durabletask.task.gave_up");
        const type = call === "callActivity" ? "activity" : "sub_orchestration";
        expect(record?.attributes).toMatchObject({
          "durabletask.task.name": "order",
          "durabletask.gave_up.task": expect.stringMatching(new RegExp(`^${type} charge #\\d$`)),
          "durabletask.gave_up.attempts": attempts,
          "error.type": "RangeError",
        });
        expect(record?.body).toMatch(
          new RegExp(
            `^Orchestration order gave up on ${type} charge #\\d after ${attempts} attempts?.*: RangeError: no`,
          ),
        );
        logs.disable();
      }
    },
  );

  it.each([
    ["a handler decides", () => false],
    ["the policy's time is over", policy({ retryTimeoutInMilliseconds: 15 })],
  ] satisfies [string, Retry][])(
    "L5 if %s, that is known in a process that did not schedule the task, at its durable time",
    async (_, retry) => {
      const recorded = recordLogs();
      const worker = episodeWorker(
        (each) => each.addNamedOrchestrator("order", failing("callActivity", retry)),
        untraced({ waiting: false }),
      );
      await runEpisode(worker, {
        past: [...first, history.scheduled(1, "charge", 1)],
        fresh: [history.episode(20), history.failed(1, new RangeError("no stock"), 19)],
      });
      const [record] = recorded.records;
      logs.disable();
      expect(record).toMatchObject({
        eventName: "durabletask.task.gave_up",
        severityText: "ERROR",
        body: "Orchestration order gave up on activity charge #1 after 1 attempt (instance instance-1): RangeError: no stock",
        hrTime: [at(20).getTime() / 1000, 20_000_000].map(Math.floor),
      });
    },
  );

  it("L5 a failure that comes while the orchestration is suspended is given up when it is resumed", async () => {
    const recorded = recordLogs();
    const worker = episodeWorker(
      (each) =>
        each.addNamedOrchestrator(
          "order",
          failing("callActivity", () => false),
        ),
      untraced(),
    );
    const gaveUp = (): number =>
      recorded.records.filter(({ eventName }) => eventName === "durabletask.task.gave_up").length;
    const past = [...first, history.scheduled(1, "charge", 1)];
    const suspended = [history.episode(20), history.suspended(18), history.failed(1, new RangeError("no stock"), 19)];
    await runEpisode(worker, { past, fresh: suspended });
    expect(gaveUp()).toBe(0);
    await runEpisode(worker, { past: [...past, ...suspended], fresh: [history.episode(30), history.resumed(29)] });
    expect(gaveUp()).toBe(1);
    logs.disable();
  });

  it("L5 a task without retries, or without an attempt left, is not given up: its own record is the error", async () => {
    const recorded = recordLogs();
    await hub.run("retried");
    await hub.run("fails");
    await recorded.waitFor((records) => records.some(isEnd("fails")));
    expect(recorded.records.filter(({ eventName }) => eventName === "durabletask.task.gave_up")).toEqual([]);
  });

  it("L5 S10 a task is not taken for one of an execution before it, which had the same ID", async () => {
    const recorded = recordLogs();
    const spans = recordSpans();
    let failures = 0;
    const own = await startHub();
    await own.worker(logged(), (worker) => {
      worker.addNamedActivity("once", () => fail("no"));
      worker.addNamedActivity("flaky", () => {
        failures += 1;
        if (failures === 1) fail("not yet");
      });
      worker.addNamedOrchestrator("continues", async function* (ctx: OrchestrationContext, isLast: boolean): Steps {
        if (!isLast) {
          yield ctx.callActivity("flaky", null, { retry: policy({}) });
          return ctx.continueAsNew(true, false);
        }
        for (let task = 0; task < 3; task += 1) {
          try {
            yield ctx.callActivity("once");
          } catch {
            continue;
          }
        }
        return 0;
      });
    });
    await own.run("continues", false);
    await recorded.waitFor((records) => records.filter(isEnd("continues")).length === 2);
    const ofOnce = recorded.records.filter(({ eventName }) => eventName === "durabletask.activity.failed").slice(1);
    expect(ofOnce.map(({ severityText }) => severityText)).toEqual(["ERROR", "ERROR", "ERROR"]);
    const numbered = [...ofOnce, ...spans.finished.filter(({ name }) => name === "activity:once")];
    for (const { attributes } of numbered) expect(attributes).not.toHaveProperty("durabletask.task.attempt");
  });

  it("L5 S10 a task is not taken for one of another execution, also if another process scheduled it", async () => {
    const recorded = recordLogs();
    const worker = episodeWorker((each) => {
      each.addNamedActivity("charge", () => fail("no"));
      each.addNamedOrchestrator("ship", () => fail("no"));
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        ctx.callActivity("charge", null, { retry: policy({}) });
        return yield ctx.callSubOrchestrator("ship", null, { retry: policy({}) });
      });
    }, untraced());
    const orderOf = (executionId: string): Start => ({ name: "order", instanceId: "order-1", executionId });
    await firstEpisode(worker, orderOf("execution-1"));
    for (const executionId of ["execution-1", "execution-2"]) {
      const origin = { instanceId: "order-1", executionId };
      await runActivity(worker, { name: "charge", taskId: 1, ...origin });
      await firstEpisode(worker, { name: "ship", instanceId: "ship-1", parent: { ...origin, taskId: 2 } });
    }
    const failures = recorded.records.filter(({ attributes }) => "error.type" in attributes);
    expect(
      failures.map(({ severityText, attributes }) => [severityText, attributes["durabletask.root.instance_id"]]),
    ).toEqual([
      ["WARN", undefined],
      ["WARN", "order-1"],
      ["ERROR", undefined],
      ["ERROR", undefined],
    ]);
    logs.disable();
  });

  it("S10 each attempt after the first has its number on both its spans", async () => {
    const spans = recordSpans();
    await hub.run("retried");
    await spans.waitFor((finished) => finished.some(({ name }) => name === "orchestration:retried"));
    const attempts = spans.finished
      .filter(({ name }) => name === "activity:charge")
      .map(({ attributes, kind }) => `${kind} ${String(attributes["durabletask.task.attempt"])}`);
    expect(attempts.toSorted()).toEqual(["1 2", "1 3", "1 undefined", "2 2", "2 3", "2 undefined"]);
  });

  it("S10 the number is on the CLIENT span in any process, because replay counts the attempts", async () => {
    const spans = recordSpans();
    const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 1000 });
    const worker = episodeWorker((each) =>
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge", null, { retry });
      }),
    );
    await runEpisode(worker, {
      past: [
        ...first,
        history.scheduled(1, "charge", 1),
        history.episode(20),
        history.failed(1, new Error("no"), 19),
        history.timerCreated(2, 1020, 21),
        history.episode(1030),
        history.timerFired(2, 1020, 1021),
        history.scheduled(3, "charge", 1031),
      ],
      fresh: [history.episode(1050), history.completed(3, 1, 1049)],
    });
    const client = spans.finished.find(({ name }) => name === "activity:charge");
    expect(client?.attributes["durabletask.task.attempt"]).toBe(2);
  });

  it("S10 parent and root are on the spans and records of sub-orchestrations, and the root on those of their activities", async () => {
    const spans = recordSpans();
    const recorded = recordLogs();
    const { instanceId } = await hub.run("top");
    await recorded.waitFor((records) => records.some(isEnd("top")));
    await spans.waitFor((finished) =>
      finished.some(({ name, kind }) => name === "orchestration:top" && kind === SpanKind.SERVER),
    );
    const origin = (attributes: Readonly<Record<string, unknown>>): unknown => [
      attributes["durabletask.parent.instance_id"],
      attributes["durabletask.root.instance_id"],
    ];
    const server = (name: string): unknown =>
      origin(spans.finished.find((span) => span.kind === SpanKind.SERVER && span.name === name)?.attributes ?? {});
    const expected = {
      top: [undefined, undefined],
      middle: [instanceId, instanceId],
      bottom: [`${instanceId}-middle`, instanceId],
      pack: [undefined, instanceId],
    };
    expect({
      top: server("orchestration:top"),
      middle: server("orchestration:middle"),
      bottom: server("orchestration:bottom"),
      pack: server("activity:pack"),
    }).toEqual(expected);
    for (const [name, of] of Object.entries(expected)) {
      const records = recorded.records.filter(({ attributes }) => attributes["durabletask.task.name"] === name);
      expect(records.length).toBeGreaterThan(1);
      for (const { attributes } of records) expect(origin(attributes), name).toEqual(of);
    }
  });

  it("S10 a root that this process can't know is left out, not guessed", async () => {
    const spans = recordSpans();
    const started = history.started("order");
    const { default: pb } = await import("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
    started
      .getExecutionstarted()
      ?.setParentinstance(
        new pb.ParentInstanceInfo()
          .setTaskscheduledid(7)
          .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("elsewhere")),
      );
    const worker = episodeWorker((each) => each.addNamedOrchestrator("order", () => 1));
    await runEpisode(worker, { fresh: [history.episode(0), started] });
    const [span] = spans.finished;
    expect(span?.attributes["durabletask.parent.instance_id"]).toBe("elsewhere");
    expect(span?.attributes).not.toHaveProperty("durabletask.root.instance_id");
  });
});
