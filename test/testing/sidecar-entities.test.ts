import grpc from "@grpc/grpc-js";
import {
  EntityInstanceId,
  NoOpLogger,
  OrchestrationStatus,
  TaskEntity,
  TaskHubGrpcWorker,
  whenAll,
} from "@microsoft/durabletask-js";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import exceptions from "@microsoft/durabletask-js/dist/entities/entity-operation-failed-exception.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import { recordMessage } from "../../src/testing/sidecar/hub/entity-messages.ts";
import {
  entityLockGranted,
  entityOperationCompleted,
  entityOperationFailed,
  event,
} from "../../src/testing/sidecar/hub/history-events.ts";
import { openTasks } from "../../src/testing/sidecar/hub/open-tasks.ts";
import { sidecars, type Steps } from "./sidecar-fixture.ts";
import { act, text } from "./sidecar-raw.ts";

const hub = sidecars();
const counter = (key: string): EntityInstanceId => new EntityInstanceId("Counter", key);

/** Counts, and remembers its signals. */
class Counter extends TaskEntity<{ count: number; log: unknown[] }> {
  protected override initializeState() {
    return { count: 0, log: [] };
  }
  add(amount: number): number {
    this.state.log.push(amount);
    return (this.state.count += amount);
  }
  get(): number {
    return this.state.count;
  }
  log(): unknown[] {
    return this.state.log;
  }
  addAndFail(amount: number): never {
    this.add(amount);
    this.context?.signalEntity(counter("other"), "add", amount);
    throw new RangeError(`${amount} is too much`);
  }
  tell(key: string): void {
    this.context?.signalEntity(counter(key), "add", 7);
    this.context?.scheduleNewOrchestration("ask", ["late", "get"], {
      instanceId: `never-${key}`,
      startAt: new Date("2999-01-01"),
    });
    this.context?.scheduleNewOrchestration("ask", [key, "log"], { instanceId: `started-${key}` });
  }
}

/** An entity, and orchestrations that ask it. */
function counting(worker: TaskHubGrpcWorker): void {
  worker.addNamedEntity("Counter", () => new Counter());
  worker.addNamedOrchestrator(
    "ask",
    async function* (ctx: OrchestrationContext, [key, ...ask]: [string, string, unknown]): Steps<unknown> {
      const id = key.startsWith("@") ? EntityInstanceId.fromString(key) : counter(key);
      return yield ctx.entities.callEntity(id, ...ask);
    },
  );
  worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, key: string): Steps<unknown> {
    ctx.entities.signalEntity(counter(key), "add", 1);
    const sum: number = yield ctx.entities.callEntity<number>(counter(key), "add", 2);
    const both: number[] = yield whenAll([3, 4].map((n) => ctx.entities.callEntity<number>(counter(key), "add", n)));
    return [sum, ...both];
  });
}

async function connected(register = counting) {
  const sidecar = await hub.start();
  await hub.worker(sidecar, register);
  const client = hub.client(sidecar);
  const run = async (name: string, input?: unknown): Promise<unknown> => {
    const state = await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration(name, input));
    expect(state?.runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    return JSON.parse(state?.serializedOutput ?? "null");
  };
  return { sidecar, client, run, raw: hub.rawClient(sidecar) };
}

