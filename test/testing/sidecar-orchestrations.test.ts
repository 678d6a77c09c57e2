import {
  HistoryEventType,
  OrchestrationStatus,
  RetryPolicy,
  TaskFailedError,
  whenAll,
} from "@microsoft/durabletask-js";
import type { ActivityContext, HistoryEvent, OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import { sidecars, type Steps } from "./sidecar-fixture.ts";
import { act, kinds, text } from "./sidecar-raw.ts";

const hub = sidecars();

async function connected(register: (worker: TaskHubGrpcWorker) => void) {
  const sidecar = await hub.start();
  await hub.worker(sidecar, register);
  return { client: hub.client(sidecar), raw: hub.rawClient(sidecar) };
}

async function rawWorker() {
  return hub.rawWorker(await hub.start());
}

const types = (history: HistoryEvent[]): string[] => history.map(({ type }) => type);

describe("history", () => {
  it("holds what the worker was given, then what it did, in the order it happened, each with its true time", async () => {
    const before = Date.now();
    const { client } = await connected((worker) => {
      worker.addNamedActivity("half", (_: ActivityContext, n: number) => n / 2);
      worker.addNamedOrchestrator("child", (_: OrchestrationContext, n: number) => n + 1);
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<number> {
        const n: number = yield ctx.callActivity("half", 8);
        yield ctx.createTimer(0.01);
        ctx.sendEvent(ctx.instanceId, "ping", n);
        const ping: number = yield ctx.waitForExternalEvent("ping");
        return yield ctx.callSubOrchestrator("child", ping);
      });
    });
    const id = await client.scheduleNewOrchestration("main");
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe("5");
    const history = await client.getOrchestrationHistory(id);
    expect(types(history)).toEqual(
      [
        ["OrchestratorStarted", "ExecutionStarted", "TaskScheduled"],
        ["OrchestratorStarted", "TaskCompleted", "TimerCreated"],
        ["OrchestratorStarted", "TimerFired", "EventSent"],
        ["OrchestratorStarted", "EventRaised", "SubOrchestrationInstanceCreated"],
        ["OrchestratorStarted", "SubOrchestrationInstanceCompleted", "ExecutionCompleted"],
      ].flat(),
    );
    const scheduled = history.filter(({ eventId }) => eventId > 0).map(({ eventId }) => eventId);
    expect(scheduled).toEqual([1, 2, 3, 4, 5]);
    const times = history.map(({ timestamp }) => timestamp.getTime());
    expect(Math.min(...times)).toBeGreaterThanOrEqual(before);
    expect(Math.max(...times)).toBeLessThanOrEqual(Date.now());
  });

  it("hands out what has arrived so far, and keeps what arrives during an episode for the next one", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main");
    const first = await worker.episode();
    expect([first.past, first.events]).toEqual([[], ["orchestratorstarted", "executionstarted"]]);
    await worker.raise(id, "a");
    await worker.raise(id, "b");
    expect(worker.received).toHaveLength(1);
    await worker.answer(first, [act.schedule(1, "work")]);
    const activity = await worker.next();
    expect(activity.hasActivityrequest()).toBe(true);
    const second = await worker.episode();
    expect(second.past).toEqual(["orchestratorstarted", "executionstarted", "taskscheduled"]);
    expect(second.events).toEqual(["orchestratorstarted", "eventraised", "eventraised"]);
    expect(first.request.getExecutionid()?.getValue()).toBe(second.request.getExecutionid()?.getValue());
  });

  it("takes an action that a worker repeats for the same action", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main");
    const event = new pb.SendEventAction().setInstance(new pb.OrchestrationInstance().setInstanceid(id)).setName("e");
    const actions = [act.schedule(1, "work"), new pb.OrchestratorAction().setId(2).setSendevent(event)];
    await worker.answer(await worker.episode(), actions);
    await worker.activity();
    await worker.answer(await worker.episode(), [...actions, act.schedule(3, "more")]);
    expect((await worker.activity()).request.getTaskid()).toBe(3);
    await worker.raise(id, "next");
    const { past } = await worker.episode();
    expect(past.filter((kind) => kind === "taskscheduled")).toHaveLength(2);
    expect(past.filter((kind) => kind === "eventsent")).toHaveLength(1);
  });

  it("runs no task of a suspended orchestration twice, though the SDK's worker repeats its actions", async () => {
    let executions = 0;
    const { client } = await connected((worker) => {
      worker.addNamedActivity("count", () => ++executions);
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        yield ctx.waitForExternalEvent("go");
        const counted: number = yield ctx.callActivity("count");
        yield ctx.waitForExternalEvent("end");
        return counted;
      });
    });
    // The suspension must come in the same episode as the event that leads to the activity.
    const id = await client.scheduleNewOrchestration("main", null, { startAt: new Date(Date.now() + 200) });
    await client.raiseOrchestrationEvent(id, "go");
    await client.suspendOrchestration(id);
    await client.waitForOrchestrationStart(id);
    await client.raiseOrchestrationEvent(id, "end");
    await client.resumeOrchestration(id);
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe("1");
    expect(executions).toBe(1);
  });

  it("carries name, version, tags and input to the activity, with the orchestration's IDs", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main");
    const episode = await worker.episode();
    await worker.answer(episode, [
      act.schedule(4, "work", (action) => {
        action.setVersion(text("2")).setInput(text('"in"')).getTagsMap().set("k", "v");
      }),
    ]);
    const { request } = await worker.activity();
    expect([request.getName(), request.getTaskid()]).toEqual(["work", 4]);
    expect([request.getVersion()?.getValue(), request.getInput()?.getValue()]).toEqual(["2", '"in"']);
    expect(request.getTagsMap().getEntryList()).toEqual([["k", "v"]]);
    const instance = request.getOrchestrationinstance();
    expect(instance?.getInstanceid()).toBe(id);
    expect(instance?.getExecutionid()?.getValue()).toBe(episode.request.getExecutionid()?.getValue());
  });

  it("shows the custom status that the last episode set", async () => {
    const { client } = await connected((worker) =>
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<void> {
        ctx.setCustomStatus({ step: 1 });
        yield ctx.waitForExternalEvent("go");
        ctx.setCustomStatus({ step: 2 });
      }),
    );
    const id = await client.scheduleNewOrchestration("main");
    expect((await client.waitForOrchestrationStart(id, true))?.serializedCustomStatus).toBe('{"step":1}');
    await client.raiseOrchestrationEvent(id, "go");
    expect((await client.waitForOrchestrationCompletion(id))?.serializedCustomStatus).toBe('{"step":2}');
  });
});

