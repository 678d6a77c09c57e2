import { OrchestrationStatus, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { context, diag, ROOT_CONTEXT, type DiagLogger } from "@opentelemetry/api";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { tracing } from "../../middlewares/tracing/index.ts";
import { withDurableTelemetry } from "../../src/index.ts";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { startHub, use, type Hub } from "../harness.ts";
import { breakableConnection } from "./breakable-connection.ts";
import { ConnectionLogger, drive, everythingEnds, type Subject } from "./drive.ts";
import { missingSpans, problems, type EndedSpan } from "./span-problems.ts";
import {
  always,
  bookkeeping,
  fates,
  Ledger,
  register,
  workflows,
  type Accident,
  type Fate,
  type Workflow,
} from "./workflows.ts";

const providers = { "SDK 2.x": BasicTracerProvider, "SDK 3.x": TracerProvider } as const;

/** Registers a provider for one test. */
function record(sdk: keyof typeof providers, generator: boolean): RecordedSpans {
  const recorded = new RecordedSpans(() => undefined);
  use(
    new providers[sdk]({ ...(generator ? { idGenerator: new DurableIdGenerator() } : {}), spanProcessors: [recorded] }),
  );
  onTestFinished(() =>
    use({
      getTracer: () => {
        throw new Error("This test is over.");
      },
    }),
  );
  return recorded;
}

const accidents = ["none", "stopped", "connection lost"] as const;
const cases = (["carry", "drop"] as const)
  .flatMap((mode) =>
    (["SDK 2.x", "SDK 3.x"] as const).flatMap((sdk) => [true, false].map((generator) => ({ mode, sdk, generator }))),
  )
  .map((each, number) => ({ ...each, number, kind: accidents[number % 3] ?? "none" }));

// One for each case: workers stop with activities in flight, which a hub would give to the workers of the next case.
let hubs: readonly Hub[] = [];
beforeAll(async () => {
  hubs = await Promise.all(cases.map(({ mode }) => startHub({ traceContext: mode })));
});

let batches = 0;

/** Runs workflows side by side on three workers, one of which has an accident; gives what is wrong with their spans. */
async function run(
  hub: Hub,
  recorded: RecordedSpans,
  batch: readonly (readonly [Workflow, Fate])[],
  accident: Accident,
  carried: boolean,
  seen: Set<string>,
): Promise<string[]> {
  batches += 1;
  const prefix = `batch-${batches}-`;
  const ledger = new Ledger();
  const { client, sidecar } = hub;
  // Who waits for an event gets one; the orchestrator's context has no part in that.
  ledger.onWaiting = (instanceId) =>
    void context.with(ROOT_CONTEXT, () => client.raiseOrchestrationEvent(instanceId, "go", 1));
  await using connection = await breakableConnection(sidecar.port);
  const workers = [sidecar.address, sidecar.address, connection.address].map((hostAddress, number) => {
    const logger = new ConnectionLogger();
    const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress, logger, shutdownTimeoutMs: 2 }), {
      middlewares: () => [tracing(), bookkeeping(ledger)],
    });
    register(worker, number, ledger);
    return { worker, logger };
  });
  await Promise.all(workers.map(({ worker }) => worker.start()));
  const circumstances = { carried, redelivered: accident.kind !== "none" };
  const over = new AbortController();
  const running = [...workers];
  let stopped: Promise<void> | undefined;
  const victim = workers.length - 1;
  const struck = ledger
    .untilRuns(({ worker }) => worker === victim, accident.after, over.signal)
    .then(async () => {
      if (over.signal.aborted || accident.kind === "none") return;
      seen.add(accident.kind);
      if (accident.kind === "stopped") {
        stopped = running.pop()?.worker.stop();
        return;
      }
      connection.cut();
      // The SDK's worker can't be stopped well while it waits to connect again.
      await workers[victim]?.logger.connectedAgain.promise;
    });
  const own = (): EndedSpan[] =>
    recorded.ended.filter(({ attributes }) =>
      String(attributes["durabletask.task.instance_id"] ?? attributes["instance"]).startsWith(prefix),
    );
  try {
    const subjects = batch.map(([workflow, fate], index): Subject => ({ id: `${prefix}${index}-`, workflow, fate }));
    const peers = subjects.map(({ id }) => id);
    const ends = await Promise.all(subjects.map((subject) => drive(hub, ledger, peers, subject)));
    for (const end of ends) seen.add(OrchestrationStatus[end ?? OrchestrationStatus.PENDING]);
    if (ledger.rewound.size > 0) seen.add("REWOUND");
    await everythingEnds(client, prefix);
    await expect.poll(() => missingSpans(own(), ledger, circumstances), { timeout: 5000, interval: 5 }).toEqual([]);
  } finally {
    over.abort();
    await struck;
    await Promise.all([stopped, ...running.map(({ worker }) => worker.stop())]);
  }
  return problems(own(), ledger, circumstances);
}

describe("Random workflows, side by side on three workers, one of which is stopped or loses its connection", () => {
  it.each(cases)(
    "S1 are whole traces (trace contexts: $mode; $sdk; DurableIdGenerator: $generator; accident: $kind)",
    { timeout: 60_000 },
    async ({ mode, number, sdk, generator, kind }) => {
      const hub = hubs[number];
      if (hub === undefined) throw new Error("The hub has not started.");
      const recorded = record(sdk, generator);
      const said: string[] = [];
      const say = (message: string): void => void said.push(message);
      const logger: DiagLogger = { error: say, warn: say, info: say, debug: () => undefined, verbose: () => undefined };
      diag.setLogger(logger, { suppressOverrideMessage: true });
      onTestFinished(() => diag.disable());
      const seen = new Set<string>();
      const batch = fc.array(fc.tuple(workflows, fates), { minLength: 12, maxLength: 12 });
      const accident = fc.integer({ min: 1, max: 10 }).map((after): Accident => ({ kind, after }));
      await fc.assert(
        fc.asyncProperty(batch, accident, async (subjects, happens) => {
          expect(await run(hub, recorded, [...always, ...subjects], happens, mode === "carry", seen)).toEqual([]);
        }),
        // The number of the batch is part of its instance IDs, so a second run of the same would be another one.
        { numRuns: 1, endOnFailure: true },
      );
      expect(recorded.open).toEqual([]);
      expect([...seen]).toEqual(expect.arrayContaining(["COMPLETED", "FAILED", "TERMINATED", "REWOUND"]));
      expect(said.filter((message) => generator || !message.includes("DurableIdGenerator"))).toEqual([]);
    },
  );
});
