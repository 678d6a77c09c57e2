import grpc from "@grpc/grpc-js";
import { HistoryEventType, OrchestrationStatus, whenAll } from "@microsoft/durabletask-js";
import type { OrchestrationContext, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import rewinding from "@microsoft/durabletask-js/dist/worker/rewind.js";
import { expect, it } from "vitest";
import { sidecars, type Steps } from "./sidecar-fixture.ts";
import { act, type RawWorker } from "./sidecar-raw.ts";

const hub = sidecars();

async function connected(register: (worker: TaskHubGrpcWorker) => void) {
  const sidecar = await hub.start();
  await hub.worker(sidecar, register);
  return { client: hub.client(sidecar), raw: hub.rawClient(sidecar) };
}

/** An activity that fails until it is repaired, and counts its executions. */
function fragile() {
  const state = { broken: true, executions: 0 };
  const run = (): string => {
    state.executions++;
    if (state.broken) throw new Error("broken");
    return "ok";
  };
  return { state, run };
}

const fail = (id: number): pb.OrchestratorAction =>
  act.finish(id, pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED, (action) =>
    action.setFailuredetails(new pb.TaskFailureDetails().setErrormessage("no")),
  );

const rewindRaw = (worker: RawWorker, id: string): Promise<pb.RewindInstanceResponse> =>
  worker.call((stub, done) => stub.rewindInstance(new pb.RewindInstanceRequest().setInstanceid(id), done));

const refused = (status: string) => ({
  code: grpc.status.FAILED_PRECONDITION,
  details: expect.stringMatching(`not in a failed state: it is ${status}`),
});

async function failed(client: TaskHubGrpcClient, id: string): Promise<void> {
  const state = await client.waitForOrchestrationCompletion(id);
  expect(state?.runtimeStatus).toBe(OrchestrationStatus.FAILED);
}

async function completed(client: TaskHubGrpcClient, id: string): Promise<unknown> {
  const state = await client.waitForOrchestrationCompletion(id);
  expect(state?.runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
  return JSON.parse(state?.serializedOutput ?? "null");
}

it("A rewind runs the failed activity again and nothing else, under a new execution ID", async () => {
  const { state, run } = fragile();
  let steady = 0;
  const { client, raw } = await connected((worker) => {
    worker.addNamedActivity("fragile", run);
    worker.addNamedActivity("steady", () => ++steady);
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return [yield ctx.callActivity("steady"), yield ctx.callActivity("fragile"), yield ctx.callActivity("steady")];
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  await failed(client, id);
  const execution = (await raw.state(id))?.getExecutionid()?.getValue();
  state.broken = false;
  await client.rewindInstance(id, "repaired");
  expect(await completed(client, id)).toEqual([1, "ok", 2]);
  expect(state.executions).toBe(2);
  expect((await raw.state(id))?.getExecutionid()?.getValue()).not.toBe(execution);
  const history = await client.getOrchestrationHistory(id);
  expect(history.find((event) => event.type === HistoryEventType.ExecutionRewound)).toMatchObject({
    reason: "repaired",
  });
  expect(history.some((event) => event.type === HistoryEventType.TaskFailed)).toBe(false);
  const times = history.map(({ timestamp }) => timestamp.getTime());
  expect(Math.min(...times)).toBeGreaterThan(Date.now() - 60_000);
});

it("A rewind can fail, and be done again", async () => {
  const { state, run } = fragile();
  const { client } = await connected((worker) => {
    worker.addNamedActivity("fragile", run);
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callActivity("fragile");
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  for (let attempt = 1; attempt <= 3; attempt++) {
    await failed(client, id);
    expect(state.executions).toBe(attempt);
    state.broken = attempt < 3;
    await client.rewindInstance(id, "");
  }
  expect(await completed(client, id)).toBe("ok");
});

it("A rewind goes down into the sub-orchestrations that failed, and keeps the link to the parent", async () => {
  const { state, run } = fragile();
  const { client, raw } = await connected((worker) => {
    worker.addNamedActivity("fragile", run);
    worker.addNamedOrchestrator("leaf", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callActivity("fragile");
    });
    worker.addNamedOrchestrator("middle", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callSubOrchestrator("leaf", null, { instanceId: "leaf" });
    });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callSubOrchestrator("middle", null, { instanceId: "middle" });
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  await failed(client, id);
  state.broken = false;
  await client.rewindInstance(id, "why");
  expect(await completed(client, id)).toBe("ok");
  for (const [child, parent] of [
    ["middle", id],
    ["leaf", "middle"],
  ] as const) {
    const history = await client.getOrchestrationHistory(child);
    const executionId = (await raw.state(parent))?.getExecutionid()?.getValue();
    expect(history.find((event) => event.type === HistoryEventType.ExecutionStarted)).toMatchObject({
      parentInstance: { orchestrationInstance: { instanceId: parent, executionId } },
    });
    expect(history.find((event) => event.type === HistoryEventType.ExecutionRewound)).toMatchObject({ reason: "why" });
  }
});

it("A rewind starts a failed sub-orchestration anew when it was purged", async () => {
  const { state, run } = fragile();
  const { client } = await connected((worker) => {
    worker.addNamedActivity("fragile", run);
    worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callActivity("fragile");
    });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callSubOrchestrator("child", null, { instanceId: "purged" });
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  await failed(client, id);
  await client.purgeOrchestration("purged");
  state.broken = false;
  await client.rewindInstance(id, "");
  expect(await completed(client, id)).toBe("ok");
});

it("A rewind leaves a failed sub-orchestration of another parent alone, and starts its own in its place", async () => {
  const { client } = await connected((worker) => {
    worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext, whose: string): Steps<string> {
      if (whose !== "second's") yield ctx.waitForExternalEvent("go");
      if (whose === "first's") throw new Error("broken");
      return whose;
    });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, whose: string): Steps<unknown> {
      return yield ctx.callSubOrchestrator("child", whose, { instanceId: "shared" });
    });
  });
  const first = await client.scheduleNewOrchestration("main", "first's");
  await expect.poll(() => client.getOrchestrationState("shared")).toBeDefined();
  const second = await client.scheduleNewOrchestration("main", "second's");
  await failed(client, second);
  await client.raiseOrchestrationEvent("shared", "go");
  await failed(client, first);
  await client.rewindInstance(second, "");
  expect(await completed(client, second)).toBe("second's");
});

it("A rewind fails again over a sub-orchestration that was terminated: only failed ones are rewound", async () => {
  const { client } = await connected((worker) => {
    worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.waitForExternalEvent("never");
    });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callSubOrchestrator("child", null, { instanceId: "ended" });
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  await expect.poll(() => client.getOrchestrationState("ended")).toBeDefined();
  await client.terminateOrchestration("ended");
  await failed(client, id);
  await client.rewindInstance(id, "");
  await failed(client, id);
});

it("What was under way when the orchestration failed is not lost, and not done twice: results, timers, events", async () => {
  const { state, run } = fragile();
  let slow = 0;
  const early = Promise.withResolvers<string>();
  const late = Promise.withResolvers<string>();
  const { client } = await connected((worker) => {
    worker.addNamedActivity("fragile", run);
    worker.addNamedActivity("slow", async (_, which: "early" | "late") => {
      slow++;
      return which === "early" ? early.promise : late.promise;
    });
    worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.waitForExternalEvent("go");
    });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      const others = [
        ctx.callActivity("slow", "early"),
        ctx.callActivity("slow", "late"),
        ctx.createTimer(0.2),
        ctx.callSubOrchestrator("child", null, { instanceId: "kid" }),
      ];
      const repaired: unknown = yield ctx.callActivity("fragile");
      const results: unknown[] = yield whenAll<unknown>(others);
      return [...results, repaired];
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  await failed(client, id);
  early.resolve("before the rewind");
  await client.raiseOrchestrationEvent("kid", "go", "child");
  await client.waitForOrchestrationCompletion("kid");
  state.broken = false;
  await client.rewindInstance(id, "");
  late.resolve("after it");
  expect(await completed(client, id)).toEqual(["before the rewind", "after it", null, "child", "ok"]);
  expect([slow, state.executions]).toEqual([2, 2]);
});

it("Of the results that come after the failure, failures are rewound too, and the others are in the episode after it", async () => {
  const sidecar = await hub.start();
  const worker = await hub.rawWorker(sidecar);
  const id = await worker.start("main");
  await worker.answer(await worker.episode(), [act.schedule(1, "a"), act.schedule(2, "b"), fail(3)]);
  const [good, bad] = [await worker.activity(), await worker.activity()];
  const response = new pb.ActivityResponse()
    .setInstanceid(id)
    .setTaskid(bad.request.getTaskid())
    .setCompletiontoken(bad.token)
    .setFailuredetails(new pb.TaskFailureDetails().setErrormessage("late"));
  await worker.call((stub, done) => stub.completeActivityTask(response, done));
  await worker.complete(good);
  await rewindRaw(worker, id);
  const rewind = await worker.episode();
  const committed = ["orchestratorstarted", "executionstarted", "taskscheduled", "taskscheduled", "executioncompleted"];
  expect(rewind.past).toEqual([...committed, "taskfailed"]);
  const { actions } = rewinding.buildRewindResult(
    rewind.request.getPasteventsList(),
    rewind.request.getNeweventsList(),
  );
  await worker.answer(rewind, actions);
  const next = await worker.episode();
  expect(next.past.filter((kind) => kind === "taskscheduled")).toHaveLength(1);
  expect(next.events).toEqual(["orchestratorstarted", "taskcompleted"]);
});

it("What came while the failing episode ran is delivered after the rewind, but for a termination", async () => {
  const sidecar = await hub.start();
  const worker = await hub.rawWorker(sidecar);
  const id = await worker.start("main");
  await worker.answer(await worker.episode(), [act.schedule(1, "a")]);
  const activity = await worker.activity();
  await worker.raise(id, "wake");
  const failing = await worker.episode();
  await worker.complete(activity);
  await worker.raise(id, "meanwhile");
  await worker.call((stub, done) => stub.terminateInstance(new pb.TerminateRequest().setInstanceid(id), done));
  await worker.answer(failing, [fail(2)]);
  await rewindRaw(worker, id);
  const rewind = await worker.episode();
  const { actions } = rewinding.buildRewindResult(
    rewind.request.getPasteventsList(),
    rewind.request.getNeweventsList(),
  );
  await worker.answer(rewind, actions);
  expect((await worker.episode()).events).toEqual(["orchestratorstarted", "taskcompleted", "eventraised"]);
});

it("A rewound sub-orchestration that continues as new names its parent's new execution", async () => {
  const { state, run } = fragile();
  const { client, raw } = await connected((worker) => {
    worker.addNamedActivity("fragile", run);
    worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext, again: boolean): Steps<unknown> {
      const result: unknown = yield ctx.callActivity("fragile");
      return again ? ctx.continueAsNew(false, false) : result;
    });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
      return yield ctx.callSubOrchestrator("child", true, { instanceId: "eternal" });
    });
  });
  const id = await client.scheduleNewOrchestration("main");
  await failed(client, id);
  state.broken = false;
  await client.rewindInstance(id, "");
  expect(await completed(client, id)).toBe("ok");
  const [, started] = await client.getOrchestrationHistory("eternal");
  const executionId = (await raw.state(id))?.getExecutionid()?.getValue();
  expect(started).toMatchObject({ parentInstance: { orchestrationInstance: { instanceId: id, executionId } } });
});

