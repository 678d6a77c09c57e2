import {
  OrchestrationStatus,
  RetryPolicy,
  whenAll,
  whenAny,
  type ActivityContext,
  type OrchestrationContext,
  type OrchestrationState,
  type Task,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import type { DurableSteps, OrchestrationMiddleware } from "../../src/index.ts";
import { recordSpans, startHub, type Hub, type Steps } from "../harness.ts";
import { noOps } from "../registration/in-memory.ts";
import { hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";
import { customOnly } from "../custom-only.ts";

/** The well-known patterns, as the SDK's documentation shows them. */
function addPatterns(worker: TaskHubGrpcWorker): void {
  const attempts = new Map<string, number>();
  worker.addNamedActivity("hello", (_: ActivityContext, city: string) => `Hello ${city}!`);
  worker.addNamedActivity("workItems", () => Array.from({ length: 8 }, (_, index) => index));
  worker.addNamedActivity("square", async (_: ActivityContext, value: number) => value * value);
  worker.addNamedActivity("flaky", (ctx: ActivityContext) => {
    const attempt = (attempts.get(ctx.orchestrationId) ?? 0) + 1;
    attempts.set(ctx.orchestrationId, attempt);
    if (attempt < 3) throw new TypeError(`attempt ${attempt}`);
    return attempt;
  });
  worker.addNamedActivity("broken", () => {
    throw new RangeError("always");
  });
  worker.addNamedActivity("nothing", () => undefined);

  worker.addNamedOrchestrator("chaining", async function* (ctx: OrchestrationContext): Steps {
    const greetings: string[] = [];
    for (const city of ["Tokyo", "Seattle", "London"]) greetings.push(yield ctx.callActivity("hello", city));
    return greetings;
  });
  worker.addNamedOrchestrator("fan-out fan-in", async function* (ctx: OrchestrationContext): Steps {
    const items: number[] = yield ctx.callActivity("workItems");
    const squares: number[] = yield whenAll(items.map((item) => ctx.callActivity("square", item)));
    return squares.reduce((sum, square) => sum + square, 0);
  });
  worker.addNamedOrchestrator("approval", async function* (ctx: OrchestrationContext, seconds: number): Steps {
    ctx.setCustomStatus("waiting for approval");
    const approval = ctx.waitForExternalEvent("approval");
    const timeout = ctx.createTimer(seconds);
    const winner: Task<unknown> = yield whenAny([approval, timeout]);
    if (winner === timeout) return "timed out";
    timeout.cancel();
    ctx.setCustomStatus("approved");
    return `approved by ${String(Reflect.get(approval.getResult(), "by"))}`;
  });
  worker.addNamedOrchestrator("monitor", async function* (ctx: OrchestrationContext, checks: number): Steps {
    yield ctx.callActivity("nothing");
    yield ctx.createTimer(0.01);
    if (checks < 3) return ctx.continueAsNew(checks + 1, false);
    return `healthy after ${checks} checks`;
  });
  worker.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext): Steps {
    const children = ["chaining", "fan-out fan-in"].map((child) => ctx.callSubOrchestrator(child));
    return yield whenAll(children);
  });
  const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 5 });
  worker.addNamedOrchestrator("retry", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callActivity("flaky", undefined, { retry });
  });
  worker.addNamedOrchestrator("compensation", async function* (ctx: OrchestrationContext): Steps {
    try {
      return yield ctx.callActivity("broken", undefined, { retry });
    } catch {
      return yield ctx.callActivity("hello", "compensation");
    }
  });
  worker.addNamedOrchestrator("failure", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callSubOrchestrator("fails");
  });
  worker.addNamedOrchestrator("fails", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callActivity("broken");
  });
  worker.addNamedOrchestrator("plain", async (_: OrchestrationContext, input: unknown) => ({ input }));
}

let bare: Hub;
let decorated: Hub;
beforeAll(async () => {
  [bare, decorated] = await Promise.all([startHub(), startHub()]);
  await bare.bareWorker(addPatterns);
  await decorated.worker({ use: noOps }, addPatterns);
});

interface Ended {
  readonly status: string;
  readonly output: string | undefined;
  readonly customStatus: string | undefined;
  readonly failure: readonly unknown[] | undefined;
}

function statusOf(state: OrchestrationState | undefined): Ended {
  const failure = state?.failureDetails;
  return {
    status: OrchestrationStatus[state?.runtimeStatus ?? OrchestrationStatus.PENDING],
    output: state?.serializedOutput,
    customStatus: state?.serializedCustomStatus,
    failure: failure && [failure.errorType, failure.message],
  };
}

