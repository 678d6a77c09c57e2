import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createTelemetryRecorder } from "../../src/testing/recorder/index.ts";
import type { WorkflowRuntime } from "@dapr/dapr";
import {
  run,
  startDaprHub,
  useDapr,
  type Dapr,
  type Steps,
  type WorkflowActivityContext,
  type WorkflowContext,
} from "./fixture.ts";
import type { DaprHub } from "./hub.ts";

for (const level of ["info", "error"] as const) vi.spyOn(console, level).mockImplementation(() => undefined);

function register(runtime: WorkflowRuntime): void {
  runtime.registerActivityWithName("hello", async (_: WorkflowActivityContext, name: string) => {
    return trace.getTracer("app").startActiveSpan("greet", (span) => {
      span.end();
      return `Hello ${name}`;
    });
  });
  runtime.registerActivityWithName("refuse", async () => {
    throw "no stock";
  });
  runtime.registerWorkflowWithName("child", async function* (ctx: WorkflowContext, name: string): Steps {
    return yield ctx.callActivity("hello", name);
  });
  runtime.registerWorkflowWithName("order", async function* (ctx: WorkflowContext, name: string): Steps {
    const first: string = yield ctx.callActivity("hello", name);
    yield ctx.createTimer(0.01);
    const second: string = yield ctx.callSubWorkflow("child", first);
    const all: string[] = yield ctx.whenAll([1, 2, 3].map((each) => ctx.callActivity("hello", String(each))));
    return [second, ...all];
  });
  runtime.registerWorkflowWithName("again", async function* (ctx: WorkflowContext, left: number): Steps {
    yield ctx.callActivity("hello", "again");
    const child: unknown = yield ctx.callSubWorkflow("child", "again");
    if (left > 0) ctx.continueAsNew(left - 1, false);
    return child;
  });
  runtime.registerWorkflowWithName("approved", async function* (ctx: WorkflowContext): Steps {
    yield ctx.callActivity("hello", "you");
    yield ctx.whenAny([ctx.waitForExternalEvent("Approval"), ctx.waitForExternalEvent("Refusal")]);
    return yield ctx.callActivity("hello", "again");
  });
  runtime.registerWorkflowWithName("refused", async function* (ctx: WorkflowContext): Steps {
    return yield ctx.callActivity("refuse");
  });
  runtime.registerWorkflowWithName("throws", async () => {
    throw "out of stock";
  });
}