it("Only a failed orchestration can be rewound: FAILED_PRECONDITION says what it is", async () => {
  const sidecar = await hub.start();
  const worker = await hub.rawWorker(sidecar);
  const id = await worker.start("main");
  await expect(rewindRaw(worker, id)).rejects.toMatchObject(refused("PENDING"));
  await worker.answer(await worker.episode(), [act.complete(1)]);
  await expect(rewindRaw(worker, id)).rejects.toMatchObject(refused("COMPLETED"));
});

it("The request for a rewind stands alone, and events that come meanwhile are in the episode after it", async () => {
  const sidecar = await hub.start();
  const worker = await hub.rawWorker(sidecar);
  const id = await worker.start("main");
  await worker.answer(await worker.episode(), [fail(1)]);
  await rewindRaw(worker, id);
  const rewind = await worker.episode();
  expect(rewind.past).toEqual(["orchestratorstarted", "executionstarted", "executioncompleted"]);
  expect(rewind.events).toEqual(["orchestratorstarted", "executionrewound"]);
  await worker.raise(id, "meanwhile");
  const { actions } = rewinding.buildRewindResult(
    rewind.request.getPasteventsList(),
    rewind.request.getNeweventsList(),
  );
  await worker.answer(rewind, actions);
  const next = await worker.episode();
  expect(next.past).toEqual(["orchestratorstarted", "executionstarted", "orchestratorstarted", "executionrewound"]);
  expect(next.events).toEqual(["orchestratorstarted", "eventraised"]);
});
