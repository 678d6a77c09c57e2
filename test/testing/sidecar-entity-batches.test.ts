import grpc from "@grpc/grpc-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import { sidecars } from "./sidecar-fixture.ts";
import { act, text, timestamp, traceContext, type RawWorker } from "./sidecar-raw.ts";

const hub = sidecars();
const ONE = "@counter@one";

const traceparent = (span: number): string =>
  `00-4bf92f3577b34da6a3ce929d0e0e4736-${String(span).padStart(16, "0")}-01`;
const success = (): pb.OperationResult => new pb.OperationResult().setSuccess(new pb.OperationResultSuccess());

const sendSignal = (entity: string, name: string, context?: pb.TraceContext): pb.OperationAction =>
  new pb.OperationAction().setSendsignal(
    new pb.SendSignalAction().setInstanceid(entity).setName(name).setParenttracecontext(context),
  );

const rawWorker = async (): Promise<RawWorker> => hub.rawWorker(await hub.start());

async function signalled(worker: RawWorker, ...names: string[]): Promise<void> {
  for (const name of names) await worker.signal(ONE, name);
}

describe("a batch", () => {
  it("has what came while the one before was with a worker, and what was found there when one connects", async () => {
    const sidecar = await hub.start();
    const client = hub.rawClient(sidecar);
    for (const name of ["a", "b"]) await client.signal(ONE, name, (request) => request.setInput(text(`"${name}"`)));
    const worker = await hub.rawWorker(sidecar);
    const first = await worker.batch();
    await signalled(worker, "c", "d");
    await worker.completeBatch(first, "1");
    const second = await worker.batch();
    expect([first.operations, second.operations]).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    expect(first.request.toObject()).toMatchObject({
      instanceid: ONE,
      entitystate: undefined,
      operationsList: [
        { operation: "a", requestid: "a", input: { value: '"a"' } },
        { operation: "b", requestid: "b", input: { value: '"b"' } },
      ],
    });
    expect(second.request.getEntitystate()?.getValue()).toBe("1");
  });

  it("that is answered in part leaves the rest to the next one, before what came meanwhile", async () => {
    const sidecar = await hub.start();
    const client = hub.rawClient(sidecar);
    for (const name of ["a", "b"]) await client.signal(ONE, name);
    const worker = await hub.rawWorker(sidecar);
    const batch = await worker.batch();
    await signalled(worker, "c");
    await worker.completeBatch(batch, "1", (result) => result.setResultsList([success()]));
    expect((await worker.batch()).operations).toEqual(["b", "c"]);
  });

  it("that fails as a whole fails each call in it, and changes nothing", async () => {
    const worker = await rawWorker();
    await signalled(worker, "first");
    await worker.completeBatch(await worker.batch(), "1");
    await worker.start("main");
    await worker.answer(await worker.episode(), [act.callEntity(1, ONE, "call")]);
    await worker.completeBatch(await worker.batch(), "2", (result) =>
      result
        .setResultsList([])
        .setActionsList([sendSignal("@counter@two", "never")])
        .setFailuredetails(new pb.TaskFailureDetails().setErrortype("BatchError")),
    );
    const { request } = await worker.episode();
    const failed = request.getNeweventsList()[1]?.getEntityoperationfailed();
    expect([failed?.getRequestid(), failed?.getFailuredetails()?.getErrortype()]).toEqual(["call 1", "BatchError"]);
    await signalled(worker, "last");
    const batch = await worker.batch();
    expect([batch.request.getInstanceid(), batch.request.getEntitystate()?.getValue()]).toEqual([ONE, "1"]);
  });

  it("is answered once, with its own token, and with a result for some of its operations", async () => {
    const worker = await rawWorker();
    await signalled(worker, "a");
    const batch = await worker.batch();
    const invalid = { code: grpc.status.INVALID_ARGUMENT, details: expect.stringContaining(ONE) };
    for (const results of [[], [success(), success()]]) {
      await expect(worker.completeBatch(batch, "1", (result) => result.setResultsList(results))).rejects.toMatchObject(
        invalid,
      );
    }
    const refused = { code: grpc.status.NOT_FOUND };
    await expect(worker.completeBatch({ ...batch, token: "?" }, "1")).rejects.toMatchObject(refused);
    await worker.completeBatch(batch, "1");
    await expect(worker.completeBatch(batch, "2")).rejects.toMatchObject(refused);
    await signalled(worker, "b");
    expect((await worker.batch()).request.getEntitystate()?.getValue()).toBe("1");
  });

  it("that is abandoned goes to another worker", async () => {
    const sidecar = await hub.start();
    const worker = await hub.rawWorker(sidecar);
    await signalled(worker, "a");
    const batch = await worker.batch();
    const heir = await hub.rawWorker(sidecar);
    const request = new pb.AbandonEntityTaskRequest().setCompletiontoken(batch.token);
    await worker.call((stub, done) => stub.abandonTaskEntityWorkItem(request, done));
    expect((await heir.batch()).request.toObject()).toEqual(batch.request.toObject());
  });

  it("goes to a worker that wants such entities, and has room for it", async () => {
    const sidecar = await hub.start();
    const filter = new pb.WorkItemFilters();
    filter.addEntities(new pb.EntityFilter().setName("counter"));
    const request = new pb.GetWorkItemsRequest().setWorkitemfilters(filter).setMaxconcurrententityworkitems(1);
    const picky = await hub.rawWorker(sidecar, request);
    for (const id of ["@other@one", ONE, "@counter@two"]) await picky.signal(id, "a");
    const first = await picky.batch();
    expect(picky.received).toHaveLength(1);
    await picky.completeBatch(first, "1");
    const second = await picky.batch();
    expect([first, second].map((batch) => batch.request.getInstanceid())).toEqual([ONE, "@counter@two"]);
    const anything = await hub.rawWorker(sidecar);
    expect((await anything.batch()).request.getInstanceid()).toBe("@other@one");
    expect(picky.received).toHaveLength(2);
  });

  it("that a worker has, or a lock, keeps an entity without a state from being cleaned up", async () => {
    const worker = await rawWorker();
    const clean = async (): Promise<number> => {
      const request = new pb.CleanEntityStorageRequest().setRemoveemptyentities(true).setReleaseorphanedlocks(true);
      const response = await worker.call<pb.CleanEntityStorageResponse>((stub, done) =>
        stub.cleanEntityStorage(request, done),
      );
      return response.getEmptyentitiesremoved();
    };
    await worker.start("main");
    await worker.answer(await worker.episode(), [
      act.callEntity(1, ONE, "call"),
      act.lock(2, "section", ["@counter@two"]),
    ]);
    const batch = await worker.batch();
    expect(await clean()).toBe(0);
    await worker.answer(await worker.episode(), [act.unlock(3, "section", "@counter@two")]);
    expect(await clean()).toBe(1);
    await worker.completeBatch(batch, undefined);
    expect(await clean()).toBe(1);
    expect((await worker.episode()).events).toEqual(["orchestratorstarted", "entityoperationcompleted"]);
  });

  it("of a task hub that is deleted is void, as are its scheduled operations", async () => {
    const worker = await rawWorker();
    await worker.signal(ONE, "soon", (request) => request.setScheduledtime(timestamp(new Date(Date.now() + 50))));
    await signalled(worker, "a");
    const batch = await worker.batch();
    await worker.call((stub, done) => stub.deleteTaskHub(new pb.DeleteTaskHubRequest(), done));
    await expect(worker.completeBatch(batch, "1")).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    const due = timestamp(new Date(Date.now() + 100));
    await worker.signal(ONE, "anew", (request) => request.setScheduledtime(due));
    const next = await worker.batch();
    expect([next.operations, next.request.hasEntitystate()]).toEqual([["anew"], false]);
  });
});