describe("Traces of Dapr Workflow", () => {
  const recorder = createTelemetryRecorder();
  let hub: DaprHub;
  let dapr: Dapr;

  beforeAll(async () => {
    hub = await startDaprHub();
    dapr = useDapr(hub);
    // Two workers, so that an activity runs where its orchestrator does not.
    await dapr.runtime(register);
    await dapr.runtime(register);
    return () => recorder.shutdown();
  });
  beforeEach(() => recorder.reset());

  it("S1 I8 an orchestration with activities, a timer and a sub-orchestration is one whole trace under its caller's span", async () => {
    const result = await trace.getTracer("app").startActiveSpan("request", async (span) => {
      const ended = await run(hub, dapr.client, "order", "you");
      span.end();
      return ended;
    });
    expect(JSON.parse(result.result ?? "")).toEqual(["Hello Hello you", "Hello 1", "Hello 2", "Hello 3"]);
    const traceId = await recorder.waitForTrace("orchestration:order");
    recorder.assertWhole();
    expect(recorder.treeText(traceId, { attributes: [] })).toMatchInlineSnapshot(`
      "request internal
      └─ create_orchestration:order producer
         └─ orchestration:order server {durabletask.task.status="Completed"}
            ├─ activity:hello client
            │  └─ activity:hello server
            │     └─ greet internal
            ├─ orchestration:order:timer internal
            ├─ orchestration:child client
            │  └─ orchestration:child server {durabletask.task.status="Completed"}
            │     └─ activity:hello client
            │        └─ activity:hello server
            │           └─ greet internal
            ├─ activity:hello client
            │  └─ activity:hello server
            │     └─ greet internal
            ├─ activity:hello client
            │  └─ activity:hello server
            │     └─ greet internal
            └─ activity:hello client
               └─ activity:hello server
                  └─ greet internal"
    `);
  });

  it("S1 I1 without a context from the client, an orchestration with activities is one whole trace that starts on the worker", async () => {
    await run(hub, dapr.bareClient, "child", "you");
    await recorder.waitForTrace("orchestration:child");
    recorder.assertWhole();
    expect(
      recorder
        .spans()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["activity:hello", "activity:hello", "greet", "orchestration:child"]);
  });

  it("S4 each execution that continues as new is a whole trace with its sub-orchestrations, in the trace that the engine starts", async () => {
    await run(hub, dapr.client, "again", 2);
    await recorder.waitFor(() => recorder.spans("orchestration:again").length === 3);
    await recorder.waitFor(() => recorder.openSpans().length === 0 && recorder.spans("greet").length === 6);
    const traces = new Set(recorder.spans().map((span) => span.spanContext().traceId));
    expect(traces.size).toBe(3);
    for (const traceId of traces) recorder.assertWhole(traceId);
    const [first, second] = recorder.spans("orchestration:again");
    expect(second?.links.map((link) => link.context.spanId)).toContain(first?.spanContext().spanId);
  });

  it("S9 two waits for external events, of which one lost against the other, are spans of the orchestration, once each", async () => {
    const id = await dapr.client.scheduleNewWorkflow("approved");
    await recorder.waitFor(() => recorder.spans("activity:hello").length === 2);
    await dapr.client.raiseEvent(id, "approval", "yes");
    const traceId = await recorder.waitForTrace("orchestration:approved");
    recorder.assertWhole(traceId);
    const outcomes = ["wait:Approval", "wait:Refusal"].map((name) =>
      recorder.spans(name).map(({ attributes }) => attributes["durabletask.outcome"]),
    );
    expect(outcomes).toEqual([["received"], ["lost"]]);
  });

  it("I8 what a caller does not sample has a whole trace that starts on the worker, as the engine drops the context", async () => {
    const unsampled = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: 0,
      isRemote: true,
    };
    await context.with(trace.setSpanContext(ROOT_CONTEXT, unsampled), () => run(hub, dapr.client, "child", "you"));
    const traceId = await recorder.waitForTrace("orchestration:child");
    recorder.assertWhole();
    expect(traceId).not.toBe(unsampled.traceId);
    expect(recorder.spans("create_orchestration:child")).toEqual([]);
  });

  it("S3 a string that was thrown is the failure's message, though the SDK sends none", async () => {
    const refused = await run(hub, dapr.client, "refused");
    expect(refused.failure).toEqual({
      type: "TaskFailedError",
      message: expect.stringMatching(/Activity task #1 failed: $/) as string,
    });
    await recorder.waitForTrace("orchestration:refused");
    const [server] = recorder.spans(({ name, kind }) => name === "activity:refuse" && kind === SpanKind.SERVER);
    expect(server?.status.message).toBe("no stock");
    expect(server?.attributes["error.type"]).toBe("String");
    const [client] = recorder.spans(({ name, kind }) => name === "activity:refuse" && kind === SpanKind.CLIENT);
    expect(client?.status.message).toBe("a String was thrown, which is no error: the SDK did not record it");
    await run(hub, dapr.client, "throws");
    const thrown = await recorder.waitForSpan("orchestration:throws");
    expect(thrown.status.message).toBe("out of stock");
  });

  it("I8 an activity whose task's ID is another worker's is below the span that the engine tells it of", async () => {
    hub.taskExecutionId = "6f2d3f0e-9f38-4c57-9d67-0c1d8f5a3b11";
    onTestFinished(() => {
      hub.taskExecutionId = undefined;
    });
    await run(hub, dapr.client, "child", "you");
    await recorder.waitForSpan("orchestration:child");
    const [server] = recorder.spans(({ name, kind }) => name === "activity:hello" && kind === SpanKind.SERVER);
    const [client] = recorder.spans("create_orchestration:child");
    expect(server?.parentSpanContext?.spanId).toBe(client?.spanContext().spanId);
  });

  it("S3 the client's span of a workflow that can't be scheduled has the error", async () => {
    await dapr.client.scheduleNewWorkflow("child", "you", "taken");
    await expect(dapr.client.scheduleNewWorkflow("child", "you", "taken")).rejects.toThrow(/exists/);
    const failed = recorder
      .spans("create_orchestration:child")
      .filter(({ status }) => status.code === SpanStatusCode.ERROR);
    expect(failed.map(({ kind, attributes }) => [kind, attributes])).toEqual([
      [
        SpanKind.PRODUCER,
        {
          "durabletask.type": "orchestration",
          "durabletask.task.name": "child",
          "durabletask.task.instance_id": "taken",
          "error.type": "2",
        },
      ],
    ]);
  });
});
