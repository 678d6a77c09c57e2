import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { OrchestrationStatus, VersionFailureStrategy, VersionMatchStrategy, whenAll } from "@microsoft/durabletask-js";
import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { afterAll, describe, expect, it } from "vitest";
import { sidecars, type Steps } from "./sidecar-fixture.ts";
import { act, text } from "./sidecar-raw.ts";

const hub = sidecars();
const CHILD = fileURLToPath(new URL("sidecar-child-worker.ts", import.meta.url));
const children = new Set<ReturnType<typeof spawn>>();

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** A `main` that fans out to activities, which answer with the worker's name. */
function named(name: string) {
  return (worker: TaskHubGrpcWorker): void => {
    worker.addNamedActivity("work", () => name);
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, width: number): Steps<string[]> {
      return yield whenAll(Array.from({ length: width }, () => ctx.callActivity<null, string>("work")));
    });
  };
}

/** A `main` without the activity that it calls. */
function callsWork(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
    return yield ctx.callActivity("work");
  });
}

const versioning = (version: string) => ({
  versioning: { version, matchStrategy: VersionMatchStrategy.Strict, failureStrategy: VersionFailureStrategy.Reject },
});

describe("several workers", () => {
  it("share the orchestrations and the activities, each kind in turn", async () => {
    const sidecar = await hub.start();
    const workers = [await hub.rawWorker(sidecar), await hub.rawWorker(sidecar)];
    const client = hub.rawClient(sidecar);
    for (let count = 0; count < 4; count++) await client.start("main");
    for (const worker of workers) {
      for (let count = 0; count < 2; count++) await worker.answer(await worker.episode(), [act.schedule(1, "work")]);
    }
    for (const worker of workers)
      for (let count = 0; count < 2; count++) await worker.complete(await worker.activity());
    for (const worker of workers) for (let count = 0; count < 2; count++) await worker.episode();
    expect(workers.map(({ received }) => received.length)).toEqual([6, 6]);
  });

  it("both do their part of the same orchestrations, with the SDK's worker", async () => {
    const sidecar = await hub.start();
    await Promise.all(["a", "b"].map((name) => hub.worker(sidecar, named(name))));
    const client = hub.client(sidecar);
    const seen = new Set<string>();
    // The second worker connects some time after the first.
    while (seen.size < 2) {
      const id = await client.scheduleNewOrchestration("main", 10);
      const state = await client.waitForOrchestrationCompletion(id);
      for (const name of JSON.parse(state?.serializedOutput ?? "[]")) seen.add(name);
    }
    expect([...seen].toSorted()).toEqual(["a", "b"]);
  });

  it("find the work that came when there was none of them", async () => {
    const sidecar = await hub.start();
    const client = hub.client(sidecar);
    const ids = await Promise.all([1, 2, 3].map((width) => client.scheduleNewOrchestration("main", width)));
    expect((await client.getOrchestrationState(ids[0] ?? ""))?.runtimeStatus).toBe(OrchestrationStatus.PENDING);
    await hub.worker(sidecar, named("late"));
    for (const id of ids) {
      expect((await client.waitForOrchestrationCompletion(id))?.runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    }
  });

  it("get one work item of an instance at a time", async () => {
    const sidecar = await hub.start();
    const [one, two] = [await hub.rawWorker(sidecar), await hub.rawWorker(sidecar)];
    const id = await one.start("main");
    const first = await one.episode();
    for (let count = 0; count < 3; count++) await one.raise(id, "e");
    expect([one.received.length, two.received.length]).toEqual([1, 0]);
    await one.answer(first, []);
    expect((await two.episode()).events).toEqual(["orchestratorstarted", ...Array(3).fill("eventraised")]);
  });
});

describe("a worker's wishes", () => {
  it("by name and version are respected, and what fits nobody waits for who takes it", async () => {
    const sidecar = await hub.start();
    const filter = new pb.WorkItemFilters();
    filter.addOrchestrations(new pb.OrchestrationFilter().setName("main").setVersionsList(["1", "2"]));
    filter.addActivities(new pb.ActivityFilter().setName("work").setVersionsList(["2"]));
    const picky = await hub.rawWorker(sidecar, new pb.GetWorkItemsRequest().setWorkitemfilters(filter));
    const other = await picky.start("other", (request) => request.setVersion(text("1")));
    const old = await picky.start("main", (request) => request.setVersion(text("0")));
    const taken = await picky.start("main", (request) => request.setVersion(text("2")));
    const episode = await picky.episode();
    expect(episode.request.getInstanceid()).toBe(taken);
    await picky.answer(episode, [
      act.schedule(1, "work", (action) => action.setVersion(text("3"))),
      act.schedule(2, "rest"),
      // Without a version of its own it has the orchestration's.
      act.schedule(3, "work"),
    ]);
    expect((await picky.activity()).request.getTaskid()).toBe(3);
    const anything = await hub.rawWorker(sidecar);
    const left = [await anything.next(), await anything.next(), await anything.next(), await anything.next()];
    expect(
      left.map((item) => item.getOrchestratorrequest()?.getInstanceid() ?? item.getActivityrequest()?.getTaskid()),
    ).toEqual([other, old, 1, 2]);
    expect(picky.received).toHaveLength(2);
  });

  it("that the SDK makes of its registry are respected: each worker gets what it knows", async () => {
    const sidecar = await hub.start();
    const options = { workItemFilters: "auto" } as const;
    await hub.worker(sidecar, callsWork, options);
    await hub.worker(sidecar, (worker) => void worker.addNamedActivity("work", () => "done"), options);
    const client = hub.client(sidecar);
    const ids = await Promise.all(Array.from({ length: 10 }, () => client.scheduleNewOrchestration("main")));
    for (const id of ids) expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe('"done"');
  });

  it("for at most so many work items at a time are respected, for each kind", async () => {
    const sidecar = await hub.start();
    const limits = new pb.GetWorkItemsRequest()
      .setMaxconcurrentorchestrationworkitems(2)
      .setMaxconcurrentactivityworkitems(1);
    const worker = await hub.rawWorker(sidecar, limits);
    for (let count = 0; count < 4; count++) await worker.start("main");
    const [first, second] = [await worker.episode(), await worker.episode()];
    expect(worker.received).toHaveLength(2);
    await worker.answer(first, [act.schedule(1, "work"), act.schedule(2, "work")]);
    // In the place of the answered one come the next orchestration and one activity.
    const third = await worker.episode();
    const activity = await worker.activity();
    expect(worker.received).toHaveLength(4);
    await worker.complete(activity);
    expect((await worker.activity()).request.getTaskid()).toBe(2);
    await worker.answer(second, []);
    await worker.episode();
    await worker.answer(third, []);
    expect((await worker.episode()).events).toEqual(["orchestratorstarted", "taskcompleted"]);
  });
});

describe("a work item that is abandoned", () => {
  it("goes to another worker, or after a pause to the same one", async () => {
    const sidecar = await hub.start();
    const one = await hub.rawWorker(sidecar);
    const abandonEpisode = (token: string) =>
      one.call((stub, done) =>
        stub.abandonTaskOrchestratorWorkItem(new pb.AbandonOrchestrationTaskRequest().setCompletiontoken(token), done),
      );
    const id = await one.start("main");
    const first = await one.episode();
    await abandonEpisode(first.token);
    const again = await one.episode();
    expect([again.request.getInstanceid(), again.events]).toEqual([id, first.events]);
    expect(again.token).not.toBe(first.token);
    await expect(one.answer(first, [])).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    const two = await hub.rawWorker(sidecar);
    await abandonEpisode(again.token);
    await two.answer(await two.episode(), [act.schedule(1, "work")]);
    const activity = await one.activity();
    await one.call((stub, done) =>
      stub.abandonTaskActivityWorkItem(new pb.AbandonActivityTaskRequest().setCompletiontoken(activity.token), done),
    );
    await two.complete(await two.activity());
  });

  it("by a worker of another version finds the worker of its own", async () => {
    const sidecar = await hub.start();
    await Promise.all(["1.0", "2.0"].map((version) => hub.worker(sidecar, named(version), versioning(version))));
    const client = hub.client(sidecar);
    const versions = ["1.0", "2.0", "1.0", "2.0"];
    const ids = await Promise.all(versions.map((version) => client.scheduleNewOrchestration("main", 1, { version })));
    for (const id of ids) {
      expect((await client.waitForOrchestrationCompletion(id))?.runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    }
  });
});

describe("a completion token", () => {
  it("is good once: a second answer, an unknown token and one of another kind change nothing", async () => {
    const worker = await hub.rawWorker(await hub.start());
    const id = await worker.start("main");
    const episode = await worker.episode();
    await worker.answer(episode, [act.schedule(1, "work")]);
    const activity = await worker.activity();
    const refused = { code: grpc.status.NOT_FOUND, details: expect.stringContaining("completion token") };
    await expect(worker.answer(episode, [act.complete(2)])).rejects.toMatchObject(refused);
    await expect(worker.answer({ ...episode, token: "?" }, [act.complete(2)])).rejects.toMatchObject(refused);
    await expect(worker.answer({ ...episode, token: activity.token }, [act.complete(2)])).rejects.toMatchObject(
      refused,
    );
    const abandon = new pb.AbandonActivityTaskRequest().setCompletiontoken(episode.token);
    await expect(worker.call((stub, done) => stub.abandonTaskActivityWorkItem(abandon, done))).rejects.toMatchObject(
      refused,
    );
    expect((await worker.state(id))?.getOrchestrationstatus()).toBe(
      pb.OrchestrationStatus.ORCHESTRATION_STATUS_RUNNING,
    );
    await worker.complete(activity);
    await expect(worker.complete(activity)).rejects.toMatchObject(refused);
    expect((await worker.episode()).events).toEqual(["orchestratorstarted", "taskcompleted"]);
  });

  it("is refused for another instance or task, and stays good for its own", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await worker.start("main");
    const episode = await worker.episode();
    const wrong = { code: grpc.status.INVALID_ARGUMENT };
    await expect(
      worker.answer(episode, [act.complete(1)], (response) => response.setInstanceid("other")),
    ).rejects.toMatchObject(wrong);
    await worker.answer(episode, [act.schedule(1, "work")]);
    const activity = await worker.activity();
    const other = activity.request.clone();
    await expect(worker.complete({ ...activity, request: other.setTaskid(2) })).rejects.toMatchObject(wrong);
    await worker.complete(activity);
  });

  it("is refused for an answer in parts, which the sidecar doesn't put together", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await worker.start("main");
    const episode = await worker.episode();
    await expect(worker.answer(episode, [], (response) => response.setIspartial(true))).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
    });
    await worker.answer(episode, [act.complete(1)]);
  });
});

