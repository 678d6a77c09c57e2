import { context, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createTelemetryRecorder } from "../../src/testing/recorder/index.ts";
import { buildOrSkip } from "../go-programs.ts";
import { startHub } from "../engines/dapr-durabletask-go/hub.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";
import { keep, useDapr, type Dapr } from "./fixture.ts";
import { program as programs, registerPrograms, type Program } from "./programs.ts";
import { register } from "./scenarios.ts";
import type { DaprWorkflowClient } from "@dapr/dapr";

for (const level of ["info", "error"] as const) vi.spyOn(console, level).mockImplementation(() => undefined);

const hubProgram = buildOrSkip("dapr-durabletask-go") ?? "";
const recorder = createTelemetryRecorder();
// A busy machine takes its time.
const patience = { timeout: 25_000 };
afterAll(() => recorder.shutdown());

describe.skipIf(hubProgram === "").each([
  ["off", "beside"],
  ["on", "beside"],
  ["on", "instead"],
] as const)(
  "On Dapr's engine (durabletask-go 0.14), its own tracing %s, %s this package's,",
  (tracing, backendSpans) => {
    let dapr: Dapr;
    let receiver: OtlpReceiver;

    beforeAll(async () => {
      receiver = keep(await startReceiver());
      const hub = await startHub(hubProgram, tracing === "on" ? { otlp: receiver.url } : {});
      keep(hub);
      dapr = useDapr(hub);
      await dapr.runtime(register, { tracing: { backendSpans } });
      await dapr.runtime(register, { tracing: { backendSpans } });
    });

    const run = async (name: string, input?: unknown, client = dapr.client): Promise<unknown> => {
      const id = await client.scheduleNewWorkflow(name, input);
      if (name === "nested") await client.raiseEvent(id, "go", "went");
      const state = await client.waitForWorkflowCompletion(id, true, 60);
      return state?.serializedOutput === undefined || state.serializedOutput === ""
        ? undefined
        : JSON.parse(state.serializedOutput);
    };

    /** The spans whose parent nobody has emitted: neither this process, nor the engine, which takes a moment to. */
    const orphans = (): readonly string[] => {
      const known = new Set([
        ...recorder.spans().map((span) => span.spanContext().spanId),
        ...receiver.spans.map(({ spanId }) => spanId),
      ]);
      return recorder
        .spans()
        .flatMap(({ name, parentSpanContext: parent }) =>
          parent === undefined || known.has(parent.spanId) ? [] : [name],
        );
    };
    const assertWhole = async (): Promise<void> => {
      if (tracing === "on") await receiver.waitFor(() => orphans().length === 0).catch(() => undefined);
      expect(orphans()).toEqual([]);
      const ids = recorder.spans().map((span) => span.spanContext().spanId);
      expect(new Set(ids).size).toBe(ids.length);
    };

    /** Our spans by their kind and what they are of, each with the name of its parent: this package's and the engine's. */
    const ours = (): readonly string[] => {
      const names = new Map([
        ...recorder.spans().map((span) => [span.spanContext().spanId, span.name] as const),
        ...receiver.spans.map(({ spanId, name }) => [spanId, name] as const),
      ]);
      return recorder
        .spans(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry")
        .map(
          ({ kind, name, parentSpanContext: parent }) =>
            `${SpanKind[kind]} ${name} below ${names.get(parent?.spanId ?? "")}`,
        );
    };

    it.each([
      ["sequence", 30, 30, { beside: 92, instead: 61 }],
      ["fanOut", 100, 100, { beside: 302, instead: 201 }],
      ["nested", undefined, "went", { beside: 10, instead: 3 }],
    ])("I11 S1 %s of %s is one whole trace under its caller", async (name, input, result, counts) => {
      const spans = counts[backendSpans];
      recorder.reset();
      expect(await run(name, input)).toEqual(result);
      const isWait = (span: { readonly name: string }): boolean => span.name.startsWith("wait:");
      const emitted = (): number => recorder.spans((span) => !isWait(span)).length;
      await recorder.waitFor(() => recorder.openSpans().length === 0 && emitted() >= spans, patience);
      expect(emitted()).toBe(spans);
      const waits = recorder.spans(isWait).map((span) => span.name);
      // The event may come before the workflow waits for it: then there is no wait.
      expect(name === "nested" ? [[], ["wait:go"]] : [[]]).toContainEqual(waits);
      expect(new Set(recorder.spans().map((span) => span.spanContext().traceId)).size).toBe(1);
      await assertWhole();
      const isServer = /^SERVER (?:orchestration|activity):/;
      const below = new Set(ours().filter((line) => isServer.test(line)));
      for (const line of below) {
        if (line.startsWith("SERVER activity:"))
          expect(line).toMatch(backendSpans === "instead" ? /(\w+) below activity\|\|\1$/ : /(\w+) below activity:\1$/);
        else if (tracing === "on") expect(line).toMatch(/(\w+) below orchestration\|\|\1$/);
      }
      const isKept = /^(?:SERVER activity|PRODUCER create_orchestration|INTERNAL wait):/;
      if (backendSpans === "instead") expect(ours().filter((line) => !isKept.test(line))).toEqual([]);
    });

    it("S4 eternal workflows have a whole trace for each execution", async () => {
      recorder.reset();
      await run("eternal", 2);
      await recorder.waitFor(
        () =>
          recorder.openSpans().length === 0 &&
          recorder.spans("greet").length === 3 &&
          (backendSpans === "instead" || recorder.spans("orchestration:eternal").length === 3),
        patience,
      );
      const traces = new Set(recorder.spans().map((span) => span.spanContext().traceId));
      expect(traces.size).toBe(3);
      await assertWhole();
    });

    /** Resolves when so many spans are there, and no other is open. */
    const untilThereAre = (count: number): Promise<unknown> =>
      recorder.waitFor(() => recorder.openSpans().length === 0 && recorder.spans().length === count, patience);

    it("I8 what a caller does not sample has a trace that starts on the worker, as the engine drops the context", async () => {
      recorder.reset();
      const unsampled = {
        traceId: "0af7651916cd43dd8448eb211c80319c",
        spanId: "b7ad6b7169203331",
        traceFlags: 0,
        isRemote: true,
      };
      await context.with(trace.setSpanContext(ROOT_CONTEXT, unsampled), () => run("leaf"));
      // The engine has no spans of what its caller does not sample.
      await untilThereAre(4);
      const { traceId } = (await recorder.waitForSpan("activity:greet", patience)).spanContext();
      expect(traceId).not.toBe(unsampled.traceId);
    });

    it("I8 without a context from the client, every activity is in its workflow's trace", async () => {
      recorder.reset();
      await run("leaf", undefined, dapr.bareClient);
      await untilThereAre({ beside: 4, instead: 2 }[backendSpans]);
      expect(new Set(recorder.spans().map((span) => span.spanContext().traceId)).size).toBe(1);
    });
  },
);

describe.skipIf(hubProgram === "")("Random workflows on Dapr's engine", () => {
  const count = Number(process.env["DAPR_PROGRAMS"] ?? 20);
  const timeout = 90_000 + count * 1000;
  it(`D3 have the same results with the pipeline and without (${count} workflows)`, { timeout }, async () => {
    const [first, second] = [keep(await startHub(hubProgram)), keep(await startHub(hubProgram))];
    const [decorated, bare] = [useDapr(first), useDapr(second)];
    await decorated.runtime(registerPrograms, { use: [async (ctx, next) => void (await next(ctx))] });
    await bare.bareRuntime(registerPrograms);
    const inputs = fc.sample(programs(1), { numRuns: count, seed: 20_260_101 });
    const run = async (
      client: DaprWorkflowClient,
      [index, input]: readonly [number, Program],
    ): Promise<readonly unknown[]> => {
      const state = await client.waitForWorkflowCompletion(
        await client.scheduleNewWorkflow("program", input, `program-${index}`),
        true,
        60,
      );
      return [input, state?.runtimeStatus, state?.serializedOutput, state?.workflowFailureDetails?.getErrorMessage()];
    };
    // Not all at once: the SDK (3.18) drops work items when 110 wait.
    const pending = [...inputs.entries()];
    while (pending.length > 0) {
      const some = pending.splice(0, 10);
      const [withPipeline, without] = await Promise.all(
        [decorated.client, bare.bareClient].map((client) => Promise.all(some.map((each) => run(client, each)))),
      );
      expect(withPipeline).toEqual(without);
    }
  });
});