describe("an entity", () => {
  it("does what orchestrations call and signal, answers the calls, and keeps its state", async () => {
    const { client, run } = await connected();
    expect(await run("main", "one")).toEqual([3, 6, 10]);
    expect(await run("main", "one")).toEqual([13, 16, 20]);
    expect(await run("main", "two")).toEqual([3, 6, 10]);
    expect((await client.getEntity<{ count: number }>(counter("one")))?.state?.count).toBe(20);
  });

  it("does what clients and orchestrations send in the order in which it comes", async () => {
    const { client, run } = await connected();
    const sent = Array.from({ length: 30 }, (_, index) => index);
    for (const n of sent) await client.signalEntity(counter("one"), "add", n);
    expect(await run("ask", ["one", "log"])).toEqual(sent);
  });

  it("whose operation fails tells the caller why, forgets what the operation did, and goes on", async () => {
    const { run } = await connected((worker) => {
      counting(worker);
      worker.addNamedOrchestrator("fail", async function* (ctx: OrchestrationContext): Steps<unknown> {
        ctx.entities.signalEntity(counter("one"), "add", 5);
        ctx.entities.signalEntity(counter("one"), "addAndFail", 50);
        try {
          yield ctx.entities.callEntity(counter("one"), "addAndFail", 100);
        } catch (error) {
          if (!(error instanceof exceptions.EntityOperationFailedException)) throw error;
          const { errorType, errorMessage } = error.failureDetails;
          const counts: number[] = yield whenAll(
            ["one", "other"].map((key) => ctx.entities.callEntity<number>(counter(key), "get")),
          );
          return [errorType, errorMessage, ...counts];
        }
        return "not failed";
      });
    });
    expect(await run("fail")).toEqual(["RangeError", "100 is too much", 5, 0]);
  });

  it("that its worker doesn't know fails the calls to it", async () => {
    const { client } = await connected((worker) => {
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<unknown> {
        return yield ctx.entities.callEntity(counter("one"), "get");
      });
    });
    const state = await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("main"));
    expect(state?.failureDetails?.errorType).toBe("EntityOperationFailedException");
    expect(state?.failureDetails?.message).toContain("No entity task named 'counter' was found.");
  });

  it("signals other entities and starts orchestrations, at once or at their time", async () => {
    const { client, run, raw } = await connected();
    await run("ask", ["one", "tell", "two"]);
    const state = await client.waitForOrchestrationCompletion("started-two");
    expect(JSON.parse(state?.serializedOutput ?? "")).toEqual([7]);
    expect((await raw.state("never-two"))?.getScheduledstarttimestamp()?.toDate()).toEqual(new Date("2999-01-01"));
    expect((await client.getOrchestrationState("never-two"))?.runtimeStatus).toBe(OrchestrationStatus.PENDING);
  });

  it("does not start an orchestration again that has not finished", async () => {
    const { client, run } = await connected();
    await run("ask", ["one", "tell", "two"]);
    const first = await client.waitForOrchestrationCompletion("started-two");
    const pending = await client.getOrchestrationState("never-two");
    await run("ask", ["one", "tell", "two"]);
    expect((await client.getOrchestrationState("never-two"))?.createdAt).toEqual(pending?.createdAt);
    // A finished one makes room, as for a client that allows it.
    const again = await client.waitForOrchestrationCompletion("started-two");
    expect(JSON.parse(again?.serializedOutput ?? "")).toEqual([7, 7]);
    expect(first?.serializedOutput).toBe("[7]");
  });

  it("does what clients, orchestrations and entities schedule when its time has come, and not before", async () => {
    const early = new Map<string, number>();
    const done = Promise.withResolvers<void>();
    const clock = new EntityInstanceId("clock", "one");
    const soon = (now: Date): Date => new Date(now.getTime() + 200);
    const { client, run } = await connected((worker) => {
      worker.addNamedEntity("clock", () => ({
        run(operation) {
          const due = operation.getInput<number>() ?? 0;
          early.set(operation.name, Math.max(0, due - Date.now()));
          if (early.size === 3) done.resolve();
        },
      }));
      worker.addNamedEntity("relay", () => ({
        run({ context }) {
          const signalTime = soon(new Date());
          context?.signalEntity(clock, "entity", signalTime.getTime(), { signalTime });
        },
      }));
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<void> {
        const signalTime = soon(ctx.currentUtcDateTime);
        ctx.entities.signalEntity(clock, "orchestration", signalTime.getTime(), { signalTime });
        yield ctx.entities.callEntity(new EntityInstanceId("relay", "one"), "now");
      });
    });
    const signalTime = soon(new Date());
    await client.signalEntity(clock, "client", signalTime.getTime(), { signalTime });
    await run("main");
    await done.promise;
    expect(Object.fromEntries(early)).toEqual({ client: 0, orchestration: 0, entity: 0 });
  });
});

