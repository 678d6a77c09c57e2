/** What durabletask-go sends: activities with nothing but an instance ID and a task ID, and the spans that it makes itself. */
import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { SpanKind, trace } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { beforeEach, expect, it } from "vitest";
import { recordSpans, wholeness, type Steps } from "../harness.ts";
import { runActivity } from "./activities.ts";
import { at, episodeWorker, history, runEpisode } from "./episodes.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const create = "b7ad6b7169203331";
const ofBackend = "00f067aa0ba902b7";

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<string> {
    yield ctx.callActivity("charge");
    return "charged";
  });
  worker.addNamedActivity("charge", () => trace.getTracer("user").startSpan("in activity").end());
}

const worker = episodeWorker(register);

/** What a process remembers is gone, as in another one. */
function inAnotherProcess(): void {
  Reflect.deleteProperty(globalThis, Symbol.for("durable-telemetry.recent-work"));
}
beforeEach(inAnotherProcess);

// A client's event is there before the first episode starts; that of a continuation comes with it.
const clientStart = (executionId: string, change = (event: HistoryEvent): HistoryEvent => event): HistoryEvent[] => [
  history.episode(5),
  change(history.started("order", { executionId })),
];
const continuation = (executionId: string): HistoryEvent[] => [
  history.episode(0),
  history.started("order", { executionId }),
];

const schedule = (start: HistoryEvent[]): Promise<unknown> => runEpisode(worker, { fresh: start });
const finish = (start: HistoryEvent[]): Promise<unknown> =>
  runEpisode(worker, {
    past: [...start, history.scheduled(1, "charge", 6)],
    fresh: [history.episode(20), history.completed(1, null, 18)],
  });

const executions = (spans: readonly ReadableSpan[]): ReadableSpan[] =>
  spans.filter(({ kind, name }) => kind === SpanKind.SERVER && name === "activity:charge");

it("I8 an activity hangs on what scheduled it, where this process did", async () => {
  const spans = recordSpans();
  await schedule(clientStart("execution-1"));
  await runActivity(worker, { name: "charge" });
  await finish(clientStart("execution-1"));
  expect(wholeness(spans.finished)).toMatchObject({ spans: 4, traces: 1, orphans: 0, duplicates: 0 });
  const client = spans.finished.find(({ kind }) => kind === SpanKind.CLIENT);
  expect(executions(spans.finished).map((span) => span.parentSpanContext?.spanId)).toEqual([
    client?.spanContext().spanId,
  ]);
});

it("I8 an activity that another process scheduled is in the same trace, and its parent is not guessed", async () => {
  const spans = recordSpans();
  await schedule(clientStart("execution-1"));
  inAnotherProcess();
  await runActivity(worker, { name: "charge" });
  inAnotherProcess();
  await finish(clientStart("execution-1"));
  expect(wholeness(spans.finished)).toMatchObject({ spans: 4, traces: 1, orphans: 0, duplicates: 0 });
  expect(executions(spans.finished).map((span) => span.parentSpanContext)).toEqual([undefined]);
});

it("S1 a run that follows the crash of another one has its span ID, in any process", async () => {
  const spans = recordSpans();
  const crash = async (): Promise<void> => {
    await runActivity(worker, { name: "charge", complete: () => Object.assign(new Error("gone"), { code: 5 }) }).catch(
      () => undefined,
    );
  };
  await schedule(clientStart("execution-1"));
  await crash();
  inAnotherProcess();
  await runActivity(worker, { name: "charge" });
  await finish(clientStart("execution-1"));
  const inActivity = spans.finished.filter(({ name }) => name === "in activity");
  expect(inActivity.map((span) => span.parentSpanContext?.spanId)).toEqual(
    Array(2).fill(executions(spans.finished)[0]?.spanContext().spanId),
  );
  expect(wholeness(spans.finished)).toMatchObject({ traces: 1, orphans: 0 });
});

