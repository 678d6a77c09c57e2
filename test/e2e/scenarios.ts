/** Workflows of all shapes, for counts of what tracing makes of them. */
import {
  OrchestrationStatus,
  RetryPolicy,
  whenAll,
  whenAny,
  type ActivityContext,
  type OrchestrationContext,
  type OrchestrationState,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import type { Runs, Steps } from "../harness.ts";

/** One workflow, and what is true of its trace. */
export interface Scenario {
  readonly name: string;
  /** Runs it to its end. */
  readonly run: (hub: Runs) => Promise<unknown>;
  /** How many executions of orchestrations it takes. */
  readonly executions: number;
  /** How many activities run. */
  readonly activities: number;
  /** How many waits for the event `go`; none by default. */
  readonly waits?: number;
  /** How many traces it makes: continue-as-new starts new ones. */
  readonly traces: number;
}

const user = () => trace.getTracer("user");

/** Registers everything that the scenarios run. */
export function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedActivity("add", (_: ActivityContext, value: number) =>
    user().startActiveSpan("in activity", (span) => {
      span.end();
      return value + 1;
    }),
  );
  const attempts = new Map<string, number>();
  worker.addNamedActivity("flaky", (_: ActivityContext, key: string) => {
    const attempt = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, attempt);
    user().startSpan("in activity").end();
    if (attempt < 3) throw new Error(`attempt ${attempt}`);
    return attempt;
  });
  worker.addNamedActivity("fail", () => {
    throw new RangeError("no such order");
  });

  worker.addNamedOrchestrator("sequence", async function* (ctx: OrchestrationContext, count: number): Steps<number> {
    user().startSpan("in orchestrator").end();
    let value = 0;
    for (let step = 0; step < count; step += 1) value = yield ctx.callActivity("add", value);
    return value;
  });
  worker.addNamedOrchestrator("fan-out", async function* (ctx: OrchestrationContext, count: number): Steps<number> {
    user().startSpan("in orchestrator").end();
    const results: number[] = yield whenAll(
      Array.from({ length: count }, (_, index) => ctx.callActivity<number, number>("add", index)),
    );
    return results.reduce((sum, each) => sum + each, 0);
  });
  worker.addNamedOrchestrator("nested", async function* (ctx: OrchestrationContext, depth: number): Steps<number> {
    user().startSpan("in orchestrator").end();
    const below: number =
      depth === 0 ? yield ctx.callActivity("add", 0) : yield ctx.callSubOrchestrator("nested", depth - 1);
    return below + 1;
  });
  worker.addNamedOrchestrator("timers", async function* (ctx: OrchestrationContext): Steps {
    user().startSpan("in orchestrator").end();
    yield ctx.createTimer(0.02);
    yield ctx.callActivity("add", 1);
    // The second timer loses the race and never fires.
    yield whenAny([ctx.createTimer(0.02), ctx.createTimer(3600)]);
    return "done";
  });
  worker.addNamedOrchestrator("retries", async function* (ctx: OrchestrationContext, key: string): Steps {
    user().startSpan("in orchestrator").end();
    const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 10 });
    return yield ctx.callActivity("flaky", key, { retry });
  });
  worker.addNamedOrchestrator("failure", async function* (ctx: OrchestrationContext): Steps {
    user().startSpan("in orchestrator").end();
    yield ctx.callActivity("add", 1);
    return yield ctx.callActivity("fail");
  });
  worker.addNamedOrchestrator("waits", async function* (ctx: OrchestrationContext): Steps {
    user().startSpan("in orchestrator").end();
    yield ctx.callActivity("add", 1);
    ctx.setCustomStatus("waiting");
    return yield ctx.waitForExternalEvent("go");
  });
  worker.addNamedOrchestrator("generations", async function* (ctx: OrchestrationContext, left: number): Steps {
    user().startSpan("in orchestrator").end();
    yield ctx.callActivity("add", left);
    if (left > 1) ctx.continueAsNew(left - 1, false);
    return left;
  });
}

const sequence = (count: number): Scenario => ({
  name: `${count} sequential activities`,
  run: (hub) => hub.run("sequence", count),
  executions: 1,
  activities: count,
  traces: 1,
});

export const scenarios: readonly Scenario[] = [
  sequence(1),
  sequence(3),
  sequence(10),
  sequence(30),
  { name: "a fan-out of 50", run: (hub) => hub.run("fan-out", 50), executions: 1, activities: 50, traces: 1 },
  { name: "sub-orchestrations, 4 deep", run: (hub) => hub.run("nested", 3), executions: 4, activities: 1, traces: 1 },
  { name: "timers", run: (hub) => hub.run("timers"), executions: 1, activities: 1, traces: 1 },
  { name: "retries", run: (hub) => hub.run("retries", crypto.randomUUID()), executions: 1, activities: 3, traces: 1 },
  { name: "failure", run: (hub) => hub.run("failure"), executions: 1, activities: 2, traces: 1 },
  {
    name: "termination",
    run: async (hub) => {
      const id = await hub.client.scheduleNewOrchestration("waits");
      await untilCustomStatus(hub, id);
      await hub.client.terminateOrchestration(id, "enough");
      return hub.client.waitForOrchestrationCompletion(id);
    },
    executions: 1,
    activities: 1,
    waits: 1,
    // The orchestration's, and the client's spans of the schedule: one trace.
    traces: 1,
  },
  {
    name: "suspended, resumed, event",
    run: async (hub) => {
      const id = await hub.client.scheduleNewOrchestration("waits");
      await untilCustomStatus(hub, id);
      await hub.client.suspendOrchestration(id);
      // durabletask-go 0.6.0 mixes up the order of what comes together, on PostgreSQL.
      await until(hub, id, ({ runtimeStatus }) => runtimeStatus === OrchestrationStatus.SUSPENDED);
      await hub.client.raiseOrchestrationEvent(id, "go", 1);
      await hub.client.resumeOrchestration(id);
      return hub.client.waitForOrchestrationCompletion(id);
    },
    executions: 1,
    activities: 1,
    waits: 1,
    // The client's own span of the raised event is a trace of its own.
    traces: 2,
  },
  {
    name: "continue-as-new, 3 generations",
    run: (hub) => hub.run("generations", 3),
    executions: 3,
    activities: 3,
    traces: 3,
  },
];

async function until(
  hub: Runs,
  id: string,
  isReached: (state: OrchestrationState) => boolean | string | undefined,
): Promise<void> {
  for (;;) {
    const state = await hub.client.getOrchestrationState(id);
    if (state !== undefined && isReached(state)) return;
    // It would never come; a test that waits for it would never end.
    if (state?.runtimeStatus === OrchestrationStatus.FAILED)
      throw new Error(`${id} failed: ${state.failureDetails?.message}`);
  }
}

// An engine may answer with an empty one where there is none yet.
const untilCustomStatus = (hub: Runs, id: string): Promise<void> =>
  until(hub, id, ({ serializedCustomStatus }) => serializedCustomStatus);