/** What both hubs tell of the orchestration, which must be the same. */
async function same(
  name: string,
  input?: unknown,
  act: (hub: Hub, id: string) => Promise<void> = async () => undefined,
): Promise<Ended> {
  recordSpans();
  const [without, withThem] = await Promise.all(
    [bare, decorated].map(async (hub) => {
      const id = await hub.client.scheduleNewOrchestration(name, input, { instanceId: `${name}-${String(input)}` });
      await act(hub, id);
      return statusOf(await hub.client.waitForOrchestrationCompletion(id, true, 20));
    }),
  );
  expect(withThem).toEqual(without);
  if (withThem === undefined) throw new Error("No orchestration ran.");
  return withThem;
}

describe("The well-known patterns, over gRPC, with and without tracing and middleware", () => {
  it.each<[string, unknown, string]>([
    ["chaining", undefined, '["Hello Tokyo!","Hello Seattle!","Hello London!"]'],
    ["fan-out fan-in", undefined, "140"],
    ["monitor", 0, '"healthy after 3 checks"'],
    ["parent", undefined, '[["Hello Tokyo!","Hello Seattle!","Hello London!"],140]'],
    ["retry", undefined, "3"],
    ["compensation", undefined, '"Hello compensation!"'],
    ["plain", { a: 1 }, '{"input":{"a":1}}'],
  ])("D3 %s returns the same", async (name, input, output) => {
    expect(await same(name, input)).toMatchObject({ status: "COMPLETED", output });
  });

  it("D3 a failure that nobody catches fails the same", async () => {
    const { status, failure } = await same("failure");
    expect(status).toBe("FAILED");
    expect(String(failure)).toContain("always");
  });

  it("D3 human interaction returns the same, with the answer in time and without", async () => {
    const approved = await same("approval", 3600, async (hub, id) => {
      await hub.client.waitForOrchestrationStart(id, false, 10);
      await hub.client.raiseOrchestrationEvent(id, "Approval", { by: "Ada" });
    });
    expect(approved).toMatchObject({ output: '"approved by Ada"', customStatus: '"approved"' });
    expect(await same("approval", 0.02)).toMatchObject({
      output: '"timed out"',
      customStatus: '"waiting for approval"',
    });
  });

  it("D3 termination from outside is the same", async () => {
    const terminated = await same("approval", 7200, async (hub, id) => {
      await hub.client.waitForOrchestrationStart(id, false, 10);
      await hub.client.terminateOrchestration(id, "enough");
    });
    expect(terminated).toMatchObject({ status: "TERMINATED", output: '"enough"' });
  });
});

describe("Orchestration middleware in each episode", () => {
  it("D1 reads the same durable time and the same new IDs, before next and after, however often it replays", async () => {
    const read: unknown[][] = [];
    const durableReads: OrchestrationMiddleware = async (ctx, next) => {
      const { orchestrationContext: durable } = ctx;
      const before = [durable.currentUtcDateTime.toISOString(), durable.newGuid()];
      read.push(before);
      await next(ctx);
    };
    const worker = hostWorker({ use: [{ name: "reads", orchestration: durableReads }] });
    worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps {
      for (let step = 0; step < 5; step += 1) yield ctx.waitForExternalEvent("go");
      return ctx.newGuid();
    });
    const past = startEvents({ name: "steps" }, new Date(Date.UTC(2030, 0, 1)));
    const guids = new Set<string>();
    for (let episode = 0; episode < 3; episode += 1) {
      const fresh = startEvents({ name: "steps" }, new Date(Date.UTC(2031, episode, 1))).slice(0, 1);
      const response = await runEpisode(worker, orchestratorRequest(fresh, past));
      expect(response.getActionsList()).toEqual([]);
      past.push(...fresh);
    }
    for (const [, guid] of read) guids.add(String(guid));
    expect(read).toHaveLength(3);
    expect(new Set(read.map(([time]) => time))).toEqual(new Set(["2030-01-01T00:00:00.000Z"]));
    expect(guids.size).toBe(1);
  });

  it("D1 gets the same activity result in each episode where a durable middleware asks for it", async () => {
    const limits: unknown[] = [];
    await durableHub.worker({ ...customOnly }, (worker) => {
      let calls = 0;
      worker.addNamedActivity("limit", () => (calls += 1));
      worker.addNamedActivity("nothing", () => undefined);
      worker.useOrchestrationMiddleware(async function* policy(ctx, next): DurableSteps {
        limits.push(yield ctx.orchestrationContext.callActivity("limit"));
        yield* next(ctx);
      });
      worker.addNamedOrchestrator("two steps", async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity("nothing");
        return yield ctx.callActivity("nothing");
      });
    });
    await durableHub.run("two steps");
    // The first episode ends at the question.
    expect(limits).toEqual([1, 1, 1]);
  });
});
let durableHub: Hub;
beforeAll(async () => {
  durableHub = await startHub();
});