it("S4 an execution that continues another one has a trace of its own, and its activities spans of their own", async () => {
  const spans = recordSpans();
  for (const start of [clientStart("execution-1"), continuation("execution-2"), continuation("execution-3")]) {
    await schedule(start);
    await runActivity(worker, { name: "charge" });
    await finish(start);
  }
  expect(wholeness(spans.finished)).toMatchObject({ traces: 3, orphans: 0, duplicates: 0, orchestrations: 3 });
});

it("S4 activities of continued executions that this process did not schedule have spans of their own, too", async () => {
  const spans = recordSpans();
  for (let execution = 1; execution <= 3; execution += 1) await runActivity(worker, { name: "charge" });
  expect(wholeness(spans.finished)).toMatchObject({ spans: 6, traces: 1, orphans: 0, duplicates: 0 });
});

it("I8 a sub-orchestration is a trace of its own with a link to its parent's span for it, where this process ran the parent", async () => {
  const spans = recordSpans();
  const parents = episodeWorker((each) => {
    each.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callSubOrchestrator("child");
    });
    each.addNamedOrchestrator("child", () => "done");
  });
  const [scheduling] = (
    await runEpisode(parents, { fresh: [history.episode(5), history.started("parent")] })
  ).getActionsList();
  const parent = new proto.ParentInstanceInfo()
    .setTaskscheduledid(scheduling?.getId() ?? 0)
    .setOrchestrationinstance(new proto.OrchestrationInstance().setInstanceid("instance-1"));
  for (const executionId of ["execution-2", "execution-3"]) {
    const start = history.started("child", { executionId });
    start.getExecutionstarted()?.setParentinstance(parent);
    await runEpisode(parents, { fresh: [history.episode(9), start] });
    if (executionId === "execution-2") inAnotherProcess();
  }
  const [own, elsewhere] = spans.finished;
  const sent = scheduling?.getCreatesuborchestration()?.getParenttracecontext()?.getTraceparent();
  expect(own?.links.map((link) => `00-${link.context.traceId}-${link.context.spanId}-01`)).toEqual([sent]);
  expect([own?.parentSpanContext, elsewhere?.parentSpanContext, elsewhere?.links]).toEqual([undefined, undefined, []]);
});

it("I11 where the backend makes spans itself, the orchestration is a child of the backend's span, and tasks keep their own IDs", async () => {
  const spans = recordSpans();
  const context = (spanId: string): InstanceType<typeof proto.TraceContext> =>
    new proto.TraceContext().setTraceparent(`00-${traceId}-${spanId}-01`);
  const start = clientStart("execution-1", (event) => {
    const id = new wrappers.StringValue();
    id.setValue(ofBackend);
    event.getExecutionstarted()?.setParenttracecontext(context(create)).setOrchestrationspanid(id);
    return event;
  });
  const scheduled = history.scheduled(1, "charge", 6);
  scheduled.getTaskscheduled()?.setParenttracecontext(context(ofBackend));
  await schedule(start.map((event) => event.cloneMessage()));
  await runActivity(worker, { name: "charge" });
  await runEpisode(worker, {
    past: [...start, scheduled],
    fresh: [history.episode(20), history.completed(1, null, 18)],
  });
  const orchestration = spans.finished.find(({ name }) => name === "orchestration:order");
  expect(orchestration?.parentSpanContext).toMatchObject({ traceId, spanId: ofBackend });
  // The parent of all is the backend's, which is not here.
  expect(wholeness(spans.finished)).toMatchObject({ spans: 4, traces: 1, orphans: 1, duplicates: 0 });
  expect(spans.finished.some((span) => span.spanContext().spanId === ofBackend)).toBe(false);
});

it("a timer whose event was written when it was created fired no earlier than it was due", async () => {
  const timers = episodeWorker((each) =>
    each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
      yield ctx.createTimer(1);
    }),
  );
  const spans = recordSpans();
  const past = [history.episode(0), history.started("order"), history.timerCreated(1, 1000, 2)];
  await runEpisode(timers, { past, fresh: [history.episode(1003), history.timerFired(1, 1000, 2)] });
  const [timer] = spans.finished;
  expect(timer && [timer.startTime, timer.endTime].map(hrTimeToMilliseconds)).toEqual([
    at(2).getTime(),
    at(1003).getTime(),
  ]);
});