describe("timers", () => {
  it("fire in the order they are due, and never before", async () => {
    const { client } = await connected((worker) =>
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<void> {
        yield whenAll([0.12, 0.03, 0.07, 0, -5].map((seconds) => ctx.createTimer(seconds)));
      }),
    );
    const id = await client.scheduleNewOrchestration("main");
    await client.waitForOrchestrationCompletion(id);
    const history = await client.getOrchestrationHistory(id);
    const fired = history.filter((event) => event.type === HistoryEventType.TimerFired);
    const created = new Map(
      history
        .filter((event) => event.type === HistoryEventType.TimerCreated)
        .map(({ eventId, timestamp }) => [eventId, timestamp]),
    );
    // Those that are due when they are created are due then; a slow machine makes more of these.
    const dues = fired.map(({ timerId, fireAt }) =>
      Math.max(fireAt?.getTime() ?? Infinity, created.get(timerId)?.getTime() ?? Infinity),
    );
    expect(dues).toHaveLength(5);
    dues.forEach((due, index) => expect(due).toBeGreaterThan((dues[index - 1] ?? 0) - 20));
    for (const { fireAt, timestamp } of fired) {
      expect(timestamp.getTime()).toBeGreaterThanOrEqual(fireAt?.getTime() ?? Infinity);
    }
  });

  it("wait for months, far beyond the longest timeout of Node", async () => {
    const { client } = await connected((worker) =>
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, seconds: number): Steps<void> {
        yield ctx.createTimer(seconds);
      }),
    );
    const far = await client.scheduleNewOrchestration("main", 90 * 86_400);
    await client.waitForOrchestrationStart(far);
    await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("main", 0.05));
    expect((await client.getOrchestrationState(far))?.runtimeStatus).toBe(OrchestrationStatus.RUNNING);
    expect(types(await client.getOrchestrationHistory(far))).not.toContain("TimerFired");
  });
});