describe("several workers", () => {
  it("share the entities, of which each does one batch at a time", async () => {
    const sidecar = await hub.start();
    const running = new Set<string>();
    const workers = new Set<string>();
    let overlaps = 0;
    const named = (name: string) => (worker: TaskHubGrpcWorker) => {
      worker.addNamedEntity("busy", () => ({
        async run({ context, state }) {
          const id = String(context?.id);
          if (running.has(id)) overlaps++;
          running.add(id);
          workers.add(name);
          await new Promise(setImmediate);
          state.setState((state.getState<number>() ?? 0) + 1);
          running.delete(id);
          return state.getState();
        },
      }));
      worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<number[]> {
        const keys = Array.from({ length: 20 }, (_, index) => String(index % 4));
        return yield whenAll(
          keys.map((key) => ctx.entities.callEntity<number>(new EntityInstanceId("busy", key), "work")),
        );
      });
    };
    await Promise.all(["a", "b"].map((name) => hub.worker(sidecar, named(name))));
    const client = hub.client(sidecar);
    let rounds = 0;
    // The second worker connects some time after the first.
    for (; workers.size < 2 || rounds < 3; rounds++) {
      const ids = await Promise.all([1, 2].map(() => client.scheduleNewOrchestration("main")));
      await Promise.all(ids.map((id) => client.waitForOrchestrationCompletion(id)));
    }
    expect(overlaps).toBe(0);
    for (const key of "0123") {
      expect((await client.getEntity<number>(new EntityInstanceId("busy", key)))?.state).toBe(rounds * 10);
    }
  });

  it("one after the other find the state that the one before has left", async () => {
    const sidecar = await hub.start();
    const client = hub.client(sidecar);
    const outputs: unknown[] = [];
    for (const amount of [1, 2]) {
      const worker = new TaskHubGrpcWorker({ hostAddress: sidecar.address, logger: new NoOpLogger() });
      counting(worker);
      await worker.start();
      const id = await client.scheduleNewOrchestration("ask", ["one", "add", amount]);
      outputs.push((await client.waitForOrchestrationCompletion(id))?.serializedOutput);
      await worker.stop();
    }
    expect(outputs).toEqual(["1", "3"]);
  });

  it("inherit the batch that a vanished one had, whose late answer is refused", async () => {
    const sidecar = await hub.start();
    const lost = await hub.rawWorker(sidecar);
    await lost.signal("@counter@one", "add");
    await lost.signal("@counter@one", "log");
    const batch = await lost.batch();
    const heir = await hub.rawWorker(sidecar);
    lost.stream.cancel();
    const inherited = await heir.batch();
    expect(inherited.request.toObject()).toEqual(batch.request.toObject());
    expect(inherited.operations).toEqual(["add"]);
    await expect(lost.completeBatch(batch, "1")).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    await heir.completeBatch(inherited, "2");
    const next = await heir.batch();
    expect([next.operations, next.request.getEntitystate()?.getValue()]).toEqual([["log"], "2"]);
  });

  it("get the entities that the SDK finds in their registries, whatever the case of the name", async () => {
    const sidecar = await hub.start();
    const options = { workItemFilters: "auto" } as const;
    await hub.worker(sidecar, (worker) => void worker.addNamedOrchestrator("none", () => null), options);
    await hub.worker(sidecar, counting, options);
    const client = hub.client(sidecar);
    const ids = await Promise.all(
      Array.from({ length: 5 }, (_, key) => client.scheduleNewOrchestration("main", `${key}`)),
    );
    for (const id of ids) expect((await client.waitForOrchestrationCompletion(id))?.serializedOutput).toBe("[3,6,10]");
  });
});

