/**
 * A task hub with its client, in a process of its own. Its first question is for the address; all others, to run orchestrations
 * of some steps until they are complete, four at a time.
 */
import { NoOpLogger, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { startLocalSidecar } from "durable-telemetry/testing";
import { sampled, useProviders } from "../providers.ts";
import { answerQuestions } from "./program.ts";

export type HubQuestion = "address" | { readonly orchestrations: number; readonly steps: number };

// The client has a tracer, so that the worker gets the trace context of a caller.
useProviders({ tracers: sampled.tracers });
const { address } = await startLocalSidecar();
const client = new TaskHubGrpcClient({ hostAddress: address, logger: new NoOpLogger() });

async function run(count: number, steps: number): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const id = await client.scheduleNewOrchestration("steps", steps);
      const state = await client.waitForOrchestrationCompletion(id);
      if (state?.serializedOutput !== String((steps * (steps + 1)) / 2))
        throw new Error(`An orchestration ended with ${state?.serializedOutput}.`);
      await client.purgeOrchestration(id);
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}

answerQuestions(async (question: HubQuestion) => {
  if (question === "address") return address;
  return await run(question.orchestrations, question.steps);
});