describe("sub-orchestrations", () => {
  it("know their parent, and give it their result or their failure", async () => {
    const { client, raw } = await connected((worker) => {
      worker.addNamedOrchestrator("child", (ctx: OrchestrationContext, fails: boolean) => {
        if (fails) throw new RangeError("too far");
        return ctx.parent;
      });
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        const parent: unknown = yield ctx.callSubOrchestrator("child", false, {
          instanceId: "kid",
          version: "9",
          tags: { a: "b" },
        });
        try {
          yield ctx.callSubOrchestrator("child", true);
        } catch (error) {
          return error instanceof TaskFailedError ? [parent, error.details.errorType, error.details.message] : error;
        }
        return "not failed";
      });
    });
    const id = await client.scheduleNewOrchestration("main", null, { version: "7" });
    const state = await client.waitForOrchestrationCompletion(id);
    expect(JSON.parse(state?.serializedOutput ?? "")).toEqual([
      { name: "main", instanceId: id, taskScheduledId: 1 },
      "RangeError",
      "too far",
    ]);
    const [, started] = await client.getOrchestrationHistory("kid");
    const executionId = (await raw.state(id))?.getExecutionid()?.getValue();
    expect(started).toMatchObject({
      version: "9",
      tags: { a: "b" },
      parentInstance: {
        name: "main",
        version: "7",
        taskScheduledId: 1,
        orchestrationInstance: { instanceId: id, executionId },
      },
    });
    expect((await raw.state("kid"))?.getParentinstanceid()?.getValue()).toBe(id);
  });

  it("fail their parent's task when they are terminated", async () => {
    const { client } = await connected((worker) => {
      worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<unknown> {
        return yield ctx.waitForExternalEvent("never");
      });
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        return yield ctx.callSubOrchestrator("child", null, { instanceId: `${ctx.instanceId}.child` });
      });
    });
    const id = await client.scheduleNewOrchestration("main");
    await expect.poll(() => client.getOrchestrationState(`${id}.child`)).toBeDefined();
    await client.terminateOrchestration(`${id}.child`);
    const state = await client.waitForOrchestrationCompletion(id);
    expect(state?.runtimeStatus).toBe(OrchestrationStatus.FAILED);
    expect(state?.failureDetails?.message).toContain("TERMINATED");
  });

  it("fail at once when an unfinished instance has their ID, and that instance goes on", async () => {
    const { client } = await connected((worker) => {
      worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<unknown> {
        return yield ctx.waitForExternalEvent("go");
      });
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        return yield ctx.callSubOrchestrator("child", null, { instanceId: "taken" });
      });
    });
    await client.scheduleNewOrchestration("child", null, "taken");
    const id = await client.scheduleNewOrchestration("main");
    const state = await client.waitForOrchestrationCompletion(id);
    expect(state?.runtimeStatus).toBe(OrchestrationStatus.FAILED);
    expect(state?.failureDetails?.message).toContain("'taken' already exists");
    await client.raiseOrchestrationEvent("taken", "go", 1);
    expect((await client.waitForOrchestrationCompletion("taken"))?.serializedOutput).toBe("1");
  });

  it("are retried under the same instance ID", async () => {
    let attempts = 0;
    const { client } = await connected((worker) => {
      worker.addNamedOrchestrator("child", () => {
        if (++attempts < 3) throw new Error(`attempt ${attempts}`);
        return attempts;
      });
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 1 });
        return yield ctx.callSubOrchestrator("child", null, { instanceId: "retried", retry });
      });
    });
    const id = await client.scheduleNewOrchestration("main");
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe("3");
  });
});

