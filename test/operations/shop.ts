/** The workload of the operator's questions: orders of a shop on two workers, one of which is killed half-way. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NoOpLogger, OrchestrationStatus, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { metrics } from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { observeTaskHub } from "../../src/index.ts";
import { startProgram, type RunningProgram } from "../otlp/program.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";
import { startPrometheus, type PrometheusServer } from "../prometheus/server.ts";
import { spellingOf } from "../prometheus/catalogue/spelling.ts";
import { LiveRules } from "../prometheus/live.ts";
import { startLocalSidecar } from "../../src/testing/sidecar/index.ts";
import { readFacts, type Facts } from "./facts.ts";

export interface WorkerInput {
  readonly hostAddress: string;
  /** A directory in which workers mark what has happened once. */
  readonly marks: string;
}

export interface Order {
  readonly id: string;
  readonly plan: "complete" | "wait" | "stuck" | "fail" | "retry";
  /** The worker that has it stands still. */
  readonly held?: boolean;
}

/** 20 orders that complete, 4 that complete after a retry, 2 that fail, 3 that wait and one that is stuck. */
const plans: readonly Order["plan"][] = [
  ...Array.from({ length: 20 }, (): Order["plan"] => "complete"),
  ...Array.from({ length: 4 }, (): Order["plan"] => "retry"),
  "fail",
  "fail",
  "wait",
  "wait",
  "wait",
  "stuck",
];

/** Every order: of each plan, one part comes before a worker dies and the other after. */
export const orders: readonly (Order & { readonly tenant: string })[] = plans.map((plan, index) => ({
  id: `order-${index + 1}`,
  plan,
  tenant: index % 3 === 0 ? "acme" : "globex",
}));
const heldOrder = "order-20";

export interface Shop extends AsyncDisposable {
  readonly receiver: OtlpReceiver;
  readonly prometheus: PrometheusServer;
  /** What the histories say, now that nothing moves any more. */
  readonly facts: Facts;
}

