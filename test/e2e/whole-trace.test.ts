import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import { beforeAll, describe, expect, it } from "vitest";
import { recordSpans, resultOf, startHub, wholeness, type Hub, type Steps } from "../harness.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker({}, (worker) => {
    worker.addNamedActivity("add", (_: ActivityContext, value: number) =>
      trace.getTracer("user").startActiveSpan("in activity", (span) => {
        span.end();
        return value + 1;
      }),
    );
    worker.addNamedOrchestrator("sequence", async function* (ctx: OrchestrationContext, count: number): Steps<number> {
      trace.getTracer("user").startSpan("in orchestrator").end();
      let value = 0;
      for (let step = 0; step < count; step += 1) value = yield ctx.callActivity("add", value);
      return value;
    });
  });
});

describe("One orchestration of N sequential activities over gRPC", () => {
  it.each([1, 3, 10, 30])("S1 is one whole trace for N = %i", async (count) => {
    const spans = recordSpans();
    expect(resultOf(await hub.run("sequence", count))).toBe(count);
    await spans.waitFor((all) => all.some(({ name, kind }) => name === "orchestration:sequence" && kind === 1));
    expect({ ...wholeness(spans.finished), open: spans.open }).toEqual({
      // create_orchestration, the orchestration, a span in it, and for each activity CLIENT, SERVER and a span in it.
      spans: 3 + 3 * count,
      traces: 1,
      orphans: 0,
      duplicates: 0,
      orchestrations: 1,
      open: 0,
    });
  });
});