describe("events between orchestrations", () => {
  it("are sent once, however often the sender replays, and are lost on instances that don't exist", async () => {
    const { client } = await connected((worker) => {
      worker.addNamedActivity("noop", () => null);
      worker.addNamedOrchestrator("receiver", async function* (ctx: OrchestrationContext): Steps<unknown[]> {
        const all: unknown[] = [];
        while (all.at(-1) !== "end") all.push(yield ctx.waitForExternalEvent("item"));
        return all;
      });
      worker.addNamedOrchestrator("sender", async function* (ctx: OrchestrationContext, to: string): Steps<void> {
        ctx.sendEvent("nobody", "item", 0);
        for (const item of [1, 2, 3, "end"]) {
          ctx.sendEvent(to, "item", item);
          yield ctx.callActivity("noop");
        }
      });
    });
    const receiver = await client.scheduleNewOrchestration("receiver");
    const sender = await client.scheduleNewOrchestration("sender", receiver);
    expect((await client.waitForOrchestrationCompletion(receiver))?.serializedOutput).toBe('[1,2,3,"end"]');
    await client.waitForOrchestrationCompletion(sender);
    const sent = (await client.getOrchestrationHistory(sender)).filter(
      (event) => event.type === HistoryEventType.EventSent,
    );
    expect(sent.map(({ eventId, instanceId, input }) => [eventId, instanceId, input])).toEqual([
      [1, "nobody", "0"],
      [2, receiver, "1"],
      [4, receiver, "2"],
      [6, receiver, "3"],
      [8, receiver, '"end"'],
    ]);
  });

  it("can terminate another orchestration", async () => {
    const worker = await rawWorker();
    await worker.start("target", (request) => request.setInstanceid("target"));
    await worker.answer(await worker.episode(), []);
    await worker.start("killer");
    const terminate = new pb.TerminateOrchestrationAction().setInstanceid("target").setReason(text('"why"'));
    await worker.answer(await worker.episode(), [
      new pb.OrchestratorAction().setId(1).setTerminateorchestration(terminate),
      act.complete(2),
    ]);
    const episode = await worker.episode();
    expect(episode.events).toEqual(["orchestratorstarted", "executionterminated"]);
    const [, terminated] = episode.request.getNeweventsList();
    expect(terminated?.getExecutionterminated()?.getInput()?.getValue()).toBe('"why"');
  });
});

