import { EntityInstanceId, TaskEntity } from "@microsoft/durabletask-js";
import type { LockHandle, OrchestrationContext, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import { sidecars, type Steps } from "./sidecar-fixture.ts";
import { act, text, type Episode, type RawWorker } from "./sidecar-raw.ts";

const hub = sidecars();
const account = (key: string): EntityInstanceId => new EntityInstanceId("account", key);

class Account extends TaskEntity<number> {
  protected override initializeState(): number {
    return 100;
  }
  get(): number {
    return this.state;
  }
  set(balance: number): void {
    this.state = balance;
  }
}

/** `move` reads both balances, lets others do as they like, and writes both: without a lock it undoes what they did. */
function banking(worker: TaskHubGrpcWorker): void {
  worker.addNamedEntity("account", () => new Account());
  worker.addNamedActivity("think", () => null);
  worker.addNamedOrchestrator(
    "move",
    async function* (ctx: OrchestrationContext, [from, to]: [string, string]): Steps<void> {
      const lock: LockHandle = yield ctx.entities.lockEntities(account(from), account(to));
      const mine: number = yield ctx.entities.callEntity<number>(account(from), "get");
      const other: number = yield ctx.entities.callEntity<number>(account(to), "get");
      yield ctx.callActivity("think");
      yield ctx.entities.callEntity(account(from), "set", mine - 1);
      yield ctx.entities.callEntity(account(to), "set", other + 1);
      lock.release();
    },
  );
  worker.addNamedOrchestrator("hold", async function* (ctx: OrchestrationContext, how: string): Steps<void> {
    yield ctx.entities.lockEntities(account("a"), account("b"));
    if (how === "fails") throw new Error("on purpose");
    if (how === "continues as new") ctx.continueAsNew("completes", true);
    else yield ctx.waitForExternalEvent("go");
  });
}

async function balances(client: TaskHubGrpcClient): Promise<(number | undefined)[]> {
  return Promise.all(["a", "b"].map(async (key) => (await client.getEntity<number>(account(key)))?.state));
}

async function connected() {
  const sidecar = await hub.start();
  await hub.worker(sidecar, banking);
  return hub.client(sidecar);
}

const [A, B] = ["@account@a", "@account@b"];

/** Starts an orchestration that asks for a lock. */
async function locking(worker: RawWorker, name: string, entities: string[]): Promise<Episode> {
  await worker.start(name, (request) => request.setInstanceid(name));
  const episode = await worker.episode();
  await worker.answer(episode, [act.lock(1, name, entities)]);
  return episode;
}

/** The next episode, which must be that of a granted lock. */
async function granted(worker: RawWorker, name: string): Promise<Episode> {
  const episode = await worker.episode();
  expect([episode.request.getInstanceid(), ...episode.events]).toEqual([
    name,
    "orchestratorstarted",
    "entitylockgranted",
  ]);
  return episode;
}

async function metadata(worker: RawWorker, entity: string): Promise<pb.EntityMetadata | undefined> {
  const query = new pb.EntityQuery().setInstanceidstartswith(text(entity)).setIncludetransient(true);
  const request = new pb.QueryEntitiesRequest().setQuery(query);
  const response = await worker.call<pb.QueryEntitiesResponse>((stub, done) => stub.queryEntities(request, done));
  return response.getEntitiesList()[0];
}

const holder = async (worker: RawWorker, entity: string): Promise<string | undefined> =>
  (await metadata(worker, entity))?.getLockedby()?.getValue();

describe("a critical section", () => {
  it("keeps out those that compete for the same entities, in whatever order they name them", async () => {
    const client = await connected();
    const moves = Array.from({ length: 6 }, (_, index) => (index % 3 === 0 ? ["b", "a"] : ["a", "b"]));
    const ids = await Promise.all(moves.map((move) => client.scheduleNewOrchestration("move", move)));
    for (const id of ids) await client.waitForOrchestrationCompletion(id);
    expect(await balances(client)).toEqual([98, 102]);
  });

  it("ends with its orchestration, which leaves it in whatever way", async () => {
    const client = await connected();
    for (const how of ["completes", "fails", "is terminated", "continues as new"]) {
      const id = await client.scheduleNewOrchestration("hold", how);
      if (how === "is terminated") await client.terminateOrchestration(id);
      else await client.raiseOrchestrationEvent(id, "go");
      await client.waitForOrchestrationCompletion(id);
      // It waits for ever if that one has left the entities locked.
      const move = await client.scheduleNewOrchestration("move", ["a", "b"]);
      expect((await client.waitForOrchestrationCompletion(move, true, 10))?.failureDetails, how).toBeUndefined();
    }
    expect(await balances(client)).toEqual([96, 104]);
  });
});

describe("a lock", () => {
  it("is taken in sorted order, once for each entity, and granted when all of them are its own", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await locking(worker, "first", [B]);
    const first = await granted(worker, "first");
    await locking(worker, "second", [B, A, B]);
    expect([await holder(worker, A), await holder(worker, B)]).toEqual(["second", "first"]);
    await locking(worker, "third", [A]);
    await worker.answer(first, [act.unlock(2, "first", B)]);
    const second = await granted(worker, "second");
    expect([await holder(worker, A), await holder(worker, B)]).toEqual(["second", "second"]);
    await worker.answer(second, [act.unlock(2, "second", A)]);
    await granted(worker, "third");
    expect([await holder(worker, A), await holder(worker, B)]).toEqual(["third", "second"]);
  });

  it("lets the calls of its owner through, and keeps all else in order behind it", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await worker.signal(A, "before");
    const before = await worker.batch();
    await worker.signal(A, "also before");
    await locking(worker, "owner", [A]);
    await worker.signal(A, "behind");
    await worker.completeBatch(before, "0");
    // The lock waits for what came before it.
    const alsoBefore = await worker.batch();
    expect([before.operations, alsoBefore.operations, await holder(worker, A)]).toEqual([
      ["before"],
      ["also before"],
      undefined,
    ]);
    await worker.completeBatch(alsoBefore, "1");
    const inside = await granted(worker, "owner");
    await worker.answer(inside, [act.callEntity(2, A, "inside")]);
    const call = await worker.batch();
    expect(call.operations).toEqual(["inside"]);
    expect((await metadata(worker, A))?.getBacklogqueuesize()).toBe(2);
    await worker.signal(A, "last");
    await worker.completeBatch(call, "2");
    const leaving = await worker.episode();
    await worker.answer(leaving, [act.unlock(3, "owner", A)]);
    const after = await worker.batch();
    expect([after.operations, after.request.getEntitystate()?.getValue()]).toEqual([["behind", "last"], "2"]);
  });

  it("that its owner stops waiting for holds nobody up", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await locking(worker, "first", [B]);
    const first = await granted(worker, "first");
    await locking(worker, "gone", [A, B]);
    await locking(worker, "third", [A]);
    const request = new pb.TerminateRequest().setInstanceid("gone");
    await worker.call((stub, done) => stub.terminateInstance(request, done));
    const gone = await worker.episode();
    await worker.answer(gone, [act.finish(2, pb.OrchestrationStatus.ORCHESTRATION_STATUS_TERMINATED)]);
    await granted(worker, "third");
    await worker.answer(first, [act.unlock(2, "first", B)]);
    await locking(worker, "last", [B]);
    await granted(worker, "last");
  });

  it("that is given back before it was granted is given up", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await locking(worker, "first", [B]);
    const first = await granted(worker, "first");
    await locking(worker, "hasty", [A, B]);
    await worker.raise("hasty", "go");
    await worker.answer(await worker.episode(), [act.unlock(2, "hasty", B)]);
    expect([await holder(worker, A), await holder(worker, B)]).toEqual([undefined, "first"]);
    await worker.answer(first, [act.unlock(2, "first", B)]);
    expect(await holder(worker, B)).toBeUndefined();
  });

  it("goes to the next one only when a worker has done the calls of an owner that ended meanwhile", async () => {
    const sidecar = await hub.start();
    const worker = await hub.rawWorker(sidecar);
    await locking(worker, "owner", [A]);
    const inside = await granted(worker, "owner");
    await locking(worker, "next", [A]);
    await worker.answer(inside, [act.callEntity(2, A, "inside")]);
    const call = await worker.batch();
    await worker.call((stub, done) => stub.terminateInstance(new pb.TerminateRequest().setInstanceid("owner"), done));
    await worker.answer(await worker.episode(), [
      act.finish(3, pb.OrchestrationStatus.ORCHESTRATION_STATUS_TERMINATED),
    ]);
    expect(await holder(worker, A)).toBeUndefined();
    await worker.completeBatch(call, "1");
    await granted(worker, "next");
  });

  it("takes back what is queued and may not be done any more", async () => {
    const sidecar = await hub.start();
    const taking = (filters: pb.WorkItemFilters) =>
      hub.rawWorker(sidecar, new pb.GetWorkItemsRequest().setWorkitemfilters(filters));
    const orchestrations = ["owner", "next"].map((name) => new pb.OrchestrationFilter().setName(name));
    // While there is none that takes entities, their work stays queued.
    const worker = await taking(new pb.WorkItemFilters().setOrchestrationsList(orchestrations));
    await locking(worker, "owner", [A]);
    const inside = await granted(worker, "owner");
    await locking(worker, "next", [A]);
    await worker.answer(inside, [
      act.callEntity(2, A, "inside"),
      act.finish(3, pb.OrchestrationStatus.ORCHESTRATION_STATUS_COMPLETED),
    ]);
    const next = await granted(worker, "next");
    const heir = await taking(new pb.WorkItemFilters().setEntitiesList([new pb.EntityFilter().setName("account")]));
    await worker.answer(next, [act.callEntity(2, A, "mine"), act.unlock(3, "next", A)]);
    const batch = await heir.batch();
    expect(batch.operations).toEqual(["mine"]);
    await heir.completeBatch(batch, undefined);
    expect((await heir.batch()).operations).toEqual(["inside"]);
  });
});