describe("a client", () => {
  it("is given each entity that has a state, with or without that state, and no other", async () => {
    const { client, run } = await connected();
    const before = new Date();
    await run("main", "one");
    const [full, bare] = await Promise.all([true, false].map((state) => client.getEntity(counter("one"), state)));
    expect(full).toMatchObject({ includesState: true, backlogQueueSize: 0, lockedBy: undefined, state: { count: 10 } });
    expect(bare?.includesState).toBe(false);
    expect(full?.lastModifiedTime.getTime()).toBeGreaterThanOrEqual(before.getTime());
    expect(await client.getEntity(counter("unknown"))).toBeUndefined();
    await run("ask", ["one", "delete"]);
    expect(await client.getEntity(counter("one"))).toBeUndefined();
    expect(await run("ask", ["one", "get"])).toBe(0);
  });

  it("queries entities by name, key, time and transience, page by page", async () => {
    const { client, run } = await connected((worker) => {
      counting(worker);
      worker.addNamedEntity("counters", () => new Counter());
    });
    for (const key of ["a1", "a2", "a3", "b1"]) await run("main", key);
    const modified = async (key: string): Promise<number> =>
      (await client.getEntity(counter(key)))?.lastModifiedTime.getTime() ?? 0;
    const since = new Date((await modified("b1")) + 1);
    while ((await modified("a3")) < since.getTime()) await run("ask", ["a3", "add", 1]);
    await run("ask", ["b1", "delete"]);
    await run("ask", ["@counters@a1", "add", 1]);
    const found = async (query: Parameters<typeof client.getEntities>[0]): Promise<string[]> => {
      const ids: string[] = [];
      for await (const { id } of client.getEntities(query)) ids.push(id.toString());
      return ids;
    };
    expect(await found({})).toHaveLength(4);
    expect(await found({ instanceIdStartsWith: "Counter@a" })).toEqual(["@counter@a1", "@counter@a2", "@counter@a3"]);
    expect(await found({ instanceIdStartsWith: "counters" })).toEqual(["@counters@a1"]);
    expect(await found({ instanceIdStartsWith: "counter@", includeTransient: true })).toContain("@counter@b1");
    expect((await found({ lastModifiedFrom: since })).toSorted()).toEqual(["@counter@a3", "@counters@a1"]);
    expect(await found({ lastModifiedTo: new Date(since.getTime() - 1) })).toEqual(["@counter@a1", "@counter@a2"]);
    const pages: number[] = [];
    for await (const page of client.getEntities({ pageSize: 3 }).asPages()) pages.push(page.values.length);
    expect(pages).toEqual([3, 1]);
    await expect(found({ continuationToken: "made up" })).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });

  it("cleans up the entities that have no state, and nothing to do", async () => {
    const { client, run } = await connected();
    for (const key of ["a", "b", "c"]) await run("main", key);
    for (const key of ["a", "b"]) await run("ask", [key, "delete"]);
    const nobodys = { emptyEntitiesRemoved: 0, orphanedLocksReleased: 0 };
    expect(await client.cleanEntityStorage({ removeEmptyEntities: false })).toMatchObject(nobodys);
    expect(await client.cleanEntityStorage()).toMatchObject({ ...nobodys, emptyEntitiesRemoved: 2 });
    expect(await client.cleanEntityStorage()).toMatchObject(nobodys);
    expect((await client.getEntity<{ count: number }>(counter("c")))?.state?.count).toBe(10);
    expect(await run("main", "a")).toEqual([3, 6, 10]);
  });

  it("can't signal what is no entity, nor without an operation", async () => {
    const raw = hub.rawClient(await hub.start());
    const invalid = { code: grpc.status.INVALID_ARGUMENT };
    for (const id of ["", "counter", "@counter", "@@one"]) {
      await expect(raw.signal(id, "add")).rejects.toMatchObject({
        ...invalid,
        details: expect.stringContaining(`'${id}'`),
      });
    }
    await expect(raw.signal("@counter@one", "")).rejects.toMatchObject(invalid);
  });
});

