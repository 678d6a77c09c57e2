/** A workflow with known numbers, on a real worker whose metrics a server can scrape. */
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { RetryPolicy, type OrchestrationContext, type TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { metrics } from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { DataPointType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";

/** What one round of the workflow does. */
export const round = {
  /** One of them fails. */
  orders: 4,
  failedOrders: 1,
  /** None of them fails. */
  checks: 2,
  /** Each order tries its shipment twice. */
  retries: 4,
  /** Each order asks for the same quote. */
  quoteHits: 3,
  quoteMisses: 1,
  /** Each check asks for a rate of its own. */
  rateMisses: 2,
} as const;

/** How long an activity `pack` takes at least, in seconds. */
export const packingTime = 0.12;

/** How many executions of an activity took at most so long, by bound. */
export type Buckets = ReadonlyMap<number, number>;

/** The workflow, and where its metrics are. */
export interface Workflow extends AsyncDisposable {
  /** Host and port of the exporter. */
  readonly target: string;
  /** Runs some rounds; when it resolves, all is recorded. */
  rounds(count: number): Promise<void>;
  /** The durations of activities that the SDK has aggregated, by activity. */
  activityBuckets(): Promise<ReadonlyMap<string, Buckets>>;
}

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** Starts a worker with the default pipeline and a cache, with an exporter on a free port of loopback. */
export async function startWorkflow(): Promise<Workflow> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const reader = new Reader();
  const provider = new MeterProvider({ readers: [exporter, reader] });
  metrics.setGlobalMeterProvider(provider);
  const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response));
  await once(server.listen(0, "127.0.0.1"), "listening");

  const workItems = new WorkItems();
  const hub = await startHub();
  await hub.worker(
    {
      caching: { activities: { getQuote: { ttl: "5m" }, getRate: { ttl: "5m" } } },
      middlewares: (defaults) => [workItems.middleware, ...defaults],
    },
    register,
  );
  return {
    target: addressOf(server),
    async rounds(count) {
      for (let index = 0; index < count; index += 1) await runRound(hub);
      await workItems.over();
    },
    async activityBuckets() {
      const { resourceMetrics } = await reader.collect();
      const data = resourceMetrics.scopeMetrics
        .flatMap((scope) => scope.metrics)
        .find(({ descriptor }) => descriptor.name === "durabletask.activity.duration");
      if (data?.dataPointType !== DataPointType.HISTOGRAM)
        throw new Error("There is no histogram of activity durations.");
      const byName = new Map<string, Map<number, number>>();
      for (const { attributes, value } of data.dataPoints) {
        const name = String(attributes["durabletask.task.name"]);
        const buckets = byName.get(name) ?? new Map<number, number>();
        let atMost = 0;
        value.buckets.counts.forEach((each, index) => {
          atMost += each;
          const bound = value.buckets.boundaries[index] ?? Infinity;
          buckets.set(bound, (buckets.get(bound) ?? 0) + atMost);
        });
        byName.set(name, buckets);
      }
      return byName;
    },
    async [Symbol.asyncDispose]() {
      metrics.disable();
      server.closeAllConnections();
      server.close();
      await provider.shutdown();
    },
  };
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The exporter does not listen.");
  return `${address.address}:${address.port}`;
}

async function runRound(hub: Hub): Promise<void> {
  const symbol = crypto.randomUUID();
  // One after the other, so that a quote is there when the next order asks for it.
  for (let order = 0; order < round.orders; order += 1) {
    await hub.run("order", { symbol, fails: order < round.failedOrders, shipment: crypto.randomUUID() });
  }
  for (let check = 0; check < round.checks; check += 1) await hub.run("check", crypto.randomUUID());
}

interface Order {
  readonly symbol: string;
  readonly fails: boolean;
  readonly shipment: string;
}

function register(worker: TaskHubGrpcWorker): void {
  const shipments = new Set<string>();
  worker.addNamedActivity("getQuote", () => 42);
  worker.addNamedActivity("getRate", () => 0.1);
  worker.addNamedActivity("pack", async () => delay(packingTime * 1000));
  worker.addNamedActivity("ship", (_, shipment: string) => {
    if (shipments.has(shipment)) return;
    shipments.add(shipment);
    throw new Error("no truck");
  });
  worker.addNamedOrchestrator(
    "order",
    async function* (ctx: OrchestrationContext, { symbol, fails, shipment }: Order): Steps {
      yield ctx.callActivity("getQuote", symbol);
      yield ctx.callActivity("pack");
      yield ctx.callActivity("ship", shipment, {
        retry: new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 10 }),
      });
      if (fails) throw new RangeError("out of stock");
      return "shipped";
    },
  );
  worker.addNamedOrchestrator("check", async function* (ctx: OrchestrationContext, key: string): Steps {
    return yield ctx.callActivity("getRate", key);
  });
}
