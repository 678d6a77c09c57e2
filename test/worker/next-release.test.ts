/**
 * The next release of the SDK, by shape: workers and a backend whose non-public methods have the signatures of the SDK's
 * main branch. They run on the code of the release that is installed.
 */
import { setImmediate } from "node:timers/promises";
import {
  InMemoryOrchestrationBackend,
  NoOpLogger,
  TaskHubGrpcWorker,
  TestOrchestrationWorker,
} from "@microsoft/durabletask-js";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { ActivityExecutor } from "@microsoft/durabletask-js/dist/worker/activity-executor.js";
import { describe, expect, it } from "vitest";
import { withDurableTelemetry, type ActivityMiddlewareContext } from "../../src/index.ts";
import type {
  Acknowledgement,
  ActivityResponse,
  EpisodeResponse,
  MiddlewareObject,
  WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { customOnly } from "../custom-only.ts";
import type { Steps } from "../harness.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { at, orchestratorRequest, resultIn, startEvents } from "./requests.ts";

/** What hooks see. */
class Observer implements MiddlewareObject {
  readonly name = "observer";
  readonly outcomes: unknown[] = [];
  readonly acknowledged: Acknowledgement[] = [];
  readonly activities: ActivityMiddlewareContext[] = [];
  readonly orchestration = async (ctx: unknown, next: (ctx: never) => Promise<unknown>): Promise<void> =>
    void (await next(ctx as never));
  readonly activity = async (ctx: ActivityMiddlewareContext, next: (ctx: never) => Promise<unknown>): Promise<void> => {
    this.activities.push(ctx);
    await next(ctx as never);
  };
  readonly workItem = (): WorkItemHooks => ({
    onResponse: ({ outcome }: EpisodeResponse | ActivityResponse) => void this.outcomes.push(outcome),
    onAcknowledged: (acknowledgement) => void this.acknowledged.push(acknowledgement),
  });
}

type Method = (this: object, ...args: never[]) => unknown;

/** Gives a class a method that the types of the installed release know otherwise, or not at all. */
function define(target: object, name: string, method: Method): void {
  Object.defineProperty(target, name, { value: method, writable: true, configurable: true });
}
function call(target: object, name: string, ...args: unknown[]): unknown {
  return Reflect.apply(Reflect.get(target, name), target, args);
}

describe("The in-memory worker of the next release", () => {
  interface Task {
    readonly instanceId: string;
    readonly executionId: string;
    readonly name: string;
    readonly taskId: number;
    readonly input: string;
  }

  class NextBackend extends InMemoryOrchestrationBackend {}
  define(
    NextBackend.prototype,
    "completeActivity",
    function (id: string, _executionId: string, taskId: number, result?: string, error?: Error) {
      InMemoryOrchestrationBackend.prototype.completeActivity.call(
        this as InMemoryOrchestrationBackend,
        id,
        taskId,
        result,
        error,
      );
    },
  );
  define(NextBackend.prototype, "getNextActivityWorkItem", function () {
    const task = InMemoryOrchestrationBackend.prototype.getNextActivityWorkItem.call(
      this as InMemoryOrchestrationBackend,
    );
    return task && { ...task, executionId: "of the work item", version: "3.1", tags: { tenant: "acme" } };
  });

  class NextWorker extends TestOrchestrationWorker {}
  define(
    NextWorker.prototype,
    "processActivity",
    async function ({ instanceId, executionId, name, taskId, input }: Task) {
      const backend: unknown = Reflect.get(this, "backend");
      const complete = (...rest: unknown[]): unknown =>
        call(backend as object, "completeActivity", instanceId, executionId, taskId, ...rest);
      try {
        complete(await new ActivityExecutor(Reflect.get(this, "registry")).execute(instanceId, name, taskId, input));
      } catch (error) {
        complete(undefined, error instanceof Error ? error : new Error(String(error)));
      }
    },
  );

  function hub(): { observer: Observer; run: (activity: () => unknown) => Promise<string | undefined> } {
    const backend = new NextBackend();
    const { client } = inMemoryHub({}, backend);
    const observer = new Observer();
    const worker = withDurableTelemetry(new NextWorker(backend), { ...customOnly, use: [observer] });
    return {
      observer,
      async run(activity) {
        worker.addNamedActivity("work", activity);
        worker.addNamedOrchestrator("works", async function* (ctx: OrchestrationContext): Steps {
          return yield ctx.callActivity("work", 1);
        });
        await worker.start();
        const state = await client.waitForOrchestrationCompletion(
          await client.scheduleNewOrchestration("works"),
          true,
          10,
        );
        await worker.stop();
        return state?.serializedOutput;
      },
    };
  }

  it.each<[string, () => unknown, unknown]>([
    ["returns a value", () => ({ total: 7 }), { total: 7 }],
    ["returns nothing", () => undefined, undefined],
    ["returns a string that reads like an error", () => "Error: no", "Error: no"],
    [
      "returns the JSON of a failure",
      () => ({ name: "Error", message: "no", stack: "Error: no" }),
      { name: "Error", message: "no", stack: "Error: no" },
    ],
  ])("I4 an activity that %s has completed", async (_, activity, result) => {
    const { observer, run } = hub();
    expect(await run(activity)).toBe(result === undefined ? undefined : JSON.stringify(result));
    expect(observer.outcomes).toEqual([{ status: "waiting" }, { status: "completed" }, { status: "completed" }]);
  });

  it.each<[string, unknown, object]>([
    ["an error", new RangeError("no"), { type: "RangeError", message: "no" }],
    ["an error without a message", new Error(), { type: "Error", message: "" }],
    ["a string", "no", { type: "Error", message: "no" }],
  ])("I4 an activity that throws %s has failed", async (_, thrown, failure) => {
    const { observer, run } = hub();
    await run(() => {
      throw thrown;
    });
    expect(observer.outcomes).toMatchObject([
      { status: "waiting" },
      { status: "failed", failure },
      { status: "failed" },
    ]);
  });

  it("X2 what the work item has besides reaches the activity's context: execution ID, version and tags", async () => {
    const { observer, run } = hub();
    await run(() => 1);
    const [ctx] = observer.activities;
    expect(ctx).toMatchObject({ executionId: "of the work item", version: "3.1" });
    expect(ctx?.tags).toEqual({ tenant: "acme" });
    expect(Object.isFrozen(ctx?.tags)).toBe(true);
  });
});

describe("The gRPC worker of the next release", () => {
  type Callback = (error: unknown, response?: unknown) => void;
  type Send = (response: unknown, metadata: unknown, callback: Callback) => void;
  const transient = new Set([2, 4, 13, 14]);

  /** Sends a response up to ten times, without the delays. */
  const retrying = (send: Send): Send => {
    const attempt = (left: number, response: unknown, metadata: unknown, callback: Callback): void =>
      send(response, metadata, (error, ...rest) => {
        const code: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined;
        if (left > 1 && typeof code === "number" && transient.has(code))
          attempt(left - 1, response, metadata, callback);
        else callback(error, ...rest);
      });
    return (...args) => attempt(10, ...args);
  };

  class NextWorker extends TaskHubGrpcWorker {}
  for (const [method, completion] of [
    ["_executeOrchestratorInternal", "completeOrchestratorTask"],
    ["_executeActivityInternal", "completeActivityTask"],
  ] as const) {
    const original: (...args: unknown[]) => Promise<void> = Reflect.get(TaskHubGrpcWorker.prototype, method);
    define(
      NextWorker.prototype,
      method,
      async function (request: pb.OrchestratorRequest, token: string, stub: object, signal: AbortSignal) {
        signal.throwIfAborted();
        if (request instanceof pb.OrchestratorRequest && request.getRequireshistorystreaming()) {
          request.setPasteventsList(
            (await call(this, "_streamOrchestrationHistory", request, stub, signal)) as pb.HistoryEvent[],
          );
        }
        const send = Reflect.get(stub, completion).bind(stub) as Send;
        await original.call(this, request, token, { [completion]: retrying(send) });
      },
    );
  }

  /** A backend that answers each response with the next of `answers`. */
  class Stub {
    readonly sent: pb.OrchestratorResponse[] = [];
    readonly #answers: unknown[];
    constructor(...answers: unknown[]) {
      this.#answers = answers;
    }
    completeOrchestratorTask(response: pb.OrchestratorResponse, _metadata: unknown, callback: Callback): void {
      this.sent.push(response);
      callback(this.#answers.shift() ?? null);
    }
    completeActivityTask(response: pb.OrchestratorResponse, metadata: unknown, callback: Callback): void {
      this.completeOrchestratorTask(response, metadata, callback);
    }
  }

  const unavailable = { code: 14 };
  async function run(stub: Stub, events = startEvents({ name: "plain" })): Promise<Observer> {
    const observer = new Observer();
    const worker = withDurableTelemetry(new NextWorker({ logger: new NoOpLogger() }), {
      ...customOnly,
      use: [observer],
    });
    worker.addNamedOrchestrator("plain", () => 42);
    await call(
      worker,
      "_executeOrchestratorInternal",
      orchestratorRequest(events),
      "token",
      stub,
      new AbortController().signal,
    );
    await setImmediate();
    return observer;
  }

  it("I4 a signal after the stub is not taken for the stub: the response is seen, and arrives", async () => {
    const stub = new Stub();
    const { outcomes, acknowledged } = await run(stub);
    expect(outcomes).toEqual([{ status: "completed" }]);
    expect(acknowledged).toEqual(["accepted"]);
    expect(stub.sent.map(resultIn)).toEqual([42]);
  });

  it.each<[string, unknown[], number, Acknowledgement]>([
    ["taken at the third attempt", [unavailable, unavailable, null], 3, "accepted"],
    ["refused at the second attempt", [unavailable, { code: 5 }], 2, "rejected"],
    ["lost at each of ten attempts", Array.from({ length: 10 }, () => unavailable), 10, "unconfirmed"],
  ])("I4 a response that is %s is seen once, and acknowledged once", async (_, answers, attempts, delivery) => {
    const stub = new Stub(...answers);
    const { outcomes, acknowledged } = await run(stub);
    expect(stub.sent).toHaveLength(attempts);
    expect(outcomes).toHaveLength(1);
    expect(acknowledged).toEqual([delivery]);
  });

  it("I4 an activity's response is acknowledged once too", async () => {
    const observer = new Observer();
    const worker = withDurableTelemetry(new NextWorker({ logger: new NoOpLogger() }), {
      ...customOnly,
      use: [observer],
    });
    worker.addNamedActivity("work", () => 1);
    const request = new pb.ActivityRequest()
      .setName("work")
      .setTaskid(1)
      .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("i"));
    await call(
      worker,
      "_executeActivityInternal",
      request,
      "token",
      new Stub(unavailable),
      new AbortController().signal,
    );
    expect(observer.acknowledged).toEqual(["accepted"]);
  });

  describe("a history that comes as a stream", () => {
    const past = [
      ...startEvents({ name: "plain" }),
      at(new pb.HistoryEvent().setOrchestratorcompleted(new pb.OrchestratorCompletedEvent()), new Date(0)),
    ];
    const request = (): pb.OrchestratorRequest =>
      orchestratorRequest([
        at(new pb.HistoryEvent().setOrchestratorstarted(new pb.OrchestratorStartedEvent()), new Date(0)),
      ]).setRequireshistorystreaming(true);

    async function stream(
      history: Method | undefined,
    ): Promise<{ observer: Observer; stub: Stub; warnings: string[] }> {
      class Streaming extends NextWorker {}
      if (history !== undefined) define(Streaming.prototype, "_streamOrchestrationHistory", history);
      const warnings: string[] = [];
      const logger = Object.assign(new NoOpLogger(), { warn: (message: string) => void warnings.push(message) });
      const observer = new Observer();
      const worker = withDurableTelemetry(new Streaming({ logger }), { ...customOnly, use: [observer] });
      worker.addNamedOrchestrator("plain", () => 42);
      const stub = new Stub();
      const running = call(
        worker,
        "_executeOrchestratorInternal",
        request(),
        "token",
        stub,
        new AbortController().signal,
      );
      await Promise.resolve(running).catch(() => undefined);
      return { observer, stub, warnings };
    }

    it("X1 is fetched once, before middleware runs", async () => {
      const fetched: unknown[][] = [];
      const { observer, stub } = await stream(async (...args: never[]) => (fetched.push(args), past));
      expect(fetched).toMatchObject([[{}, stub, {}]]);
      expect(fetched[0]?.[2]).toBeInstanceOf(AbortSignal);
      expect(observer.outcomes).toEqual([{ status: "completed" }]);
      expect(stub.sent.map(resultIn)).toEqual([42]);
    });

    it("D3 is left to the worker where it can't be fetched", async () => {
      let calls = 0;
      const { observer, stub } = await stream(async () => {
        calls += 1;
        throw new Error("the stream broke");
      });
      expect(calls).toBe(2);
      expect(observer.outcomes).toEqual([]);
      expect(stub.sent).toEqual([]);
    });

    it("K2 is reported where the worker has no method for it: no middleware runs", async () => {
      const { observer, warnings } = await stream(undefined);
      expect(observer.outcomes).toEqual([]);
      expect(warnings).toEqual([
        expect.stringMatching(
          /no _streamOrchestrationHistory: no middleware runs around an orchestration whose history comes as a stream/,
        ),
      ]);
    });
  });

  it("R3 all arguments of a look-up reach the registry, such as the version of a task", async () => {
    const bare = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
    const seen: unknown[][] = [];
    const registry: object = Reflect.get(bare, "_registry");
    define(registry, "getOrchestrator", (...args: never[]) => void seen.push(args));
    define(registry, "getActivity", (...args: never[]) => void seen.push(args));
    const decorated = withDurableTelemetry(bare, { ...customOnly, use: [new Observer()] });
    call(Reflect.get(decorated, "_registry"), "getOrchestrator", "flow", "v2");
    call(Reflect.get(decorated, "_registry"), "getActivity", "work", "v1");
    expect(seen).toEqual([
      ["flow", "v2"],
      ["work", "v1"],
    ]);
  });
});
