/**
 * A workload on real workers that makes every measurement there is, and incidents that deserve the alerts. Incidents differ
 * from the healthy rounds only in what goes wrong.
 */
import { RetryPolicy, type OrchestrationContext, type TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { metrics } from "@opentelemetry/api";
import { MeterProvider, type IMetricReader, type ViewOptions } from "@opentelemetry/sdk-metrics";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import { observeTaskHub, type CacheStore, type DurableTelemetryOptions } from "../../src/index.ts";
import { startHub, type Steps } from "../harness.ts";
import type { Parameters } from "./catalogue/catalogue.ts";

/** Thresholds that fit a test of seconds; what is compared with them is as real as ever. */
export const parameters: Parameters = {
  window: "1m",
  holds: "1s",
  failureRatio: 0.05,
  idleSeconds: 2,
  pendingSeconds: 2,
  timerLagSeconds: 1,
  queueSeconds: 0.4,
  replayedEvents: 100,
  replayGrowth: 1.5,
  replayBefore: "5s",
  faultsWindow: "1m",
  observationSeconds: 2,
  goneWindow: "1m",
};

/** The incidents, by the alert that each deserves. */
export type Incidents = Readonly<Record<string, () => Promise<void>>>;

export interface Workload extends AsyncDisposable {
  /** One of each orchestration; all succeed. */
  round(): Promise<void>;
  readonly incidents: Incidents;
}

/** A store in memory that can be out of order. */
class FragileStore implements CacheStore {
  readonly #values = new Map<string, unknown>();
  broken = false;

  async get(key: string): Promise<unknown> {
    if (this.broken) throw new Error("the store is out of order");
    return this.#values.get(key);
  }

  async set(key: string, value: unknown): Promise<void> {
    if (this.broken) throw new Error("the store is out of order");
    this.#values.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.#values.delete(key);
  }
}

/**
 * Starts the hub and a worker whose metrics go to `readers`.
 *
 * @param collected resolves after some more scrapes or exports, which is how the workload tells that time has passed
 */
export async function startWorkload(
  { readers, views = [] }: { readers: IMetricReader[]; views?: ViewOptions[] },
  collected: () => Promise<void>,
): Promise<Workload> {
  const provider = new MeterProvider({
    readers,
    views,
    resource: defaultResource().merge(resourceFromAttributes({ "service.instance.id": "worker-1" })),
  });
  metrics.setGlobalMeterProvider(provider);
  const state = { faulty: false, fails: false, unreachable: false };
  const store = new FragileStore();
  const telemetry: DurableTelemetryOptions = {
    tracing: {
      attributes: () => {
        if (state.faulty) throw new Error("a callback of the user's");
        return {};
      },
    },
    caching: { store, activities: { getQuote: { ttl: "5m" } } },
  };
  const hub = await startHub();
  // Longer than a busy machine takes.
  const run = async (name: string, input: unknown): Promise<void> => {
    const id = await hub.client.scheduleNewOrchestration(name, input);
    await hub.client.waitForOrchestrationCompletion(id, false, 120);
  };
  const observation = observeTaskHub(
    {
      getAllInstances: (filter) => {
        if (state.unreachable) throw new Error("the task hub cannot be reached");
        return hub.client.getAllInstances(filter);
      },
    },
    // Ages grow from look to look.
    { interval: 1000 },
  );
  const scrapes = async (): Promise<void> => {
    await observation.look();
    await collected();
  };
  // All but the activity `print`.
  await hub.worker(telemetry, (worker) => register(worker, state), { workItemFilters: "auto" });
  // Nobody prints a version before its printer starts. There are two, because a rate needs a first value and a later one.
  const print = async (version: string): Promise<void> => {
    const runs = [1, 2, 3].map(async () => run("press", { activity: "print", version } satisfies Press));
    await scrapes();
    await scrapes();
    await hub.worker(telemetry, (worker) => worker.addNamedActivity("print", () => "printed"), {
      workItemFilters: { orchestrations: [], activities: [{ name: "print", versions: [version] }], entities: [] },
    });
    await Promise.all(runs);
  };
  return {
    async round() {
      await observation.look();
      await Promise.all([
        run("order", crypto.randomUUID()),
        run("order", crypto.randomUUID()),
        run("reminder", 0.05),
        run("ledger", 2),
      ]);
    },
    incidents: {
      DurableTaskOrchestrationsStuck: async () => {
        // It waits from here to the end.
        await hub.client.scheduleNewOrchestration("approval");
        await scrapes();
      },
      DurableTaskOrchestrationsPending: async () => {
        await hub.client.scheduleNewOrchestration("unknown to every worker");
        await scrapes();
      },
      DurableTaskOrchestrationsFail: async () => {
        state.fails = true;
        await run("order", crypto.randomUUID());
        await scrapes();
        await run("order", crypto.randomUUID());
        state.fails = false;
      },
      DurableTaskTimersLate: async () => {
        // The whole process stands still, the hub included, from before the timers are due to two seconds after that.
        const seconds = 3;
        const ids = await Promise.all(
          [1, 2, 3].map(async () => hub.client.scheduleNewOrchestration("reminder", seconds)),
        );
        await Promise.all(ids.map(async (id) => hub.client.waitForOrchestrationStart(id)));
        await run("press", { activity: "block", input: Date.now() + (seconds + 2) * 1000 } satisfies Press);
        await Promise.all(ids.map(async (id) => hub.client.waitForOrchestrationCompletion(id, false, 120)));
      },
      DurableTaskActivitiesQueue: async () => {
        await print("1.0");
        await scrapes();
        await run("press", { activity: "print", version: "1.0" } satisfies Press);
        await print("2.0");
      },
      DurableTaskActivityCacheFails: async () => {
        store.broken = true;
        await run("order", crypto.randomUUID());
        await scrapes();
        await run("order", crypto.randomUUID());
        store.broken = false;
      },
      DurableTaskTelemetryFaults: async () => {
        state.faulty = true;
        await run("ledger", 1);
        await scrapes();
        await run("ledger", 1);
        state.faulty = false;
      },
      DurableTaskHubUnobserved: async () => {
        state.unreachable = true;
        await observation.look();
        for (let times = 0; times < 4; times += 1) await collected();
        state.unreachable = false;
        await observation.look();
      },
      // The last one: there has to be a time before it, with less to replay.
      DurableTaskReplayGrows: async () => {
        await run("ledger", 30);
      },
    },
    async [Symbol.asyncDispose]() {
      observation.stop();
      metrics.disable();
      await provider.shutdown();
    },
  };
}

/** The activity that is called. */
interface Press {
  readonly activity: string;
  readonly version?: string;
  readonly input?: number;
}

interface State {
  readonly fails: boolean;
}

function register(worker: TaskHubGrpcWorker, state: State): void {
  const shipments = new Set<string>();
  worker.addNamedActivity("getQuote", () => 42);
  worker.addNamedActivity("pack", () => "packed");
  worker.addNamedActivity("block", (_, until: number) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, until - Date.now()));
  });
  worker.addNamedActivity("ship", (_, order: string) => {
    if (shipments.has(order)) return;
    shipments.add(order);
    throw new Error("no truck");
  });
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext, order: string): Steps {
    yield ctx.callActivity("getQuote", "EUR");
    yield ctx.callActivity("ship", order, {
      retry: new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 10 }),
    });
    if (state.fails) throw new RangeError("out of stock");
    return "shipped";
  });
  worker.addNamedOrchestrator("approval", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.waitForExternalEvent("approved");
  });
  worker.addNamedOrchestrator("reminder", async function* (ctx: OrchestrationContext, seconds: number): Steps {
    return yield ctx.createTimer(seconds);
  });
  worker.addNamedOrchestrator("ledger", async function* (ctx: OrchestrationContext, entries: number): Steps {
    for (let entry = 0; entry < entries; entry += 1) yield ctx.callActivity("pack", entry);
    return entries;
  });
  worker.addNamedOrchestrator("press", async function* (ctx: OrchestrationContext, press: Press): Steps {
    const { activity, version, input } = press;
    return yield ctx.callActivity(activity, input, version === undefined ? {} : { version });
  });
}
