import grpc from "@grpc/grpc-js";
import { OrchestrationStatus, PurgeInstanceCriteria, terminateOptions } from "@microsoft/durabletask-js";
import type { HistoryEvent, OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import { sidecars, type Steps } from "./sidecar-fixture.ts";
import { act, text, timestamp } from "./sidecar-raw.ts";

const Status = pb.OrchestrationStatus;
const hub = sidecars();

function orchestrations(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("echo", (_: OrchestrationContext, input: unknown) => input);
  worker.addNamedOrchestrator("wait", async function* (ctx: OrchestrationContext): Steps<unknown> {
    return yield ctx.waitForExternalEvent("go");
  });
  worker.addNamedOrchestrator("collect", async function* (ctx: OrchestrationContext): Steps<unknown[]> {
    return [yield ctx.waitForExternalEvent("item"), yield ctx.waitForExternalEvent("item")];
  });
  worker.addNamedOrchestrator("nest", async function* (ctx: OrchestrationContext, depth: number): Steps<unknown> {
    if (depth === 0) return yield ctx.waitForExternalEvent("go");
    return yield ctx.callSubOrchestrator("nest", depth - 1, { instanceId: `${ctx.instanceId}.${depth - 1}` });
  });
}

async function connected() {
  const sidecar = await hub.start();
  await hub.worker(sidecar, orchestrations);
  return { sidecar, client: hub.client(sidecar), raw: hub.rawClient(sidecar) };
}

/** Fills a request for the instance ID "same" with the statuses that it may replace. */
const reuse =
  (...statuses: pb.OrchestrationStatus[]) =>
  (request: pb.CreateInstanceRequest) =>
    request
      .setInstanceid("same")
      .setOrchestrationidreusepolicy(new pb.OrchestrationIdReusePolicy().setReplaceablestatusList(statuses));

function criteria(statuses: OrchestrationStatus[], from: Date): PurgeInstanceCriteria {
  const purge = new PurgeInstanceCriteria();
  purge.setRuntimeStatusList(statuses);
  purge.setCreatedTimeFrom(from);
  return purge;
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const types = (history: HistoryEvent[]): string[] => history.map(({ type }) => type);

describe("starting an orchestration", () => {
  it("gives back the instance ID, and the state with name, version, tags, times, input and output", async () => {
    const { client, raw } = await connected();
    const before = Date.now();
    const id = await client.scheduleNewOrchestration("echo", { n: 1 }, { version: "1.2", tags: { team: "blue" } });
    const state = await client.waitForOrchestrationCompletion(id);
    expect(state).toMatchObject({
      instanceId: id,
      name: "echo",
      runtimeStatus: OrchestrationStatus.COMPLETED,
      serializedInput: '{"n":1}',
      serializedOutput: '{"n":1}',
      tags: { team: "blue" },
    });
    expect(state?.createdAt.getTime()).toBeGreaterThanOrEqual(before);
    const message = await raw.state(id);
    expect(message?.getVersion()?.getValue()).toBe("1.2");
    expect(message?.getExecutionid()?.getValue()).toMatch(/^[0-9a-f]{32}$/);
    expect(message?.getCompletedtimestamp()?.toDate().getTime()).toBeGreaterThanOrEqual(before);
    expect(message?.hasScheduledstarttimestamp()).toBe(false);
    expect(message?.hasParentinstanceid()).toBe(false);
  });

  it("mints an instance ID when there is none, and refuses an orchestration without a name", async () => {
    const raw = hub.rawClient(await hub.start());
    expect(await raw.start("echo")).toMatch(/^[0-9a-f]{32}$/);
    await expect(raw.start("")).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });

  it("leaves payloads out of the state unless they are asked for", async () => {
    const { client } = await connected();
    const id = await client.scheduleNewOrchestration("echo", "secret");
    const state = await client.waitForOrchestrationCompletion(id, false);
    expect(state?.serializedInput).toBeUndefined();
    expect(state?.serializedOutput).toBeUndefined();
  });

  it("refuses an instance ID that exists, finished or not, with ALREADY_EXISTS", async () => {
    const { client } = await connected();
    for (const name of ["wait", "echo"]) {
      await client.scheduleNewOrchestration(name, 1, name);
      await client.waitForOrchestrationStart(name);
      await expect(client.scheduleNewOrchestration(name, 1, name)).rejects.toMatchObject({
        code: grpc.status.ALREADY_EXISTS,
        details: expect.stringContaining(`'${name}' already exists`),
      });
    }
  });

  it("replaces an instance whose status the ID reuse policy names, whatever worker has it in flight", async () => {
    const sidecar = await hub.start();
    const worker = await hub.rawWorker(sidecar);
    await worker.start("first", reuse());
    const stale = await worker.episode();
    await expect(worker.start("second", reuse(Status.ORCHESTRATION_STATUS_COMPLETED))).rejects.toMatchObject({
      code: grpc.status.ALREADY_EXISTS,
    });
    const ends = new pb.GetInstanceRequest().setInstanceid("same");
    const ended = worker.call<pb.GetInstanceResponse>((stub, done) => stub.waitForInstanceCompletion(ends, done));
    await worker.start("second", reuse(Status.ORCHESTRATION_STATUS_PENDING, Status.ORCHESTRATION_STATUS_TERMINATED));
    // Who waited for the first one is not left to wait for the second.
    expect((await ended).getOrchestrationstate()?.getOrchestrationstatus()).toBe(
      Status.ORCHESTRATION_STATUS_TERMINATED,
    );
    const fresh = await worker.episode();
    expect(fresh.request.getExecutionid()?.getValue()).not.toBe(stale.request.getExecutionid()?.getValue());
    await expect(worker.answer(stale, [act.complete(1)])).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    await worker.answer(fresh, [act.complete(1, '"second"')]);
    const state = await worker.state("same");
    expect([state?.getName(), state?.getOutput()?.getValue()]).toEqual(["second", '"second"']);
  });

  it.each(["RUNNING", "PENDING", "SUSPENDED"] as const)(
    "refuses an ID reuse policy that allows %s and not TERMINATED, with INVALID_ARGUMENT, whether or not the ID is taken",
    async (status) => {
      const worker = await hub.rawWorker(await hub.start());
      const running = Status[`ORCHESTRATION_STATUS_${status}`];
      const refusal = {
        code: grpc.status.INVALID_ARGUMENT,
        details: expect.stringContaining(
          "cannot exclude 'Terminated' while also allowing reuse of running instances",
        ) as unknown,
      };
      await expect(worker.start("first", reuse(running))).rejects.toMatchObject(refusal);
      await worker.start("first", reuse(Status.ORCHESTRATION_STATUS_COMPLETED));
      await worker.episode();
      await expect(worker.start("second", reuse(running, Status.ORCHESTRATION_STATUS_COMPLETED))).rejects.toMatchObject(
        refusal,
      );
      expect((await worker.state("same"))?.getName()).toBe("first");
    },
  );

  it.each([
    ["longer than 100 characters", "i".repeat(101), "101 characters long"],
    ["with a character that is not printable ASCII", "Zürich", "not printable ASCII"],
    ["with a line break", "a\nb", "not printable ASCII"],
    ["that starts with @", "@counter@1", "reserved for entities"],
  ])("refuses an instance ID %s, with INVALID_ARGUMENT", async (_, id, why) => {
    const raw = hub.rawClient(await hub.start());
    await expect(raw.start("echo", (request) => request.setInstanceid(id))).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringContaining(why) as unknown,
    });
  });

  it("takes an instance ID of 100 characters, spaces and symbols among them", async () => {
    const raw = hub.rawClient(await hub.start());
    const id = ` ~!"${"i".repeat(96)}`;
    expect(await raw.start("echo", (request) => request.setInstanceid(id))).toBe(id);
  });

  it("fails the orchestration that starts a sub-orchestration under such an ID", async () => {
    const sidecar = await hub.start();
    await hub.worker(sidecar, (worker) => {
      worker.addNamedOrchestrator(
        "parent",
        async function* (ctx: OrchestrationContext, instanceId: string): Steps<unknown> {
          return yield ctx.callSubOrchestrator("child", null, { instanceId });
        },
      );
    });
    const client = hub.client(sidecar);
    const id = await client.scheduleNewOrchestration("parent", "i".repeat(101));
    const state = await client.waitForOrchestrationCompletion(id);
    expect(state?.runtimeStatus).toBe(OrchestrationStatus.FAILED);
    expect(state?.failureDetails).toMatchObject({
      errorType: "InvalidArgument",
      message: expect.stringContaining("101 characters long") as unknown,
    });
  });

  it("gives the ExecutionStarted event the ID 0, in the first execution and in those that continue it", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await worker.start("loop");
    const startIds = (events: readonly pb.HistoryEvent[]): number[] =>
      events.filter((event) => event.hasExecutionstarted()).map((event) => event.getEventid());
    const first = await worker.episode();
    expect(startIds(first.request.getNeweventsList())).toEqual([0]);
    await worker.answer(first, [act.continueAsNew(1, "2")]);
    const second = await worker.episode();
    expect(startIds(second.request.getNeweventsList())).toEqual([0]);
    await worker.answer(second, [act.schedule(1, "work")]);
    await worker.complete(await worker.activity());
    expect(startIds((await worker.episode()).request.getPasteventsList())).toEqual([0]);
  });

  it("waits for a scheduled start, keeps events that come before it, and tells the time in history", async () => {
    const { client } = await connected();
    const startAt = new Date(Date.now() + 250);
    const id = await client.scheduleNewOrchestration("wait", undefined, { startAt });
    await client.raiseOrchestrationEvent(id, "go", "early");
    const pending = await client.getOrchestrationState(id);
    expect(pending?.runtimeStatus).toBe(OrchestrationStatus.PENDING);
    const state = await client.waitForOrchestrationCompletion(id);
    expect(state?.serializedOutput).toBe('"early"');
    const [executionStarted, started] = await client.getOrchestrationHistory(id);
    expect(executionStarted?.timestamp.getTime()).toBeGreaterThanOrEqual(startAt.getTime());
    expect(started).toMatchObject({ type: "ExecutionStarted", scheduledStartTimestamp: startAt });
  });

  it("terminates at once what no worker has started", async () => {
    const client = hub.client(await hub.start());
    const id = await client.scheduleNewOrchestration("wait", 1, { startAt: new Date("2999-01-01") });
    await client.terminateOrchestration(id, "never mind");
    const state = await client.waitForOrchestrationCompletion(id);
    expect(state).toMatchObject({ runtimeStatus: OrchestrationStatus.TERMINATED, serializedOutput: '"never mind"' });
    expect(types(await client.getOrchestrationHistory(id))).toEqual([
      "ExecutionStarted",
      "ExecutionTerminated",
      "ExecutionCompleted",
    ]);
  });
});