/** Runs it all. When it resolves, the telemetry has arrived. */
export async function runShop(): Promise<Shop> {
  await using cleanUp = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-shop-"));
  cleanUp.defer(() => rmSync(directory, { recursive: true, force: true }));
  const sidecar = await startLocalSidecar();
  cleanUp.defer(async () => sidecar.close());
  const client = new TaskHubGrpcClient({ hostAddress: sidecar.address, logger: new NoOpLogger() });
  cleanUp.defer(async () => client.stop());
  const receiver = await startReceiver();
  cleanUp.defer(async () => receiver.close());

  const workers = new Map<string, RunningProgram>();
  for (const id of ["a", "b"]) {
    const input: WorkerInput = { hostAddress: sidecar.address, marks: directory };
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_RESOURCE_ATTRIBUTES: `service.name=shop,service.instance.id=${id}`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_BLRP_SCHEDULE_DELAY: "50",
    };
    workers.set(id, cleanUp.use(startProgram("../../operations/fixtures/worker", { input, env })));
  }
  const observer = cleanUp.use(await startObserver(client));
  const targets = [observer.target, ...(await Promise.all([...workers.values()].map(metricsOf)))];
  const rules = cleanUp.use(new LiveRules(spellingOf("plain")));
  const prometheus = cleanUp.use(
    await startPrometheus({
      ruleFile: rules.path,
      configuration: { scrape_configs: [{ job_name: "worker", static_configs: [{ targets }] }] },
    }),
  );

  const schedule = async (some: readonly (Order & { readonly tenant: string })[]): Promise<void> => {
    for (const { tenant, ...order } of some)
      await client.scheduleNewOrchestration(
        "order",
        { ...order, held: order.id === heldOrder },
        { instanceId: order.id, tags: { tenant } },
      );
  };
  /** Resolves when nothing moves but what is held, and the telemetry of the rest has arrived. */
  const settled = async (expected: readonly Order[]): Promise<Facts> =>
    prometheus.until("the telemetry of what the histories have", async () => {
      const facts = await readFacts(client);
      if (!expected.every((order) => isSettled(facts, order))) return undefined;
      return (await hasArrived(facts, prometheus, receiver)) ? facts : undefined;
    });

  const before = orders.filter((_, index) => index % 2 === 0);
  const after = orders.filter((_, index) => index % 2 === 1);
  await schedule(before);
  await settled(before);
  await schedule(after.filter(({ id }) => id === heldOrder));
  const killed = await Promise.race(
    [...workers].map(async ([id, worker]) => {
      await worker.printed("held");
      return id;
    }),
  );
  await settled([...before, { id: heldOrder, plan: "stuck" }]);
  workers.get(killed)?.kill("SIGKILL");
  await workers.get(killed)?.result;
  await schedule(after.filter(({ id }) => id !== heldOrder));
  const facts = await settled(orders);
  const observed = Date.now() / 1000;
  await observer.look();
  await prometheus.until("the look at the task hub", async () => {
    const [age] = await prometheus.query(
      "timestamp(durabletask_hub_observation_age) - durabletask_hub_observation_age",
    );
    return age !== undefined && age.value >= observed - 0.001 ? age : undefined;
  });
  const held = cleanUp.move();
  return { receiver, prometheus, facts, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

interface Observer extends AsyncDisposable {
  /** Host and port of its metrics. */
  readonly target: string;
  look(): Promise<void>;
}

/** What asks the task hub; it would be a process of its own. */
async function startObserver(client: TaskHubGrpcClient): Promise<Observer> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  const scraped = createServer((request, response) => exporter.getMetricsRequestHandler(request, response));
  await once(scraped.listen(0, "127.0.0.1"), "listening");
  const observation = observeTaskHub(client);
  return {
    target: `127.0.0.1:${(scraped.address() as AddressInfo).port}`,
    look: () => observation.look(),
    async [Symbol.asyncDispose]() {
      observation.stop();
      metrics.disable();
      scraped.closeAllConnections();
      scraped.close();
      await provider.shutdown();
    },
  };
}

async function metricsOf(worker: RunningProgram): Promise<string> {
  const [, port = ""] = /metrics at (\d+)\./.exec(await worker.printed(".\n")) ?? [];
  return `127.0.0.1:${port}`;
}

/** Whether an order is where its plan ends. */
function isSettled({ instances }: Facts, { id, plan }: Order): boolean {
  const instance = instances.get(id);
  if (plan === "wait") return instance?.waitsForEvent === true;
  if (plan === "stuck") return instance !== undefined && instance.pendingTasks.length > 0;
  return instance?.status === (plan === "fail" ? OrchestrationStatus.FAILED : OrchestrationStatus.COMPLETED);
}

/** Whether the counts of Prometheus and the ends in the log are those of the histories. */
async function hasArrived(facts: Facts, prometheus: PrometheusServer, { logs }: OtlpReceiver): Promise<boolean> {
  const total = async (series: string): Promise<number> =>
    (await prometheus.query(`sum(last_over_time(${series}[1h]))`))[0]?.value ?? 0;
  const ended = [...facts.instances.values()].filter(({ isFinished }) => isFinished).length;
  const records = (eventName: string): number => logs.filter((each) => each.eventName === eventName).length;
  const waits = [...facts.instances.values()].reduce((sum, { waits: some }) => sum + some, 0);
  return (
    records("durabletask.orchestration.finished") === ended &&
    records("durabletask.orchestration.waiting") === waits &&
    (await total("durabletask_orchestration_started_total")) === facts.instances.size &&
    (await total("durabletask_orchestration_duration_count")) === ended &&
    (await total("durabletask_activity_duration_count")) === facts.activities.length &&
    (await total("durabletask_activity_turnaround_count")) === facts.activities.length
  );
}
