/** Runs the whole-trace scenarios on an engine. */
import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";
import { scopeOfOurs } from "./counts.ts";
import type { EngineOptions } from "./engine.ts";
import { register, scenarios, type Scenario } from "../e2e/scenarios.ts";
import type { Runs } from "../harness.ts";

/** The scenarios of the local hub, with a fan-out as wide as engines must stand. */
export const engineScenarios: readonly Scenario[] = [
  ...scenarios.filter(({ name }) => name !== "a fan-out of 50"),
  { name: "a fan-out of 500", run: (hub) => hub.run("fan-out", 500), executions: 1, activities: 500, traces: 1 },
];

/** Workers and a client of hubs that share one state. */
export interface Fleet extends Runs, AsyncDisposable {}

/** Starts a worker on each address, and a client on the first. @param telemetry `false` for the SDK's own tracing. */
export async function startFleet(
  addresses: readonly string[],
  telemetry: DurableTelemetryOptions | false = {},
): Promise<Fleet> {
  const logger = new NoOpLogger();
  const client = new TaskHubGrpcClient({ hostAddress: addresses[0] ?? "", logger });
  const workers = addresses.map((hostAddress) => {
    const worker = new TaskHubGrpcWorker({ hostAddress, logger, shutdownTimeoutMs: 100 });
    return telemetry === false ? worker : withDurableTelemetry(worker, telemetry);
  });
  for (const worker of workers) register(worker);
  await Promise.all(workers.map((worker) => worker.start()));
  return {
    client,
    run: async (name, input, options = {}) => {
      const id = await client.scheduleNewOrchestration(name, input, options);
      const state = await client.waitForOrchestrationCompletion(id, true, 60);
      if (state === undefined) throw new Error(`The hub knows no orchestration ${id}.`);
      return state;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...workers.map((worker) => worker.stop()), client.stop()]);
    },
  };
}

/** Whether the spans of a scenario have all ended: tracing may be a moment behind the client. */
export function isComplete({ executions, activities }: Scenario, spans: readonly ReadableSpan[]): boolean {
  const servers = spans.filter(
    ({ kind, instrumentationScope }) => kind === SpanKind.SERVER && instrumentationScope.name === scopeOfOurs,
  );
  const ran = servers.filter(({ name }) => name.startsWith("activity:")).length;
  return ran >= activities && servers.length - ran >= executions;
}

/** How many hubs there are, and how many workers each has. */
export interface SetUp {
  readonly title: string;
  readonly hubs: number;
  readonly workers: number;
  readonly backend: "SQLite" | "PostgreSQL";
  /** Where the spans stand that the engine itself makes, if it makes any. */
  readonly engineSpans: "beside" | "instead" | undefined;
  /** Of transactions in PostgreSQL. At its default, several hubs get the same work items. */
  readonly isolation: EngineOptions["isolation"] | undefined;
}

const one: Omit<SetUp, "title"> = {
  hubs: 1,
  workers: 1,
  backend: "SQLite",
  engineSpans: undefined,
  isolation: undefined,
};

export const setUps: readonly SetUp[] = [
  { ...one, title: "SQLite and one worker" },
  { ...one, title: "SQLite and two workers", workers: 2 },
  { ...one, title: "PostgreSQL and two workers", workers: 2, backend: "PostgreSQL" },
  {
    ...one,
    title: "two hubs over one PostgreSQL at REPEATABLE READ, with a worker each",
    hubs: 2,
    backend: "PostgreSQL",
    isolation: "repeatable read",
  },
  { ...one, title: "the same at PostgreSQL's default", hubs: 2, backend: "PostgreSQL" },
  { ...one, title: "SQLite, two workers, and the engine's spans beside ours", workers: 2, engineSpans: "beside" },
  { ...one, title: "SQLite, two workers, and the engine's spans instead of ours", workers: 2, engineSpans: "instead" },
];

// durabletask-go 0.6.0 can't store two activities that one episode schedules in PostgreSQL ("could not determine data type
// of parameter $3").
const notOnPostgres: ReadonlySet<string> = new Set(["a fan-out of 500"]);

/** The scenarios that the engine can do with a backend. */
export function scenariosOn(backend: SetUp["backend"]): readonly Scenario[] {
  return engineScenarios.filter(({ name }) => backend === "SQLite" || !notOnPostgres.has(name));
}
