/** Dapr's own runtime and client, beside a hub that does what its engine does. */
import { DaprWorkflowClient, WorkflowRuntime, type WorkflowActivityContext, type WorkflowContext } from "@dapr/dapr";
import { afterAll } from "vitest";
import { withDurableTelemetry, type DurableTelemetryOptions, type WithDurableTelemetry } from "../../src/index.ts";
import { DaprHub, type Ended } from "./hub.ts";

/** What an orchestrator of the tests is. `never` lets each `yield` have the type that its variable says. */
export type Steps<TResult = unknown> = AsyncGenerator<unknown, TResult, never>;
export type { WorkflowActivityContext, WorkflowContext };

/** What listens at a port of this machine. */
export interface Address {
  readonly port: number;
}

/** Dapr's own, for the programs of a file; all of it stops after its tests. */
export interface Dapr {
  /** A decorated runtime that has started. */
  runtime(
    register: (runtime: WorkflowRuntime) => void,
    options?: DurableTelemetryOptions,
  ): Promise<WithDurableTelemetry<WorkflowRuntime>>;
  /** A runtime without this package, that has started. */
  bareRuntime(register: (runtime: WorkflowRuntime) => void): Promise<WorkflowRuntime>;
  /** The client makes its spans. */
  readonly client: DaprWorkflowClient;
  readonly bareClient: DaprWorkflowClient;
}

/** A runtime that has no connection yet, and writes nothing. */
export function quietRuntime({ port }: Address): WorkflowRuntime {
  const runtime = new WorkflowRuntime({ daprHost: "127.0.0.1", daprPort: String(port) });
  quiet((runtime as unknown as { worker: Loud }).worker);
  return runtime;
}

export function quietClient({ port }: Address): DaprWorkflowClient {
  const client = new DaprWorkflowClient({ daprHost: "127.0.0.1", daprPort: String(port) });
  quiet((client as unknown as { _innerClient: Loud })._innerClient);
  return client;
}

interface Loud {
  readonly logger: { logLevel: number };
}

// Orchestrations log with a logger of their own, made for each episode: to the console, at level info.
function quiet({ logger }: Loud): void {
  logger.logLevel = 0;
}

// All at once after the tests of a file, since the SDK takes a second for each.
const stops: (() => PromiseLike<void>)[] = [];
const hubs: AsyncDisposable[] = [];
afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
  await Promise.all(hubs.map((hub) => hub[Symbol.asyncDispose]()));
});

/** Keeps a hub until all that uses it has stopped: a worker whose stream of work items breaks before is not running any more. */
export function keep<T extends AsyncDisposable>(hub: T): T {
  hubs.push(hub);
  return hub;
}

/** Uses what listens at `address`, until the tests of the file have run. */
export function useDapr(address: Address): Dapr {
  const [client, bareClient] = [withDurableTelemetry(quietClient(address)), quietClient(address)];
  stops.push(
    () => client.stop(),
    () => bareClient.stop(),
  );
  const start = async <T extends WorkflowRuntime>(runtime: T): Promise<T> => {
    await runtime.start();
    stops.push(() => runtime.stop());
    return runtime;
  };
  return {
    client,
    bareClient,
    async runtime(register, options) {
      const runtime = withDurableTelemetry(quietRuntime(address), options);
      register(runtime);
      return start(runtime);
    },
    async bareRuntime(register) {
      const runtime = quietRuntime(address);
      register(runtime);
      return start(runtime);
    },
  };
}

/** A hub that listens until the tests of the file have run. */
export async function startDaprHub(): Promise<DaprHub> {
  return keep(await DaprHub.start());
}

/** Schedules a workflow and waits until it has ended. */
export async function run(
  hub: DaprHub,
  client: DaprWorkflowClient,
  name: string,
  input?: unknown,
  id?: string,
): Promise<Ended> {
  return hub.ended(await client.scheduleNewWorkflow(name, input, id));
}