it("A call and a request for a lock are open tasks until the answer is among the events", () => {
  const at = new Date();
  const [call, lock] = [act.callEntity(1, "@counter@one", "get"), act.lock(2, "section", ["@counter@one"])].map(
    (action) =>
      recordMessage(event(at, action.getId()), action.getSendentitymessage() ?? new pb.SendEntityMessageAction()),
  );
  if (call === undefined || lock === undefined) throw new Error("A message has no event.");
  expect(openTasks([call, lock])).toEqual([call, lock]);
  expect(openTasks([call, lock, entityOperationCompleted(at, "call 1", undefined)])).toEqual([lock]);
  expect(
    openTasks([call, lock, entityOperationFailed(at, "call 1", undefined), entityLockGranted(at, "section")]),
  ).toEqual([]);
});

describe("the history of an orchestration", () => {
  it("holds each message to an entity under its action's ID, and each answer under its request's, with true times", async () => {
    const worker = await hub.rawWorker(await hub.start());
    const before = Date.now();
    await worker.start("main");
    await worker.answer(await worker.episode(), [
      act.callEntity(1, "@counter@one", "add"),
      act.callEntity(2, "@counter@one", "fail"),
      act.signalEntity(3, "@counter@one", "later", new Date("2999-01-01")),
      act.lock(4, "section", ["@counter@two"]),
    ]);
    const add = await worker.batch();
    await worker.answer(await worker.episode(), [act.unlock(5, "section", "@counter@two")]);
    await worker.completeBatch(add, "1", (result) =>
      result.setResultsList([
        new pb.OperationResult().setSuccess(new pb.OperationResultSuccess().setResult(text("one"))),
      ]),
    );
    await worker.answer(await worker.episode(), []);
    const failure = new pb.TaskFailureDetails().setErrortype("RangeError");
    await worker.completeBatch(await worker.batch(), "1", (result) =>
      result.setResultsList([
        new pb.OperationResult().setFailure(new pb.OperationResultFailure().setFailuredetails(failure)),
      ]),
    );
    const { request } = await worker.episode();
    const history = [...request.getPasteventsList(), ...request.getNeweventsList()];
    for (const each of history) {
      expect(each.getTimestamp()?.toDate().getTime()).toBeGreaterThanOrEqual(before);
      expect(each.getTimestamp()?.toDate().getTime()).toBeLessThanOrEqual(Date.now());
    }
    const ofEntities = history.flatMap((each) => {
      const { eventid, timestamp: _, ...types } = each.toObject();
      const [type, details] =
        Object.entries(types).find(([name, value]) => name.startsWith("entity") && value !== undefined) ?? [];
      return type === undefined ? [] : [[eventid, type, details]];
    });
    const target = { value: "@counter@one" };
    const operation = { input: { value: "1" }, targetinstanceid: target };
    expect(ofEntities).toMatchObject([
      // Whom a message is from stands in the message only.
      [
        1,
        "entityoperationcalled",
        { ...operation, requestid: "call 1", operation: "add", parentinstanceid: undefined },
      ],
      [
        2,
        "entityoperationcalled",
        { ...operation, requestid: "call 2", operation: "fail", parentexecutionid: undefined },
      ],
      [
        3,
        "entityoperationsignaled",
        { ...operation, requestid: "signal 3", operation: "later", scheduledtime: { nanos: 0 } },
      ],
      [
        4,
        "entitylockrequested",
        { criticalsectionid: "section", locksetList: ["@counter@two"], parentinstanceid: undefined },
      ],
      [-1, "entitylockgranted", { criticalsectionid: "section" }],
      [5, "entityunlocksent", { criticalsectionid: "section", targetinstanceid: { value: "@counter@two" } }],
      [-1, "entityoperationcompleted", { requestid: "call 1", output: { value: "one" } }],
      [-1, "entityoperationfailed", { requestid: "call 2", failuredetails: { errortype: "RangeError" } }],
    ]);
  });

  it("can be read and replayed by the SDK", async () => {
    const { client, run } = await connected();
    await run("main", "one");
    const [id = ""] = (await client.listInstanceIds()).values;
    const types = (await client.getOrchestrationHistory(id))
      .map(({ type }) => type)
      .filter((type) => type.startsWith("Entity"));
    expect(types).toEqual([
      "EntityOperationSignaled",
      "EntityOperationCalled",
      "EntityOperationCompleted",
      "EntityOperationCalled",
      "EntityOperationCalled",
      "EntityOperationCompleted",
      "EntityOperationCompleted",
    ]);
  });

  it("has one message for each action, though a suspended orchestrator returns its actions again", async () => {
    const worker = await hub.rawWorker(await hub.start());
    const id = await worker.start("main");
    const actions = [
      act.callEntity(1, "@counter@one", "call"),
      act.signalEntity(2, "@counter@two", "signal"),
      act.lock(3, "section", ["@counter@three"]),
    ];
    await worker.answer(await worker.episode(), actions);
    const batches = [await worker.batch(), await worker.batch()];
    await worker.answer(await worker.episode(), [...actions, act.unlock(4, "section", "@counter@three")]);
    await worker.raise(id, "again");
    await worker.answer(await worker.episode(), [...actions, act.unlock(4, "section", "@counter@three")]);
    await worker.raise(id, "again");
    const last = await worker.episode();
    expect(last.past.filter((kind) => kind.startsWith("entity"))).toEqual([
      "entityoperationcalled",
      "entityoperationsignaled",
      "entitylockrequested",
      "entitylockgranted",
      "entityunlocksent",
    ]);
    // What came for an entity while a worker had its batch would be the next batch.
    for (const batch of batches) await worker.completeBatch(batch, undefined);
    await worker.answer(last, []);
    expect((await worker.episode()).events).toEqual(["orchestratorstarted", "entityoperationcompleted"]);
    expect(batches.map(({ operations }) => operations)).toEqual([["call"], ["signal"]]);
  });

  it("that continues as new gets no answer for the one before", async () => {
    const worker = await hub.rawWorker(await hub.start());
    const id = await worker.start("main");
    await worker.answer(await worker.episode(), [
      act.callEntity(1, "@counter@one", "early"),
      act.callEntity(2, "@counter@two", "late"),
    ]);
    const [early, late] = [await worker.batch(), await worker.batch()];
    await worker.raise(id, "go");
    const last = await worker.episode();
    await worker.completeBatch(early, "1");
    // The lock is granted at once, and given back at once.
    await worker.answer(last, [act.lock(3, "section", ["@counter@three"]), act.continueAsNew(4, "null")]);
    const next = await worker.episode();
    expect([next.past, next.events]).toEqual([[], ["orchestratorstarted", "executionstarted"]]);
    await worker.answer(next, [
      act.callEntity(1, "@counter@three", "other"),
      act.callEntity(2, "@counter@four", "other"),
    ]);
    await worker.completeBatch(late, "1");
    await worker.raise(id, "meanwhile");
    const batches = [await worker.batch(), await worker.batch()];
    expect((await worker.episode()).events).toEqual(["orchestratorstarted", "eventraised"]);
    expect(batches.map(({ request }) => request.getInstanceid())).toEqual(["@counter@three", "@counter@four"]);
  });

  it("that is rewound still gets the answers to its open calls, and asks for its open locks again", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await worker.start("holder");
    await worker.answer(await worker.episode(), [act.lock(1, "held", ["@counter@one"])]);
    const holder = await worker.episode();
    const id = await worker.start("main");
    await worker.answer(await worker.episode(), [
      act.callEntity(1, "@counter@two", "get"),
      act.lock(2, "wanted", ["@counter@one"]),
      act.finish(3, pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED, (action) =>
        action.setFailuredetails(new pb.TaskFailureDetails()),
      ),
    ]);
    const call = await worker.batch();
    await worker.call((stub, done) => stub.rewindInstance(new pb.RewindInstanceRequest().setInstanceid(id), done));
    const rewind = await worker.episode();
    const history = [...rewind.request.getPasteventsList(), ...rewind.request.getNeweventsList()];
    const rewound = new pb.RewindOrchestrationAction().setNewhistoryList(
      history.filter((each) => !each.hasExecutioncompleted()),
    );
    await worker.answer(rewind, [new pb.OrchestratorAction().setRewindorchestration(rewound)]);
    await worker.answer(await worker.episode(), []);
    await worker.completeBatch(call, "1");
    const answered = await worker.episode();
    expect(answered.events).toEqual(["orchestratorstarted", "entityoperationcompleted"]);
    await worker.answer(answered, []);
    await worker.answer(holder, [act.unlock(2, "held", "@counter@one")]);
    expect((await worker.episode()).events).toEqual(["orchestratorstarted", "entitylockgranted"]);
  });
});

