import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { expect, it } from "vitest";
import { sidecars } from "./sidecar-fixture.ts";
import { act, text, timestamp, traceContext, type RawWorker } from "./sidecar-raw.ts";

const hub = sidecars();
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = (span: number): string => `00-${TRACE}-${String(span).padStart(16, "0")}-01`;
const identity = new pb.OrchestrationTraceContext()
  .setSpanid(text("00000000000000aa"))
  .setSpanstarttime(timestamp(new Date("2020-01-01")));

/** The parent of an execution, as the worker receives it. */
const parentOf = (request: pb.OrchestratorRequest): string | undefined =>
  [...request.getPasteventsList(), ...request.getNeweventsList()]
    .find((event) => event.hasExecutionstarted())
    ?.getExecutionstarted()
    ?.getParenttracecontext()
    ?.getTraceparent();

const handedBack = ({ request }: { request: pb.OrchestratorRequest }): string | undefined =>
  request.getOrchestrationtracecontext()?.getSpanid()?.getValue();

/** Runs one orchestration through everything that can carry a trace context, and tells what came out where. */
async function carriedBy(worker: RawWorker) {
  await worker.start("main", (request) => {
    const context = traceContext(traceparent(1)).setTracestate(text("vendor=1"));
    request.setInstanceid("main").setParenttracecontext(context).getTagsMap().set("k", "v");
  });
  const first = await worker.episode();
  const started = first.request.getNeweventsList()[1]?.getExecutionstarted();
  await worker.answer(
    first,
    [
      act.schedule(1, "work", (action) => action.setParenttracecontext(traceContext(traceparent(2)))),
      act.child(2, "child", (action) =>
        action.setInstanceid("child").setParenttracecontext(traceContext(traceparent(3))),
      ),
    ],
    (response) => response.setOrchestrationtracecontext(identity),
  );
  const activity = await worker.activity();
  const child = await worker.episode();
  await worker.complete(activity);
  const second = await worker.episode();
  const [, , scheduled, created] = second.request.getPasteventsList();
  await worker.answer(second, [act.continueAsNew(3, "null")], (response) =>
    response.setOrchestrationtracecontext(identity),
  );
  const next = await worker.episode();
  await worker.answer(
    next,
    [
      act.finish(1, pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED, (action) =>
        action.setFailuredetails(new pb.TaskFailureDetails()),
      ),
    ],
    (response) => response.setOrchestrationtracecontext(identity),
  );
  await worker.call((stub, done) => stub.rewindInstance(new pb.RewindInstanceRequest().setInstanceid("main"), done));
  const rewind = await worker.episode();
  const history = [...rewind.request.getPasteventsList(), ...rewind.request.getNeweventsList()];
  const action = new pb.RewindOrchestrationAction().setNewhistoryList(
    history.filter((event) => !event.hasExecutioncompleted()),
  );
  await worker.answer(rewind, [new pb.OrchestratorAction().setRewindorchestration(action)], (response) =>
    response.setOrchestrationtracecontext(identity),
  );
  const rewound = await worker.episode();
  return {
    tags: started?.getTagsMap().getEntryList(),
    start: parentOf(first.request),
    state: started?.getParenttracecontext()?.getTracestate()?.getValue(),
    scheduled: scheduled?.getTaskscheduled()?.getParenttracecontext()?.getTraceparent(),
    activity: activity.request.getParenttracecontext()?.getTraceparent(),
    created: created?.getSuborchestrationinstancecreated()?.getParenttracecontext()?.getTraceparent(),
    child: parentOf(child.request),
    continued: parentOf(next.request),
    handedBack: [first, second, next, rewind, rewound].map(handedBack),
  };
}

it("I8 A sidecar that carries trace contexts hands each on to where it belongs, and no further", async () => {
  const worker = await hub.rawWorker(await hub.start());
  expect(await carriedBy(worker)).toEqual({
    tags: [["k", "v"]],
    start: traceparent(1),
    state: "vendor=1",
    scheduled: traceparent(2),
    activity: traceparent(2),
    created: traceparent(3),
    child: traceparent(3),
    // Continue-as-new and a rewind begin a new execution, with a span of its own.
    continued: undefined,
    handedBack: [undefined, "00000000000000aa", undefined, undefined, undefined],
  });
});

it("I8 A sidecar that drops trace contexts keeps none of them, and everything else", async () => {
  const worker = await hub.rawWorker(await hub.start({ traceContext: "drop" }));
  expect(await carriedBy(worker)).toEqual({
    tags: [["k", "v"]],
    start: undefined,
    state: undefined,
    scheduled: undefined,
    activity: undefined,
    created: undefined,
    child: undefined,
    continued: undefined,
    handedBack: Array(5).fill(undefined),
  });
});

it("I1 The orchestration's trace context comes back whole in each later request of the execution", async () => {
  const worker = await hub.rawWorker(await hub.start());
  const id = await worker.start("main");
  await worker.answer(await worker.episode(), [], (response) => response.setOrchestrationtracecontext(identity));
  for (let count = 0; count < 2; count++) {
    await worker.raise(id, "again");
    const episode = await worker.episode();
    expect(episode.request.getOrchestrationtracecontext()?.toObject()).toEqual(identity.toObject());
    await worker.answer(episode, [], (response) =>
      response.setOrchestrationtracecontext(episode.request.getOrchestrationtracecontext()),
    );
  }
});
