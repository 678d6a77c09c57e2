import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { recordSpans } from "../harness.ts";
import { recordLogs } from "../logging/record-logs.ts";
import { operatorOptions } from "../operator-options.ts";
import { expectNoUnhandledRejections } from "../pipeline/cases.ts";
import { bareWorker, hostWorker } from "../worker/requests.ts";
import { mutated, mutations, realRequests } from "./mutated-requests.ts";
import { durable } from "./programs.ts";
import { comparable } from "./simulate.ts";

expectNoUnhandledRejections();

/** How many requests are tried: `MUTATED_REQUESTS=12000` for as many as in `docs/reliability.md`. */
const runs = Number(process.env["MUTATED_REQUESTS"] ?? 600);

/** What a worker makes of a request: a response, an error, or nothing for some turns of the event loop, which is for ever. */
async function answerOf(worker: TaskHubGrpcWorker, request: Uint8Array): Promise<unknown> {
  const never = async (): Promise<string> => {
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    return "nothing";
  };
  const answer = worker.processOrchestratorRequest(request).then(
    (bytes) => pb.OrchestratorResponse.deserializeBinary(comparable(bytes)).toObject(),
    (error: unknown) => `rejected: ${String(error)}`,
  );
  return Promise.race([answer, never()]);
}

// The SDK's own tracing rejects a request whose persisted span starts at no date. This package's takes its place, so it must
// do what the bare SDK does with the request without that span.
function withoutSpanFromNoDate(request: Uint8Array): Uint8Array {
  try {
    const message = pb.OrchestratorRequest.deserializeBinary(request);
    const start = message.getOrchestrationtracecontext()?.getSpanstarttime();
    if (start === undefined || !Number.isNaN(start.toDate().getTime())) return request;
    message.setOrchestrationtracecontext(undefined);
    return message.serializeBinary();
  } catch {
    return request; // Neither worker can read it.
  }
}

it(
  "D3 A request with mutated bytes has the response, or the error, that it has without the pipeline",
  { timeout: 60_000 + runs * 50 },
  async () => {
    const spans = recordSpans();
    const bare = bareWorker();
    recordLogs();
    const decorated = hostWorker({
      ...operatorOptions,
      use: [{ name: "own", orchestration: async (ctx, next) => void (await next(ctx)) }],
    });
    for (const worker of [bare, decorated]) worker.addNamedOrchestrator("durable", durable);
    const requests = await realRequests(40, (request) => bare.processOrchestratorRequest(request));
    const counts = { responses: 0, errors: 0 };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...requests), mutations, async (request, changes) => {
        const bytes = mutated(request, changes);
        // The orchestrator does what its input says: not so much that it takes minutes.
        fc.pre(!/"count":\d{4,}/.test(Buffer.from(bytes).toString("latin1")));
        const expected = await answerOf(bare, withoutSpanFromNoDate(bytes));
        expect(await answerOf(decorated, bytes)).toEqual(expected);
        counts[typeof expected === "string" ? "errors" : "responses"] += 1;
        spans.reset();
      }),
      { numRuns: runs },
    );
    // Most mutations give a message that can be read.
    expect(counts.responses).toBeGreaterThan(runs / 2);
    console.info(`mutated requests: ${JSON.stringify({ tried: runs, of: requests.length, ...counts })}`);
  },
);