/** Sends trace contexts by all ways that entities know, and tells what came out where. */
async function carriedBy(worker: RawWorker): Promise<Record<string, unknown>> {
  await worker.signal(ONE, "a", (request) =>
    request.setParenttracecontext(traceContext(traceparent(1)).setTracestate(text("vendor=1"))),
  );
  const batch = await worker.batch();
  const start = new pb.StartNewOrchestrationAction()
    .setInstanceid("started")
    .setName("main")
    .setVersion(text("1.0"))
    .setParenttracecontext(traceContext(traceparent(3)));
  await worker.completeBatch(batch, "1", (result) =>
    result.setActionsList([
      sendSignal("@counter@two", "b", traceContext(traceparent(2))),
      new pb.OperationAction().setStartneworchestration(start),
    ]),
  );
  const next = await worker.batch();
  const { request } = await worker.episode();
  const started = request.getNeweventsList()[1]?.getExecutionstarted();
  const [operation] = batch.request.getOperationsList();
  return {
    client: operation?.getTracecontext()?.getTraceparent(),
    state: operation?.getTracecontext()?.getTracestate()?.getValue(),
    entity: next.request.getOperationsList()[0]?.getTracecontext()?.getTraceparent(),
    start: started?.getParenttracecontext()?.getTraceparent(),
    name: [next.operations, started?.getName(), started?.getVersion()?.getValue()],
  };
}

it("I8 A sidecar that carries trace contexts hands those of signals and of started orchestrations on", async () => {
  expect(await carriedBy(await rawWorker())).toEqual({
    client: traceparent(1),
    state: "vendor=1",
    entity: traceparent(2),
    start: traceparent(3),
    name: [["b"], "main", "1.0"],
  });
});

it("I8 A sidecar that drops trace contexts keeps none of an entity's, and everything else", async () => {
  const worker = await hub.rawWorker(await hub.start({ traceContext: "drop" }));
  expect(await carriedBy(worker)).toEqual({
    client: undefined,
    state: undefined,
    entity: undefined,
    start: undefined,
    name: [["b"], "main", "1.0"],
  });
});
