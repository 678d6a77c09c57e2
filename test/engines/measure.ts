/** Runs the whole-trace scenarios on an engine, and counts what is wrong with their spans. */
import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";
import { register, scenarios, type Scenario } from "../e2e/scenarios.ts";
import type { Runs } from "../harness.ts";
import type { ReceivedSpan } from "../otlp/receiver.ts";

/** A span of ours or of an engine. */
export interface AnySpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly scope: string;
}

export const recorded = (span: ReadableSpan): AnySpan => ({
  name: span.name,
  kind: SpanKind[span.kind],
  ...span.spanContext(),
  parentSpanId: span.parentSpanContext?.spanId,
  scope: span.instrumentationScope.name,
});

export const received = ({ name, kind, traceId, spanId, parentSpanId, scope }: ReceivedSpan): AnySpan => ({
  name,
  kind,
  traceId,
  spanId,
  parentSpanId,
  scope: scope.name,
});

/** What a scenario's spans are, in numbers. */
export interface Counts {
  readonly spans: number;
  /** Without those that the client makes of its own calls. */
  readonly traces: number;
  /** Spans with a parent that nobody emitted. */
  readonly orphans: number;
  /** Spans with another span's ID. */
  readonly doubled: number;
  /** SERVER spans of orchestrations, ours. */
  readonly orchestrations: number;
  /** Executions of activities that are children of what scheduled them, of all. */
  readonly "activities placed": string;
  /** Spans of user code that are below another span, of all. */
  readonly "user spans nested": string;
}

const scopeOfOurs = "durable-telemetry";
const ofClient = /^(create_orchestration|orchestration_event):/;

/** Counts over the spans of everybody who exports. */
export function count(spans: readonly AnySpan[]): Counts {
  const idOf = ({ traceId, spanId }: Pick<AnySpan, "traceId" | "spanId">): string => `${traceId}-${spanId}`;
  const byId = new Map(spans.map((span) => [idOf(span), span]));
  const parentOf = ({ traceId, parentSpanId }: AnySpan): AnySpan | undefined =>
    byId.get(idOf({ traceId, spanId: parentSpanId ?? "" }));
  const ours = spans.filter(({ scope }) => scope === scopeOfOurs);
  const activities = ours.filter(({ kind, name }) => kind === "SERVER" && name.startsWith("activity:"));
  const placed = activities.filter((span) => parentOf(span)?.kind === "CLIENT" && parentOf(span)?.name === span.name);
  const user = spans.filter(({ scope }) => scope === "user");
  const nested = user.filter((span) => parentOf(span) !== undefined);
  return {
    spans: spans.length,
    traces: new Set(
      spans
        .filter(({ name, scope }) => scope !== "Microsoft.DurableTask" || !ofClient.test(name))
        .map(({ traceId }) => traceId),
    ).size,
    orphans: spans.filter((span) => span.parentSpanId !== undefined && parentOf(span) === undefined).length,
    doubled: spans.length - byId.size,
    orchestrations: ours.filter(({ kind, name }) => kind === "SERVER" && name.startsWith("orchestration:")).length,
    "activities placed": `${placed.length}/${activities.length}`,
    "user spans nested": `${nested.length}/${user.length}`,
  };
}

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
}

export const setUps: readonly SetUp[] = [
  { title: "SQLite and one worker", hubs: 1, workers: 1, backend: "SQLite", engineSpans: undefined },
  { title: "SQLite and two workers", hubs: 1, workers: 2, backend: "SQLite", engineSpans: undefined },
  { title: "PostgreSQL and two workers", hubs: 1, workers: 2, backend: "PostgreSQL", engineSpans: undefined },
  {
    title: "two hubs over one PostgreSQL, with a worker each",
    hubs: 2,
    workers: 1,
    backend: "PostgreSQL",
    engineSpans: undefined,
  },
  {
    title: "SQLite, two workers, and the engine's own spans beside ours",
    hubs: 1,
    workers: 2,
    backend: "SQLite",
    engineSpans: "beside",
  },
  {
    title: "SQLite, two workers, and the engine's own spans instead of ours",
    hubs: 1,
    workers: 2,
    backend: "SQLite",
    engineSpans: "instead",
  },
];

// durabletask-go 0.6.0 can't store two activities that one episode schedules in PostgreSQL ("could not determine data type
// of parameter $3").
const notOnPostgres: ReadonlySet<string> = new Set(["a fan-out of 500"]);

/** The scenarios that the engine can do with a backend. */
export function scenariosOn(backend: SetUp["backend"]): readonly Scenario[] {
  return engineScenarios.filter(({ name }) => backend === "SQLite" || !notOnPostgres.has(name));
}
