/** What one step of a workflow costs with the default pipeline, in counts instead of times. */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { execFile } from "node:child_process";
import crypto from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { NoOpLogger, TaskHubGrpcWorker, type OrchestrationContext } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { context, logs, metrics, ROOT_CONTEXT } from "@opentelemetry/api";
import { LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDurableTelemetry, type MiddlewareObject } from "../../src/index.ts";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { use, type Steps } from "../harness.ts";
import { history } from "../tracing/episodes.ts";
import { text } from "../worker/requests.ts";
import { macrotask } from "./cases.ts";

/** What is counted in one step. */
interface Counts {
  promises: number;
  asyncContexts: number;
  contextSwitches: number;
  contexts: number;
  spans: number;
  logRecords: number;
  digests: number;
  reads: number;
  definedProperties: number;
}
const zero = (): Counts => ({
  promises: 0,
  asyncContexts: 0,
  contextSwitches: 0,
  contexts: 0,
  spans: 0,
  logRecords: 0,
  digests: 0,
  reads: 0,
  definedProperties: 0,
});
let counts = zero();

class IdleReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}
const nothing = async (): Promise<void> => undefined;

const restores: (() => void)[] = [];
/** Has `counted` called at each call of the method, and `result` change what it returns. */
function spy(
  object: object,
  method: string,
  counted: () => void,
  result = (returned: unknown): unknown => returned,
): () => void {
  const original = Reflect.get(object, method) as (...args: unknown[]) => unknown;
  Reflect.set(object, method, function (this: unknown, ...args: unknown[]) {
    counted();
    return result(Reflect.apply(original, this, args));
  });
  return () => void Reflect.set(object, method, original);
}

/** Counts the contexts that derive from `each`: every context has methods of its own. */
const watch = (each: unknown): (() => void)[] =>
  ["setValue", "deleteValue"].map((method) =>
    spy(
      each as object,
      method,
      () => (counts.contexts += 1),
      (made) => {
        watch(made);
        return made;
      },
    ),
  );

beforeAll(() => {
  use(
    new TracerProvider({
      idGenerator: new DurableIdGenerator(),
      spanProcessors: [
        { onStart: () => void (counts.spans += 1), onEnd: () => undefined, forceFlush: nothing, shutdown: nothing },
      ],
    }),
  );
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [new IdleReader()] }));
  logs.setGlobalLoggerProvider(
    new LoggerProvider({
      processors: [{ onEmit: () => void (counts.logRecords += 1), forceFlush: nothing, shutdown: nothing }],
    }),
  );
  restores.push(
    spy(AsyncLocalStorage.prototype, "run", () => (counts.asyncContexts += 1)),
    spy(context, "with", () => (counts.contextSwitches += 1)),
    ...["hash", "createHash", "createHmac"].map((digest) => spy(crypto, digest, () => (counts.digests += 1))),
    ...["defineProperty", "defineProperties"].map((define) =>
      spy(Object, define, () => (counts.definedProperties += 1)),
    ),
    ...Object.getOwnPropertyNames(pb.HistoryEvent.prototype)
      .filter((name) => /^(?:get|has)[A-Z]/.test(name))
      .map((name) => spy(pb.HistoryEvent.prototype, name, () => (counts.reads += 1))),
    ...watch(ROOT_CONTEXT),
  );
});
afterAll(() => {
  for (const restore of restores) restore();
  metrics.disable();
  logs.disable();
  use({
    getTracer: () => {
      throw new Error("These tests are over.");
    },
  });
});

const noOps = (count: number): MiddlewareObject[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `no-op ${index}`,
    orchestration: async (ctx, next) => void (await next(ctx)),
    activity: async (ctx, next) => void (await next(ctx)),
  }));

function register<T extends TaskHubGrpcWorker>(worker: T): T {
  worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps<void> {
    for (;;) yield ctx.callActivity("step");
  });
  worker.addNamedActivity("step", () => 1);
  return worker;
}
const bare = (): TaskHubGrpcWorker => register(new TaskHubGrpcWorker({ logger: new NoOpLogger() }));
const decorated = (custom: readonly MiddlewareObject[]): TaskHubGrpcWorker =>
  register(
    withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
      use: [...custom],
      startupCheck: false,
    }),
  );

interface Internals {
  _executeOrchestratorInternal(request: pb.OrchestratorRequest, token: string, stub: object): Promise<void>;
  _executeActivityInternal(request: pb.ActivityRequest, token: string, stub: object): Promise<void>;
}

