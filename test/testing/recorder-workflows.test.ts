import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { register, scenarios } from "../e2e/scenarios.ts";
import type { Runs } from "../harness.ts";
import { record, startShop } from "./recorder-fixture.ts";

// Nothing that a worker with telemetry does may be taken for a fault, and every wait must come to an end.

const isExecution = ({ name, kind }: { readonly name: string; readonly kind: SpanKind }): boolean =>
  kind === SpanKind.SERVER && name.startsWith("orchestration:");

describe("A recorder of workflows of all shapes", () => {
  it.each(scenarios)(
    "S1 $name: waits until every trace is complete, and finds each one whole",
    async ({ run, executions, traces }) => {
      const recorder = record();
      const { client, ...shop } = await startShop({ register });
      const hub: Runs = {
        client,
        async run(name, input) {
          const state = await client.getOrchestrationState(await shop.run(name, input));
          if (state === undefined) throw new Error(`${name} is unknown.`);
          return state;
        },
      };
      await run(hub);
      await recorder.waitFor(() => recorder.spans(isExecution).length === executions);
      const traceIds = new Set(recorder.spans().map((span) => span.spanContext().traceId));
      expect(traceIds.size).toBe(traces);
      for (const traceId of traceIds) {
        await recorder.waitForTrace(traceId);
        recorder.assertWhole(traceId);
      }
      recorder.assertWhole();
    },
  );

  it("S1 a rewind: the run that failed and the one that repaired it are no duplicates", async () => {
    const recorder = record();
    let broken = true;
    const shop = await startShop({
      register(worker) {
        worker.addNamedActivity("pay", () => {
          if (broken) throw new Error("no money");
        });
        worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): AsyncGenerator {
          yield ctx.callActivity("pay");
        });
      },
    });
    const id = await shop.run("order");
    broken = false;
    await shop.client.rewindInstance(id, "there is money now");
    await shop.client.waitForOrchestrationCompletion(id);
    await recorder.waitFor(() => recorder.spans(isExecution).length === 2);
    await recorder.waitForTrace("orchestration:order");
    recorder.assertWhole();
  });
});
