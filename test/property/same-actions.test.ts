import type { Task, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Middleware, MiddlewareObject, OrchestrationMiddleware } from "../../src/index.ts";
import { recordSpans } from "../harness.ts";
import { recordLogs } from "../logging/record-logs.ts";
import { operatorOptions } from "../operator-options.ts";
import { bareWorker, hostWorker } from "../worker/requests.ts";
import { durable, plain, programs } from "./programs.ts";
import { comparable, fates, simulate, type RunEpisode } from "./simulate.ts";
import { customOnly } from "../custom-only.ts";

// What JavaScript may return is left alone too.
type Any = (
  ...args: Parameters<OrchestrationMiddleware>
) => PromiseLike<unknown> | AsyncGenerator<Task<unknown>, unknown>;
const around = (orchestration: Any): Omit<MiddlewareObject, "name"> => ({
  orchestration: orchestration as OrchestrationMiddleware,
});

/** Middleware that keeps the rules, in the forms that there are. */
const rightful: Readonly<Record<string, Omit<MiddlewareObject, "name">>> = {
  async: around(async (ctx, next) => {
    await next(ctx);
  }),
  "async that returns": around(async (ctx, next) => next(ctx)),
  "plain function": around((ctx, next) => next(ctx)),
  chained: around((ctx, next) =>
    next(ctx).then(
      (value) => value,
      (error: unknown) => Promise.reject(error as Error),
    ),
  ),
  generator: around(async function* (ctx, next) {
    return yield* next(ctx);
  }),
  "generator that awaits": around(async function* (ctx, next): AsyncGenerator<never> {
    await next(ctx);
  }),
  "try and finally": around(async (ctx, next) => {
    try {
      await Promise.resolve();
      await next(ctx);
    } catch (error) {
      ctx.logger.error("failed", error);
      throw error;
    } finally {
      await Promise.resolve();
    }
  }),
  catch: around(async (ctx, next) => {
    await next(ctx).catch(() => undefined);
  }),
  onSuspend: around(async function* (ctx, next) {
    ctx.onSuspend(() => undefined);
    try {
      yield* next(ctx);
    } finally {
      ctx.onSuspend(() => undefined);
    }
  }),
  "activities only": { activity: async (ctx, next) => void (await next(ctx)) },
};

/** Zero to six middlewares. */
const lists: fc.Arbitrary<readonly Middleware[]> = fc
  .array(fc.constantFrom(...Object.keys(rightful)), { maxLength: 6 })
  .map((names) => names.map((name, index) => ({ ...rightful[name], name: `${index} ${name}` })));

function episodesOf(worker: TaskHubGrpcWorker): RunEpisode {
  worker.addNamedOrchestrator("durable", durable);
  worker.addNamedOrchestrator("plain", plain);
  return (request) => worker.processOrchestratorRequest(request);
}

const nameOf = (cases: object, value: number): string =>
  Object.entries(cases).find(([, each]) => each === value)?.[0] ?? "";

/** Every orchestration status that the run of the property has seen, so that a test which sees none shows. */
function note(seen: Map<string, number>, response: Uint8Array): void {
  for (const action of pb.OrchestratorResponse.deserializeBinary(response).getActionsList()) {
    const status = action.getCompleteorchestration()?.getOrchestrationstatus();
    const message = action.getSendentitymessage();
    const name =
      status !== undefined
        ? nameOf(pb.OrchestrationStatus, status)
        : message !== undefined
          ? nameOf(pb.SendEntityMessageAction.EntitymessagetypeCase, message.getEntitymessagetypeCase())
          : nameOf(pb.OrchestratorAction.OrchestratoractiontypeCase, action.getOrchestratoractiontypeCase());
    seen.set(name, (seen.get(name) ?? 0) + 1);
  }
}

const messagesToEntities = [
  "ENTITYOPERATIONCALLED",
  "ENTITYOPERATIONSIGNALED",
  "ENTITYLOCKREQUESTED",
  "ENTITYUNLOCKSENT",
];
const kindsOfActions = ["SCHEDULETASK", "CREATETIMER", "CREATESUBORCHESTRATION", "SENDEVENT", ...messagesToEntities];

describe("Any workflow, with any set of middleware that keeps the rules", () => {
  it.each<[orchestrator: "durable" | "plain", runs: number]>([
    ["durable", 150],
    ["plain", 100],
  ])(
    "D3 returns the same actions, byte for byte, as without middleware: %s orchestrators",
    async (orchestrator, runs) => {
      const spans = recordSpans();
      recordLogs();
      const seen = new Map<string, number>();
      await fc.assert(
        fc.asyncProperty(programs, fates, lists, lists, async (program, fate, some, others) => {
          const bare = episodesOf(bareWorker());
          const decorated = [
            episodesOf(hostWorker({ ...customOnly, use: some })),
            episodesOf(hostWorker({ tracing: true, use: others })),
            episodesOf(hostWorker({ tracing: true, metrics: true, logging: true })),
            episodesOf(hostWorker(operatorOptions)),
            episodesOf(
              hostWorker({ ...customOnly, use: some, awaitGuard: { middleware: "off", orchestrator: "off" } }),
            ),
          ];
          await simulate(orchestrator, program, fate, async (request) => {
            const response = await bare(request);
            note(seen, response);
            const expected = Buffer.from(comparable(response));
            for (const run of decorated) {
              const actual = Buffer.from(comparable(await run(request)));
              if (!expected.equals(actual)) {
                const [wanted, got] = [expected, actual].map((bytes) =>
                  pb.OrchestratorResponse.deserializeBinary(bytes).toObject(),
                );
                expect(got).toEqual(wanted);
                expect(actual).toEqual(expected);
              }
            }
            return response;
          });
          spans.reset();
        }),
        { numRuns: runs },
      );
      // The workflows were not all trivial ones.
      const kinds = orchestrator === "plain" ? ["SENDEVENT", "ENTITYOPERATIONSIGNALED"] : kindsOfActions;
      const ends = ["COMPLETED", "FAILED", "CONTINUED_AS_NEW", ...(orchestrator === "plain" ? [] : ["TERMINATED"])];
      for (const kind of [...kinds, ...ends.map((status) => `ORCHESTRATION_STATUS_${status}`)]) {
        expect([kind, (seen.get(kind) ?? 0) > 0]).toEqual([kind, true]);
      }
    },
  );
});