/** Runs the episode after `steps` steps, in which an activity completes and the next is scheduled, and then that activity; the backend accepts both. */
async function step(
  worker: TaskHubGrpcWorker,
  past: readonly pb.HistoryEvent[],
  fresh: readonly pb.HistoryEvent[],
): Promise<void> {
  const internals = worker as unknown as Internals;
  const responses: pb.OrchestratorResponse[] = [];
  const complete = (response: pb.OrchestratorResponse, _: unknown, done: (error: null) => void): void => {
    responses.push(response);
    done(null);
  };
  const stub = { completeOrchestratorTask: complete, completeActivityTask: complete };
  const request = new pb.OrchestratorRequest()
    .setInstanceid("instance-1")
    .setExecutionid(text("execution-1"))
    .setPasteventsList([...past])
    .setNeweventsList([...fresh]);
  await internals._executeOrchestratorInternal(request, "", stub);
  const [action] = responses.flatMap((response) => response.getActionsList());
  const instance = new pb.OrchestrationInstance().setInstanceid("instance-1").setExecutionid(text("execution-1"));
  const activity = new pb.ActivityRequest()
    .setName("step")
    .setTaskid(action?.getId() ?? 0)
    .setOrchestrationinstance(instance);
  await internals._executeActivityInternal(
    activity.setParenttracecontext(action?.getScheduletask()?.getParenttracecontext()),
    "",
    stub,
  );
  expect(responses).toHaveLength(2);
  // What goes on in slices, and the await guard's look.
  await macrotask();
}

/** Counts in the step after `steps` steps. */
async function countIn(worker: TaskHubGrpcWorker, steps: number): Promise<Counts> {
  const done = Array.from({ length: steps }, (_, index) => [
    history.episode(index),
    history.scheduled(index + 1, "step", index),
    history.completed(index + 1, 1, index),
  ]).flat();
  const past = [history.episode(0), history.started("steps"), ...done.slice(1, -1)];
  const fresh = [history.episode(steps), ...done.slice(-1)];
  // What is made once (instruments, tracers, the IDs of the execution) is there after the first.
  await step(worker, past, fresh);
  const rounds: Counts[] = [];
  for (let round = 0; round < 3; round += 1) {
    counts = zero();
    const hook = createHook({ init: (_, type) => void (counts.promises += type === "PROMISE" ? 1 : 0) }).enable();
    await step(worker, past, fresh);
    hook.disable();
    rounds.push(counts);
  }
  // Promises of others may be among them, and what others do.
  const [first] = rounds.toSorted(
    (one, other) => one.promises - other.promises || one.reads - other.reads || one.spans - other.spans,
  );
  return first ?? zero();
}

const histories = [10, 100, 1_000];

describe("A step with the default pipeline and providers that record", () => {
  it("costs as much after 1,000 steps as after 10, beyond what the SDK does", async () => {
    const beyond: Counts[] = [];
    for (const steps of histories) {
      const own = await countIn(decorated([]), steps);
      const sdk = await countIn(bare(), steps);
      beyond.push({
        ...own,
        reads: own.reads - sdk.reads,
        promises: Math.max(0, own.promises - sdk.promises),
        definedProperties: own.definedProperties - sdk.definedProperties,
      });
    }
    const [few] = beyond;
    for (const each of beyond) expect(each).toEqual(few);
    // The upper bounds. Two spans, of the task and the activity's execution, and two log records are what the user asked for.
    expect(few).toMatchObject({ spans: 2, logRecords: 2, digests: 0 });
    expect(few?.asyncContexts).toBeLessThanOrEqual(4);
    expect(few?.contextSwitches).toBeLessThanOrEqual(2);
    expect(few?.contexts).toBeLessThanOrEqual(5);
    expect(few?.reads).toBeLessThanOrEqual(25);
    expect(few?.promises).toBeLessThanOrEqual(10);
    // To define a property takes two microseconds.
    expect(few?.definedProperties).toBe(0);
  });

  it("costs as much with forty more middlewares as with none, but for the promises of their own async functions", async () => {
    for (const steps of histories) {
      const { promises: fewest, ...without } = await countIn(decorated([]), steps);
      const sdk = await countIn(bare(), steps);
      for (const count of [1, 4, 40]) {
        const { promises, ...rest } = await countIn(decorated(noOps(count)), steps);
        expect(rest).toEqual(without);
        // The first has each replayed step handed on by the pipeline; see linear.test.ts. The rest is an async function and its
        // await, around the orchestration and around the activity.
        expect(promises).toBeGreaterThan(fewest);
        expect(promises - sdk.promises).toBeLessThanOrEqual(4 * steps + 10 + 12 * count);
      }
    }
  });

  it("takes the digest of an execution's IDs once for the execution", async () => {
    const worker = decorated([]);
    const fresh = [history.episode(0), history.started("steps", { executionId: "another execution" })];
    for (const expected of [1, 0, 0]) {
      counts = zero();
      await step(worker, [], fresh);
      expect(counts.digests).toBe(expected);
    }
  });
});

describe("A long episode", () => {
  it("leaves its history to the next minor collection of garbage, as with the bare SDK", async () => {
    const program = fileURLToPath(new URL("fixtures/kept-after-episodes.ts", import.meta.url));
    const flags = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, program]);
    const kept = JSON.parse(stdout) as Record<"bare" | "custom" | "defaults", number>;
    // It takes 4.5 MiB. If that stayed until a full collection, it would cost more than all else; what is compiled meanwhile
    // takes some of the rest.
    expect(kept.custom - kept.bare).toBeLessThan(3 * 1024 * 1024);
    expect(kept.defaults - kept.bare).toBeLessThan(3 * 1024 * 1024);
  });
});