describe("continue-as-new", () => {
  it("keeps the parent, the tags and the version, and starts the history anew", async () => {
    const { client } = await connected((worker) => {
      worker.addNamedActivity("noop", () => null);
      worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext, n: number): Steps<unknown> {
        yield ctx.callActivity("noop");
        if (n > 0) return ctx.continueAsNew(n - 1, false);
        return [ctx.version, ctx.parent?.name];
      });
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        return yield ctx.callSubOrchestrator("child", 3, { instanceId: "eternal", version: "4", tags: { a: "b" } });
      });
    });
    const id = await client.scheduleNewOrchestration("main");
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe('["4","main"]');
    expect((await client.getOrchestrationState("eternal"))?.tags).toEqual({ a: "b" });
    expect(types(await client.getOrchestrationHistory("eternal"))).toEqual(
      [
        ["OrchestratorStarted", "ExecutionStarted", "TaskScheduled"],
        ["OrchestratorStarted", "TaskCompleted", "ExecutionCompleted"],
      ].flat(),
    );
  });

  it("loses no event that arrives meanwhile", async () => {
    const { client } = await connected((worker) =>
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, seen: number[]): Steps<unknown> {
        const item: number = yield ctx.waitForExternalEvent("item");
        if (item === -1) return seen;
        return ctx.continueAsNew([...seen, item], true);
      }),
    );
    const id = await client.scheduleNewOrchestration("main", []);
    const items = Array.from({ length: 60 }, (_, index) => index);
    // In bursts, so that some arrive together and some while a generation ends.
    for (let start = 0; start < items.length; start += 10) {
      await Promise.all(items.slice(start, start + 10).map((item) => client.raiseOrchestrationEvent(id, "item", item)));
    }
    await client.raiseOrchestrationEvent(id, "item", -1);
    const state = await client.waitForOrchestrationCompletion(id);
    const seen: number[] = JSON.parse(state?.serializedOutput ?? "[]");
    expect(seen.toSorted((a, b) => a - b)).toEqual(items);
  });

  it("mints an execution ID, and drops the old one's results and timers though the task IDs are the same", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main", (request) => request.setInput(text("1")).getTagsMap().set("a", "b"));
    const first = await worker.episode();
    await worker.answer(first, [
      act.schedule(1, "work"),
      act.timer(2, new Date(Date.now() + 30)),
      act.child(3, "child", (action) => action.setInstanceid("kid")),
      act.continueAsNew(4, "2", (action) => {
        action.setNewversion(text("v2")).getTagsMap().set("c", "d");
        action.addCarryoverevents(new pb.HistoryEvent().setEventraised(new pb.EventRaisedEvent().setName("kept")));
      }),
    ]);
    const old = await worker.activity();
    const child = await worker.episode();
    const second = await worker.episode();
    expect([second.past, second.events]).toEqual([[], ["orchestratorstarted", "executionstarted", "eventraised"]]);
    expect(second.request.getExecutionid()?.getValue()).not.toBe(first.request.getExecutionid()?.getValue());
    const started = second.request.getNeweventsList()[1]?.getExecutionstarted();
    expect([started?.getVersion()?.getValue(), started?.getInput()?.getValue()]).toEqual(["v2", "2"]);
    expect(started?.getTagsMap().getEntryList()).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    for (const event of second.request.getNeweventsList()) {
      expect(event.getTimestamp()?.toDate().getTime()).toBeGreaterThan(Date.now() - 60_000);
    }
    const fireAt = new Date(Date.now() + 60);
    await worker.answer(second, [act.schedule(1, "work"), act.timer(2, fireAt), act.schedule(3, "work")]);
    const fresh = [await worker.activity(), await worker.activity()];
    expect(fresh.map(({ request }) => request.getTaskid())).toEqual([1, 3]);
    // The results of the old generation come first, and must not be taken for those of the new one.
    await worker.complete(old, '"old"');
    await worker.answer(child, [act.complete(1, '"old"')]);
    // The timer of the old generation was due before this one's.
    const third = await worker.episode();
    expect(third.events).toEqual(["orchestratorstarted", "timerfired"]);
    expect(third.request.getNeweventsList()[1]?.getTimerfired()?.getFireat()?.toDate()).toEqual(fireAt);
    await worker.answer(third, []);
    const [one] = fresh;
    if (one === undefined) throw new Error("There is no activity.");
    await worker.complete(one, '"new"');
    const fourth = await worker.episode();
    expect(fourth.events).toEqual(["orchestratorstarted", "taskcompleted"]);
    expect(fourth.request.getNeweventsList()[1]?.getTaskcompleted()?.getResult()?.getValue()).toBe('"new"');
    expect((await worker.state(id))?.getVersion()?.getValue()).toBe("v2");
  });

  it("leaves no timer of the old generation behind, however long that would be", async () => {
    const worker = await rawWorker();
    await worker.start("main");
    const timeouts = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timeouts();
    for (let generation = 0; generation < 20; generation += 1) {
      await worker.answer(await worker.episode(), [
        act.timer(1, new Date(Date.now() + 3_600_000)),
        act.continueAsNew(2, "null"),
      ]);
    }
    await worker.episode();
    expect(timeouts() - before).toBeLessThan(10);
  });

  it("still obeys a suspension and a termination that came with the old generation's last events", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main");
    await worker.answer(await worker.episode(), [act.schedule(1, "work")]);
    const activity = await worker.activity();
    await worker.raise(id, "now");
    const wake = await worker.episode();
    await worker.call((stub, done) => stub.suspendInstance(new pb.SuspendRequest().setInstanceid(id), done));
    await worker.call((stub, done) => stub.terminateInstance(new pb.TerminateRequest().setInstanceid(id), done));
    await worker.answer(wake, []);
    const last = await worker.episode();
    expect(last.events).toEqual(["orchestratorstarted", "executionsuspended", "executionterminated"]);
    await worker.complete(activity);
    await worker.answer(last, [act.continueAsNew(2, "null")]);
    const next = await worker.episode();
    expect(next.events).toEqual([
      "orchestratorstarted",
      "executionstarted",
      "executionsuspended",
      "executionterminated",
    ]);
    expect((await worker.state(id))?.getOrchestrationstatus()).toBe(
      pb.OrchestrationStatus.ORCHESTRATION_STATUS_SUSPENDED,
    );
  });

  it("keeps the custom status until the new generation sets its own", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main");
    const status = async (): Promise<string | undefined> => (await worker.state(id))?.getCustomstatus()?.getValue();
    await worker.answer(await worker.episode(), [act.continueAsNew(1, "1")], (response) =>
      response.setCustomstatus(text('"a"')),
    );
    expect(await status()).toBe('"a"');
    await worker.answer(await worker.episode(), []);
    expect(await status()).toBe('"a"');
    await worker.raise(id, "go");
    await worker.answer(await worker.episode(), [act.complete(1)], (response) => response.setCustomstatus(text('"b"')));
    expect(await status()).toBe('"b"');
  });
});

