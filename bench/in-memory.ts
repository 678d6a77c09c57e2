import {
  InMemoryOrchestrationBackend,
  TestOrchestrationClient,
  TestOrchestrationWorker,
} from "@microsoft/durabletask-js";
import { registerWorkflow } from "./workflow.ts";

/** Runs orchestrations of `steps` steps on a worker of the SDK's in-memory backend. */
export interface InMemoryWorkflow {
  /** Runs `count` orchestrations, one after the other. The worker runs only meanwhile: an idle one takes CPU time. */
  readonly run: (count: number) => Promise<void>;
}

// The SDK's in-memory worker logs each episode to the console.
Object.assign(console, { info: () => undefined, debug: () => undefined });

/**
 * A worker with a backend of its own.
 *
 * @param attach what adds middlewares to the worker; the bare SDK adds none.
 */
export function inMemoryWorkflow(
  steps: number,
  attach: (worker: TestOrchestrationWorker) => unknown = () => undefined,
): InMemoryWorkflow {
  const backend = new InMemoryOrchestrationBackend();
  const client = new TestOrchestrationClient(backend);
  const worker = new TestOrchestrationWorker(backend);
  attach(worker);
  registerWorkflow(worker);
  return {
    run: async (count) => {
      await worker.start();
      for (let each = 0; each < count; each += 1) {
        const id = await client.scheduleNewOrchestration("steps", steps);
        const state = await client.waitForOrchestrationCompletion(id);
        if (state?.serializedOutput !== String((steps * (steps + 1)) / 2))
          throw new Error(`An orchestration ended with ${state?.serializedOutput}.`);
        await client.purgeOrchestration(id);
      }
      await worker.stop();
    },
  };
}