describe("a worker that is lost", () => {
  it("has its work items given to another one, oldest first, and its late answers refused", async () => {
    const sidecar = await hub.start();
    const lost = await hub.rawWorker(sidecar);
    const client = hub.rawClient(sidecar);
    await client.start("main", (request) => request.setInstanceid("one"));
    await lost.answer(await lost.episode(), [act.schedule(1, "work")]);
    const activity = await lost.activity();
    await client.start("main", (request) => request.setInstanceid("two"));
    const episode = await lost.episode();
    await client.raise("two", "meanwhile");
    const heir = await hub.rawWorker(sidecar);
    lost.stream.cancel();
    const inherited = [await heir.activity(), await heir.episode()] as const;
    expect(inherited[0].request.toObject()).toEqual(activity.request.toObject());
    expect(inherited[1].events).toEqual(["orchestratorstarted", "executionstarted", "eventraised"]);
    await expect(lost.complete(activity)).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    await expect(lost.answer(episode, [])).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    await heir.complete(inherited[0]);
    await heir.answer(inherited[1], [act.complete(1)]);
  });

  it("has its work items kept until another one connects, which gets them before all that waited", async () => {
    const sidecar = await hub.start();
    const one = new pb.GetWorkItemsRequest().setMaxconcurrentorchestrationworkitems(1);
    const lost = await hub.rawWorker(sidecar, one);
    const client = hub.rawClient(sidecar);
    const [first, second] = [await client.start("main"), await client.start("main")];
    expect((await lost.episode()).request.getInstanceid()).toBe(first);
    lost.stream.cancel();
    // Answered after the end of the stream, which went before it on the same connection.
    await lost.state(first);
    const heir = await hub.rawWorker(sidecar, one);
    const episode = await heir.episode();
    expect(episode.request.getInstanceid()).toBe(first);
    await heir.answer(episode, []);
    expect((await heir.episode()).request.getInstanceid()).toBe(second);
  });

  it.each(["activity", "orchestration"])(
    "by SIGKILL in the middle of an %s does not stop the orchestration",
    async (kind) => {
      const sidecar = await hub.start();
      const child = spawn(process.execPath, [CHILD, sidecar.address, kind], { stdio: ["ignore", "pipe", "inherit"] });
      children.add(child);
      const client = hub.client(sidecar);
      const id = await client.scheduleNewOrchestration("main", 3);
      const [output] = await once(child.stdout, "data");
      expect(String(output)).toBe(`in ${kind}\n`);
      child.kill("SIGKILL");
      await once(child, "exit");
      await hub.worker(sidecar, (worker) => {
        worker.addNamedActivity("work", () => "heir");
        callsWork(worker);
      });
      const state = await client.waitForOrchestrationCompletion(id);
      expect(state?.serializedOutput).toBe('"heir"');
    },
  );
});