describe("what can't be done", () => {
  it("fails an orchestration whose action or completion it doesn't know", async () => {
    const worker = await rawWorker();
    const answers = [
      [new pb.OrchestratorAction().setId(1)],
      [act.finish(1, pb.OrchestrationStatus.ORCHESTRATION_STATUS_RUNNING)],
    ];
    const errors: (string | undefined)[] = [];
    for (const actions of answers) {
      const id = await worker.start("main");
      await worker.answer(await worker.episode(), actions);
      const state = await worker.state(id);
      expect(state?.getOrchestrationstatus()).toBe(pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED);
      errors.push(state?.getFailuredetails()?.getErrortype());
    }
    expect(errors).toEqual(["UnknownAction", "InvalidCompletion"]);
  });

  it("keeps an orchestrator's own failure as the worker reported it", async () => {
    const worker = await rawWorker();
    const id = await worker.start("main");
    const inner = new pb.TaskFailureDetails().setErrortype("Cause").setErrormessage("deep").setIsnonretriable(true);
    const failure = new pb.TaskFailureDetails().setErrortype("Top").setErrormessage("m").setInnerfailure(inner);
    await worker.answer(await worker.episode(), [
      act.finish(1, pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED, (action) => action.setFailuredetails(failure)),
    ]);
    expect((await worker.state(id))?.getFailuredetails()?.toObject()).toEqual(failure.toObject());
    const stream = worker.stub.streamInstanceHistory(new pb.StreamInstanceHistoryRequest().setInstanceid(id));
    for await (const chunk of stream as AsyncIterable<pb.HistoryChunk>) {
      expect(kinds(chunk.getEventsList())).toEqual(["orchestratorstarted", "executionstarted", "executioncompleted"]);
    }
  });
});