describe("An entity ID of more than 100 characters", () => {
  const long = counter("k".repeat(92));
  const fits = counter("k".repeat(91));

  it("is refused with INVALID_ARGUMENT where a client signals or reads the entity; one of 100 is not", async () => {
    const { client } = await connected();
    expect([long.toString().length, fits.toString().length]).toEqual([101, 100]);
    const refusal = {
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringContaining("101 characters long") as unknown,
    };
    await expect(client.signalEntity(long, "add", 1)).rejects.toMatchObject(refusal);
    await expect(client.getEntity(long)).rejects.toMatchObject(refusal);
    await client.signalEntity(fits, "add", 1);
    expect(await client.getEntity(counter("nobody"))).toBeUndefined();
  });

  it.each(["callEntity", "signalEntity", "lockEntities"] as const)(
    "fails the orchestration that uses it in %s",
    async (method) => {
      const { client } = await connected((worker) => {
        worker.addNamedOrchestrator("use", async function* (ctx: OrchestrationContext): Steps<unknown> {
          if (method === "callEntity") return yield ctx.entities.callEntity(long, "get");
          if (method === "lockEntities") return yield ctx.entities.lockEntities(fits, long);
          ctx.entities.signalEntity(long, "add", 1);
          return "sent";
        });
      });
      const state = await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("use"));
      expect(state?.runtimeStatus).toBe(OrchestrationStatus.FAILED);
      expect(state?.failureDetails).toMatchObject({
        errorType: "InvalidArgument",
        message: expect.stringContaining("101 characters long") as unknown,
      });
    },
  );

  it("has the answer of an entity refused that signals it, or starts an orchestration under such an ID", async () => {
    const worker = await hub.rawWorker(await hub.start());
    await worker.signal("@counter@1", "tell");
    const batch = await worker.batch();
    const signal = new pb.OperationAction().setSendsignal(
      new pb.SendSignalAction().setInstanceid(long.toString()).setName("add"),
    );
    const start = new pb.OperationAction().setStartneworchestration(
      new pb.StartNewOrchestrationAction().setInstanceid("i".repeat(101)).setName("ask"),
    );
    for (const action of [signal, start]) {
      await expect(worker.completeBatch(batch, "1", (result) => result.setActionsList([action]))).rejects.toMatchObject(
        {
          code: grpc.status.INVALID_ARGUMENT,
          details: expect.stringContaining("101 characters long") as unknown,
        },
      );
    }
    // Nothing of it was done.
    await worker.completeBatch(batch, "2");
  });
});
