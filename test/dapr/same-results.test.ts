import pb from "@dapr/dapr/workflow/internal/durabletask/proto/orchestrator_service_pb.js";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { createTelemetryRecorder, type TelemetryRecorder } from "../../src/testing/recorder/index.ts";
import { run, startDaprHub, useDapr } from "./fixture.ts";
import type { DaprHub } from "./hub.ts";
import { program, registerPrograms } from "./programs.ts";

for (const level of ["info", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation(() => undefined);

/** All actions of each instance, and its last custom status. Into how many episodes they fall is a matter of time. */
function responses({ received }: DaprHub): object {
  const episodes = received
    .filter(({ method }) => method === "CompleteOrchestratorTask")
    .map(({ bytes }) => pb.OrchestratorResponse.deserializeBinary(bytes));
  for (const action of episodes.flatMap((each) => each.getActionsList())) {
    // The pipeline's functions stand in the stack of what is thrown at once.
    action.getCompleteorchestration()?.getFailuredetails()?.clearStacktrace();
    // Durable time differs between the two hubs.
    action.getCreatetimer()?.clearFireat();
  }
  const byInstance = Object.groupBy(
    episodes.map((each) => each.toObject()),
    ({ instanceid }) => instanceid,
  );
  return Object.fromEntries(
    Object.entries(byInstance).map(([id, own = []]) => [
      id,
      [own.flatMap(({ actionsList }) => actionsList), own.at(-1)?.customstatus],
    ]),
  );
}

function isWhole(recorder: TelemetryRecorder): boolean {
  try {
    recorder.assertWhole();
    return true;
  } catch {
    return false;
  }
}

describe("Random workflows on Dapr's SDK", () => {
  const recorder = createTelemetryRecorder();
  let [decorated, bare]: DaprHub[] = [];
  beforeAll(async () => {
    [decorated, bare] = [await startDaprHub(), await startDaprHub()];
    await useDapr(decorated).runtime(registerPrograms, {
      use: [
        async (ctx, next) => void (await next(ctx)),
        {
          name: "durable",
          orchestration: async function* (ctx, next) {
            yield* next(ctx);
          },
        },
      ],
    });
    await useDapr(bare).bareRuntime(registerPrograms);
    return () => recorder.shutdown();
  });

  it("D3 have the same results, failures and actions with the pipeline and without, and whole traces", async () => {
    const hubs = [decorated, bare].filter((hub) => hub !== undefined);
    const clients = hubs.map((hub) => useDapr(hub).client);
    let runs = 0;
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(program(2), async (input) => {
        runs += 1;
        for (const hub of hubs) hub.received.splice(0);
        const id = `program-${runs}`;
        const ended = await Promise.all(
          hubs.map(async (hub, index) => {
            const client = clients[index];
            if (client === undefined) throw new Error("There is no client.");
            return run(hub, client, "program", input, id);
          }),
        );
        expect(ended[0]).toEqual(ended[1]);
        for (const { status } of ended) statuses.add(status);
        const [withPipeline, without] = hubs.map(responses);
        expect(withPipeline).toEqual(without);
      }),
      { numRuns: Number(process.env["DAPR_PROGRAMS"] ?? 60) },
    );
    // A client knows of the end before the worker has emitted the last spans.
    await recorder
      .waitFor(() => recorder.openSpans().length === 0 && isWhole(recorder))
      .catch(() => recorder.assertWhole());
    expect(statuses).toEqual(
      new Set([
        pb.OrchestrationStatus.ORCHESTRATION_STATUS_COMPLETED,
        pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED,
      ]),
    );
  });
});
