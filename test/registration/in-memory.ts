/** Decorated workers of the SDK's in-memory backend, for tests that need no gRPC. */
import {
  InMemoryOrchestrationBackend,
  TestOrchestrationClient,
  TestOrchestrationWorker,
  type OrchestrationState,
} from "@microsoft/durabletask-js";
import { onTestFinished, vi } from "vitest";
import {
  withDurableTelemetry,
  type DurableTelemetryOptions,
  type DurableMiddleware,
  type Middleware,
  type MiddlewareFunction,
  type MiddlewareObject,
  type WithDurableTelemetry,
} from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";

export interface InMemoryHub {
  readonly backend: InMemoryOrchestrationBackend;
  readonly client: TestOrchestrationClient;
  readonly worker: WithDurableTelemetry<TestOrchestrationWorker>;
  /** Starts the worker if it does not run, schedules an orchestration and waits until it is complete. */
  run(name: string, input?: unknown): Promise<OrchestrationState>;
}

/** A worker and a client, which stop after the test. Tracing is off unless asked for. */
export function inMemoryHub(
  options: DurableTelemetryOptions = {},
  backend: InMemoryOrchestrationBackend = new InMemoryOrchestrationBackend(),
): InMemoryHub {
  // This worker takes no logger: it writes to the console.
  for (const level of ["debug", "info", "warn", "error"] as const) vi.spyOn(console, level).mockReturnValue();
  const client = new TestOrchestrationClient(backend);
  const worker = withDurableTelemetry(new TestOrchestrationWorker(backend), { ...customOnly, ...options });
  onTestFinished(async () => {
    await worker.stop();
    backend.reset();
    vi.restoreAllMocks();
  });
  return {
    backend,
    client,
    worker,
    async run(name, input) {
      if (Reflect.get(worker, "isRunning") !== true) await worker.start();
      const id = await client.scheduleNewOrchestration(name, input);
      const state = await client.waitForOrchestrationCompletion(id, true, 10);
      if (state === undefined) throw new Error(`The backend knows no orchestration ${id}.`);
      return state;
    },
  };
}

/** An object middleware that writes when it is entered and left. */
export function noting(name: string, log: string[]): MiddlewareObject {
  return {
    name,
    async orchestration(ctx, next) {
      log.push(`${name}: ${ctx.name} in`);
      await next(ctx);
      log.push(`${name}: ${ctx.name} out`);
    },
    async activity(ctx, next) {
      log.push(`${name}: ${ctx.name} in`);
      await next(ctx);
      log.push(`${name}: ${ctx.name} out`);
    },
  };
}

/** A middleware that is there for its name. */
export const named = (name: string): MiddlewareObject => ({
  name,
  activity: async (ctx, next) => void (await next(ctx)),
});

const asynchronous: MiddlewareFunction = async (ctx, next) => void (await next(ctx));
const durable: DurableMiddleware = async function* (ctx, next) {
  yield* next(ctx);
};
/** Middleware that does nothing, in every form that `use` takes. */
export const noOps: readonly Middleware[] = [asynchronous, durable, named("object")];