describe("waiting", () => {
  it("answers all who wait for a start or an end, and those who come after it", async () => {
    const { client } = await connected();
    const id = await client.scheduleNewOrchestration("wait");
    const waits = Array.from({ length: 50 }, () => client.waitForOrchestrationCompletion(id));
    const started = await Promise.all(Array.from({ length: 50 }, () => client.waitForOrchestrationStart(id)));
    expect(new Set(started.map((state) => state?.runtimeStatus))).toEqual(new Set([OrchestrationStatus.RUNNING]));
    await client.raiseOrchestrationEvent(id, "go", 7);
    for (const state of await Promise.all(waits)) expect(state?.serializedOutput).toBe("7");
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe("7");
  });

  it("knows nothing of an instance that does not exist", async () => {
    const client = hub.client(await hub.start());
    expect(await client.getOrchestrationState("nobody")).toBeUndefined();
    expect(await client.waitForOrchestrationStart("nobody")).toBeUndefined();
    expect(await client.waitForOrchestrationCompletion("nobody")).toBeUndefined();
    expect(await client.getOrchestrationHistory("nobody")).toEqual([]);
  });

  it("lets a client give up", async () => {
    const { client, raw } = await connected();
    const id = await client.scheduleNewOrchestration("wait");
    const request = new pb.GetInstanceRequest().setInstanceid(id);
    const given = Promise.withResolvers<grpc.ServiceError | null>();
    const call = raw.stub.waitForInstanceCompletion(request, (error) => given.resolve(error));
    call.cancel();
    expect((await given.promise)?.code).toBe(grpc.status.CANCELLED);
    await client.raiseOrchestrationEvent(id, "go");
    expect((await client.waitForOrchestrationCompletion(id))?.runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
  });

  it("ends with NOT_FOUND when the instance is deleted meanwhile", async () => {
    const { client, raw } = await connected();
    const id = await client.scheduleNewOrchestration("wait");
    await client.waitForOrchestrationStart(id);
    const wait = client.waitForOrchestrationCompletion(id);
    const ended = expect(wait).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    await raw.call<pb.CreateTaskHubResponse>((stub, done) =>
      stub.createTaskHub(new pb.CreateTaskHubRequest().setRecreateifexists(true), done),
    );
    await ended;
    expect(await client.getOrchestrationState(id)).toBeUndefined();
  });
});

describe("events, suspension and termination", () => {
  it("delivers events in the order they were raised, also those that come before anyone waits for them", async () => {
    const { client } = await connected();
    const id = await client.scheduleNewOrchestration("collect");
    await client.raiseOrchestrationEvent(id, "ITEM", 1);
    await client.raiseOrchestrationEvent(id, "item", 2);
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe("[1,2]");
  });

  it("holds a suspended orchestration until it is resumed", async () => {
    const { client } = await connected();
    const id = await client.scheduleNewOrchestration("wait");
    await client.waitForOrchestrationStart(id);
    await client.suspendOrchestration(id);
    await client.suspendOrchestration(id);
    expect((await client.getOrchestrationState(id))?.runtimeStatus).toBe(OrchestrationStatus.SUSPENDED);
    await client.raiseOrchestrationEvent(id, "go", "held");
    // Another orchestration goes all its way meanwhile: the worker is not what holds this one.
    await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("echo"));
    expect((await client.getOrchestrationState(id))?.runtimeStatus).toBe(OrchestrationStatus.SUSPENDED);
    await client.resumeOrchestration(id);
    expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe('"held"');
    const history = types(await client.getOrchestrationHistory(id));
    expect(history.filter((type) => type === "ExecutionSuspended")).toHaveLength(1);
    expect(history).toContain("ExecutionResumed");
  });

  it("does not suspend or resume twice, nor show one that has not started as suspended", async () => {
    const worker = await hub.rawWorker(await hub.start());
    const request = new pb.ResumeRequest();
    const resume = (id: string) =>
      worker.call<pb.ResumeResponse>((stub, done) => stub.resumeInstance(request.setInstanceid(id), done));
    const suspend = (id: string) =>
      worker.call<pb.SuspendResponse>((stub, done) =>
        stub.suspendInstance(new pb.SuspendRequest().setInstanceid(id), done),
      );
    const id = await worker.start("wait");
    await resume(id);
    await suspend(id);
    await suspend(id);
    expect((await worker.state(id))?.getOrchestrationstatus()).toBe(Status.ORCHESTRATION_STATUS_PENDING);
    const first = await worker.episode();
    await worker.answer(first, []);
    expect((await worker.state(id))?.getOrchestrationstatus()).toBe(Status.ORCHESTRATION_STATUS_SUSPENDED);
    const second = await worker.episode();
    expect([first.events, second.events]).toEqual([
      ["orchestratorstarted", "executionstarted"],
      ["orchestratorstarted", "executionsuspended"],
    ]);
  });

  it("terminates an orchestration, suspended or not, with the output given", async () => {
    const { client } = await connected();
    for (const suspended of [false, true]) {
      const id = await client.scheduleNewOrchestration("wait");
      await client.waitForOrchestrationStart(id);
      if (suspended) await client.suspendOrchestration(id);
      await client.terminateOrchestration(id, { why: "test" });
      const state = await client.waitForOrchestrationCompletion(id);
      expect(state).toMatchObject({
        runtimeStatus: OrchestrationStatus.TERMINATED,
        serializedOutput: '{"why":"test"}',
      });
    }
  });

  it("terminates the orchestrations below it only when asked to", async () => {
    const { client } = await connected();
    for (const recursive of [false, true]) {
      const id = await client.scheduleNewOrchestration("nest", 2);
      await expect.poll(() => client.getOrchestrationState(`${id}.1.0`)).toBeDefined();
      await client.waitForOrchestrationStart(`${id}.1.0`);
      await client.terminateOrchestration(id, terminateOptions({ output: "stop", recursive }));
      await client.waitForOrchestrationCompletion(id);
      if (!recursive) await client.raiseOrchestrationEvent(`${id}.1.0`, "go");
      const states = await Promise.all(
        [id, `${id}.1`, `${id}.1.0`].map((at) => client.waitForOrchestrationCompletion(at)),
      );
      expect(states.map((state) => state?.runtimeStatus)).toEqual([
        OrchestrationStatus.TERMINATED,
        ...Array(2).fill(recursive ? OrchestrationStatus.TERMINATED : OrchestrationStatus.COMPLETED),
      ]);
    }
  });

  it("terminates a batch without asking a worker, and names those it could not terminate", async () => {
    const sidecar = await hub.start();
    const worker = await hub.rawWorker(sidecar);
    await worker.start("wait", (request) => request.setInstanceid("running"));
    const running = await worker.episode();
    const batch = new pb.InstanceBatch().setInstanceidsList(["running", "nobody"]);
    const request = new pb.SkipGracefulOrchestrationTerminationsRequest().setInstancebatch(batch);
    const skip = () =>
      worker.call<pb.SkipGracefulOrchestrationTerminationsResponse>((stub, done) =>
        stub.skipGracefulOrchestrationTerminations(request, done),
      );
    expect((await skip()).getUnterminatedinstanceidsList()).toEqual(["nobody"]);
    expect((await worker.state("running"))?.getOrchestrationstatus()).toBe(Status.ORCHESTRATION_STATUS_TERMINATED);
    await expect(worker.answer(running, [])).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    expect((await skip()).getUnterminatedinstanceidsList()).toEqual(["running", "nobody"]);
    batch.setInstanceidsList(Array.from({ length: 501 }, (_, index) => String(index)));
    await expect(skip()).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });

  it("ignores what comes for an orchestration that has finished", async () => {
    const { client } = await connected();
    const id = await client.scheduleNewOrchestration("echo", 1);
    await client.waitForOrchestrationCompletion(id);
    const before = await client.getOrchestrationHistory(id);
    await client.raiseOrchestrationEvent(id, "go");
    await client.suspendOrchestration(id);
    await client.resumeOrchestration(id);
    await client.terminateOrchestration(id);
    expect((await client.getOrchestrationState(id))?.runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    expect(await client.getOrchestrationHistory(id)).toEqual(before);
  });

  it("refuses an instance that does not exist with NOT_FOUND, and an empty ID or name with INVALID_ARGUMENT", async () => {
    const sidecar = await hub.start();
    const client = hub.client(sidecar);
    const raw = hub.rawClient(sidecar);
    const missing = { code: grpc.status.NOT_FOUND, details: expect.stringContaining("'nobody'") };
    await expect(client.raiseOrchestrationEvent("nobody", "go")).rejects.toMatchObject(missing);
    await expect(client.suspendOrchestration("nobody")).rejects.toMatchObject(missing);
    await expect(client.resumeOrchestration("nobody")).rejects.toMatchObject(missing);
    await expect(client.terminateOrchestration("nobody")).rejects.toMatchObject(missing);
    await expect(client.rewindInstance("nobody", "")).rejects.toThrow("'nobody' was not found");
    await expect(client.restartOrchestration("nobody")).rejects.toThrow("'nobody' was not found");
    const invalid = { code: grpc.status.INVALID_ARGUMENT };
    await expect(raw.raise("", "go")).rejects.toMatchObject(invalid);
    const id = await raw.start("echo");
    await expect(raw.raise(id, "")).rejects.toMatchObject(invalid);
    await expect(
      raw.call((stub, done) => stub.purgeInstances(new pb.PurgeInstancesRequest(), done)),
    ).rejects.toMatchObject(invalid);
  });
});

describe("restarting", () => {
  it("restarts a finished orchestration with what it was first started with, under its ID or a new one", async () => {
    const { client, raw } = await connected();
    const id = await client.scheduleNewOrchestration("echo", "again", { version: "3", tags: { a: "b" } });
    await client.waitForOrchestrationCompletion(id);
    const execution = (await raw.state(id))?.getExecutionid()?.getValue();
    expect(await client.restartOrchestration(id)).toBe(id);
    const other = await client.restartOrchestration(id, true);
    expect(other).not.toBe(id);
    for (const restarted of [id, other]) {
      const state = await client.waitForOrchestrationCompletion(restarted);
      expect(state).toMatchObject({ name: "echo", serializedOutput: '"again"', tags: { a: "b" } });
      const message = await raw.state(restarted);
      expect(message?.getVersion()?.getValue()).toBe("3");
      expect(message?.getExecutionid()?.getValue()).not.toBe(execution);
    }
  });

  it("refuses to restart a running orchestration under its own ID with FAILED_PRECONDITION", async () => {
    const { client, raw } = await connected();
    const id = await client.scheduleNewOrchestration("wait");
    await client.waitForOrchestrationStart(id);
    const request = new pb.RestartInstanceRequest().setInstanceid(id);
    await expect(raw.call((stub, done) => stub.restartInstance(request, done))).rejects.toMatchObject({
      code: grpc.status.FAILED_PRECONDITION,
      details: expect.stringContaining("RUNNING"),
    });
    const other = await client.restartOrchestration(id, true);
    await client.raiseOrchestrationEvent(other, "go", 5);
    expect((await client.waitForOrchestrationCompletion(other))?.serializedOutput).toBe("5");
    expect((await client.getOrchestrationState(id))?.runtimeStatus).toBe(OrchestrationStatus.RUNNING);
  });
});

describe("queries", () => {
  it("filter by status, ID prefix and creation time", async () => {
    const { client } = await connected();
    const ids = async (filter: Parameters<typeof client.getAllInstances>[0]): Promise<string[]> =>
      (await collected(client.getAllInstances(filter))).map(({ instanceId }) => instanceId);
    const done = await client.scheduleNewOrchestration("echo", 1, "a-done");
    const middle = (await client.waitForOrchestrationCompletion(done))?.lastUpdatedAt;
    const open = await client.scheduleNewOrchestration("wait", 1, "b-open");
    await client.waitForOrchestrationStart(open);
    expect(await ids({})).toEqual([done, open]);
    expect(await ids({ statuses: [OrchestrationStatus.RUNNING] })).toEqual([open]);
    expect(await ids({ instanceIdPrefix: "a-" })).toEqual([done]);
    expect(await ids({ createdTo: new Date(0) })).toEqual([]);
    if (middle === undefined) throw new Error("The orchestration has no time.");
    expect(await ids({ createdFrom: new Date(middle.getTime() + 60_000) })).toEqual([]);
    expect(await ids({ createdFrom: new Date(0), createdTo: middle })).toContain(done);
    const [state] = await collected(client.getAllInstances({ instanceIdPrefix: "a-", fetchInputsAndOutputs: true }));
    expect(state?.serializedOutput).toBe("1");
  });

  it("page through all instances once, whatever comes and goes meanwhile", async () => {
    const client = hub.client(await hub.start());
    const expected = Array.from({ length: 25 }, (_, index) => `i${index}`);
    for (const id of expected) await client.scheduleNewOrchestration("nothing", undefined, id);
    const pages: string[][] = [];
    for await (const page of client.getAllInstances({ pageSize: 10 }).asPages()) {
      pages.push(page.values.map(({ instanceId }) => instanceId));
      if (pages.length > 1) continue;
      await client.terminateOrchestration("i3");
      await client.purgeOrchestration("i3");
    }
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
    expect(pages.flat()).toEqual(expected);
    const bad = client.getAllInstances({ continuationToken: "?" });
    await expect(collected(bad)).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });

  it("list instance IDs by status and time of completion, in pages", async () => {
    const { client } = await connected();
    const before = new Date();
    const ids = await Promise.all(Array.from({ length: 5 }, () => client.scheduleNewOrchestration("echo")));
    await Promise.all(ids.map((id) => client.waitForOrchestrationCompletion(id)));
    await client.scheduleNewOrchestration("wait");
    const listed: string[] = [];
    let lastInstanceKey: string | undefined;
    do {
      const page = await client.listInstanceIds({
        runtimeStatus: [OrchestrationStatus.COMPLETED],
        completedTimeFrom: before,
        pageSize: 2,
        ...(lastInstanceKey === undefined ? {} : { lastInstanceKey }),
      });
      expect(page.values.length).toBeLessThanOrEqual(2);
      listed.push(...page.values);
      lastInstanceKey = page.continuationToken;
    } while (lastInstanceKey !== undefined);
    expect(listed.toSorted()).toEqual(ids.toSorted());
    expect((await client.listInstanceIds({ completedTimeTo: new Date(before.getTime() - 1) })).values).toEqual([]);
    expect((await client.listInstanceIds()).values).toHaveLength(6);
  });

  it("stream a history of more than one chunk whole and in order", async () => {
    const sidecar = await hub.start();
    const worker = await hub.rawWorker(sidecar);
    const id = await worker.start("long");
    const sent = Array.from({ length: 250 }, (_, index) =>
      new pb.OrchestratorAction()
        .setId(index)
        .setSendevent(
          new pb.SendEventAction().setInstance(new pb.OrchestrationInstance().setInstanceid("x")).setName("e"),
        ),
    );
    await worker.answer(await worker.episode(), [...sent, act.complete(250)]);
    const chunks: number[][] = [];
    const stream = worker.stub.streamInstanceHistory(new pb.StreamInstanceHistoryRequest().setInstanceid(id));
    for await (const chunk of stream as AsyncIterable<pb.HistoryChunk>) {
      chunks.push(chunk.getEventsList().map((event) => event.getEventid()));
    }
    expect(chunks.length).toBeGreaterThan(1);
    expect(chunks.flat()).toEqual([-1, 0, ...sent.keys(), 250]);
    const old = new pb.StreamInstanceHistoryRequest().setInstanceid(id).setExecutionid(text("another"));
    await expect(collected(worker.stub.streamInstanceHistory(old))).rejects.toMatchObject({
      code: grpc.status.NOT_FOUND,
    });
  });
});

describe("purging", () => {
  it("deletes what has finished, by ID, by filter and by batch, and counts it", async () => {
    const { client, raw } = await connected();
    const run = async (id: string): Promise<void> => {
      await client.scheduleNewOrchestration("echo", 1, id);
      await client.waitForOrchestrationCompletion(id);
    };
    await Promise.all(["a", "b", "c", "d"].map(run));
    await client.scheduleNewOrchestration("wait", 1, "open");
    await client.waitForOrchestrationStart("open");
    const count = async (...args: Parameters<typeof client.purgeOrchestration>): Promise<number | undefined> =>
      (await client.purgeOrchestration(...args))?.deletedInstanceCount;
    expect([await count("a"), await count("a"), await count("open"), await count("nobody")]).toEqual([1, 0, 0, 0]);
    expect(await client.getOrchestrationState("a")).toBeUndefined();

    const batch = new pb.InstanceBatch().setInstanceidsList(["b", "open", "nobody"]);
    const response = await raw.call<pb.PurgeInstancesResponse>((stub, done) =>
      stub.purgeInstances(new pb.PurgeInstancesRequest().setInstancebatch(batch), done),
    );
    expect([response.getDeletedinstancecount(), response.getIscomplete()?.getValue()]).toEqual([1, true]);

    expect(await count(criteria([OrchestrationStatus.FAILED], new Date(0)))).toBe(0);
    expect(await count(criteria([], new Date("2999-01-01")))).toBe(0);
    expect(await count(criteria([], new Date(0)))).toBe(2);
    expect((await client.listInstanceIds()).values).toEqual(["open"]);
  });

  it("deletes the orchestrations below it only when asked to", async () => {
    const { client } = await connected();
    for (const recursive of [false, true]) {
      const id = await client.scheduleNewOrchestration("nest", 2, `nest-${recursive}`);
      await expect.poll(() => client.getOrchestrationState(`${id}.1.0`)).toBeDefined();
      await client.raiseOrchestrationEvent(`${id}.1.0`, "go");
      await client.waitForOrchestrationCompletion(id);
      expect((await client.purgeOrchestration(id, { recursive }))?.deletedInstanceCount).toBe(recursive ? 3 : 1);
    }
    expect((await client.listInstanceIds()).values).toEqual(["nest-false.1", "nest-false.1.0"]);
  });
});

describe("a task hub", () => {
  it("can be created, created anew and deleted", async () => {
    const raw = hub.rawClient(await hub.start());
    const create = (anew: boolean) =>
      raw.call<pb.CreateTaskHubResponse>((stub, done) =>
        stub.createTaskHub(new pb.CreateTaskHubRequest().setRecreateifexists(anew), done),
      );
    const id = await raw.start("echo", (request) =>
      request.setScheduledstarttimestamp(timestamp(new Date("2999-01-01"))),
    );
    await create(false);
    expect(await raw.state(id)).toBeDefined();
    await raw.call((stub, done) => stub.deleteTaskHub(new pb.DeleteTaskHubRequest(), done));
    expect(await raw.state(id)).toBeUndefined();
    await create(true);
    expect(await raw.start("echo", (request) => request.setInstanceid(id))).toBe(id);
  });
});
