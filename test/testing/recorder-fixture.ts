/** A recorder for a test, and a task hub to record. */
import {
  NoOpLogger,
  RetryPolicy,
  TaskHubGrpcClient,
  TaskHubGrpcWorker,
  whenAll,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import { withDurableTelemetry } from "../../src/index.ts";
import {
  createTelemetryRecorder,
  startLocalSidecar,
  TelemetryRecorderError,
  type LocalSidecarOptions,
  type TelemetryRecorder,
  type TelemetryRecorderOptions,
} from "../../src/testing/index.ts";
import { onTestFinished } from "vitest";

/** Records until the end of the test. */
export function record(options?: TelemetryRecorderOptions): TelemetryRecorder {
  const recorder = createTelemetryRecorder(options);
  onTestFinished(() => recorder.shutdown());
  return recorder;
}

/** What `act` throws, which must be an error of the recorder. */
export async function refusal(act: () => unknown): Promise<TelemetryRecorderError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof TelemetryRecorderError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown.");
}

/** A task hub with a worker. */
export interface Shop {
  readonly client: TaskHubGrpcClient;
  /** Runs an orchestration to its end. */
  run(name: string, input?: unknown): Promise<string>;
}

/** What is special about a shop. */
interface ShopOptions extends LocalSidecarOptions {
  /** Whether the worker is the SDK's own, with its built-in tracing. */
  readonly bare?: boolean;
  /** What its worker can do; by default orders, deliveries and refusals. */
  readonly register?: (worker: TaskHubGrpcWorker) => void;
}

type Steps = AsyncGenerator<unknown, unknown, never>;

/** Starts a hub and a worker, decorated or bare, until the end of the test. */
export async function startShop(options: ShopOptions = {}): Promise<Shop> {
  const { bare = false, register = registerShop, ...sidecarOptions } = options;
  const sidecar = await startLocalSidecar(sidecarOptions);
  const connection = { hostAddress: sidecar.address, logger: new NoOpLogger(), shutdownTimeoutMs: 100 };
  const sdkWorker = new TaskHubGrpcWorker(connection);
  const worker = bare ? sdkWorker : withDurableTelemetry(sdkWorker);
  const client = new TaskHubGrpcClient(connection);
  register(worker);
  await worker.start();
  onTestFinished(async () => {
    // At once, since the SDK takes a second for each.
    await Promise.all([worker.stop(), client.stop()]);
    await sidecar.close();
  });
  return {
    client,
    async run(name, input) {
      const id = await client.scheduleNewOrchestration(name, input);
      await client.waitForOrchestrationCompletion(id, true, 20);
      return id;
    },
  };
}

function registerShop(worker: TaskHubGrpcWorker): void {
  worker.addNamedActivity("charge", async (_: ActivityContext, amount: number) => {
    await trace.getTracer("shop").startActiveSpan("call the bank", async (span) => {
      span.setAttribute("amount", amount).setAttribute("connection", crypto.randomUUID());
      // Now the one, now the other of two charges comes first.
      if (Math.random() < 0.5) await new Promise(setImmediate);
      span.end();
    });
    return amount;
  });
  let attempts = 0;
  worker.addNamedActivity("ship", () => {
    attempts += 1;
    if (attempts % 2 === 1) throw new RangeError("no truck");
    return "on its way";
  });
  worker.addNamedActivity("refuse", (ctx: ActivityContext) => {
    throw new TypeError(`${ctx.orchestrationId} is refused`);
  });
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext, amounts: number[]): Steps {
    trace.getTracer("shop").startSpan("check the order").end();
    yield whenAll(amounts.map((amount) => ctx.callActivity("charge", amount)));
    yield ctx.createTimer(0.01);
    return yield ctx.callSubOrchestrator("delivery");
  });
  worker.addNamedOrchestrator("delivery", async function* (ctx: OrchestrationContext): Steps {
    const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 10 });
    return yield ctx.callActivity("ship", null, { retry });
  });
  worker.addNamedOrchestrator("refused", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callActivity("refuse");
  });
}
