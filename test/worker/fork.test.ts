import { setImmediate } from "node:timers/promises";
import { NoOpLogger } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { ActivityExecutor } from "@microsoft/durabletask-js/dist/worker/activity-executor.js";
import { OrchestrationExecutor } from "@microsoft/durabletask-js/dist/worker/orchestration-executor.js";
import { Registry } from "@microsoft/durabletask-js/dist/worker/registry.js";
import {
  newCompleteOrchestrationAction,
  newFailureDetails,
} from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { describe, expect, it } from "vitest";
import type { ActivityMiddleware, OrchestrationMiddleware } from "../../src/index.ts";
import type { Acknowledgement, MiddlewareObject } from "../../src/pipeline/index.ts";
import { attach, pipelineFor } from "../../src/worker/attach.ts";
import { grpcWorkerAdapter } from "../../src/worker/grpc-worker.ts";
import { orchestratorRequest, resultIn, startEvents, text } from "./requests.ts";

type Done = (error: unknown) => void;

/** A stub as gRPC makes it: its methods rely on their `this`. */
class Stub {
  readonly sent: (pb.OrchestratorResponse | pb.ActivityResponse)[] = [];
  refusal: unknown = null;
  completeOrchestratorTask(response: pb.OrchestratorResponse, done: Done): void {
    this.sent.push(response);
    done(this.refusal);
  }
  completeActivityTask(response: pb.ActivityResponse, done: Done): void {
    this.sent.push(response);
    done(this.refusal);
  }
}

/** A worker with the members of another fork of the SDK: no completion tokens, no parameter for them. */
class ForkedWorker {
  readonly _registry = new Registry();
  readonly stubs: Stub[] = [];
  readonly _logger = new NoOpLogger();
  #running = false;
  get running(): boolean {
    return this.#running;
  }
  async start(): Promise<void> {
    this.#running = true;
  }
  async stop(): Promise<void> {
    this.#running = false;
  }
  async _executeOrchestrator(request: pb.OrchestratorRequest, stub: Stub): Promise<void> {
    this.stubs.push(stub);
    const response = new pb.OrchestratorResponse().setInstanceid(request.getInstanceid());
    const executor = new OrchestrationExecutor(this._registry, this._logger);
    const { actions } = await executor.execute(
      request.getInstanceid(),
      request.getPasteventsList(),
      request.getNeweventsList(),
    );
    response.setActionsList(actions);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    stub.completeOrchestratorTask(response, resolve);
    await promise;
  }
  async _executeActivity(request: pb.ActivityRequest, stub: Stub): Promise<void> {
    this.stubs.push(stub);
    const instanceId = request.getOrchestrationinstance()?.getInstanceid() ?? "";
    const response = new pb.ActivityResponse().setInstanceid(instanceId).setTaskid(request.getTaskid());
    try {
      const executor = new ActivityExecutor(this._registry, this._logger);
      const result = await executor.execute(
        instanceId,
        request.getName(),
        request.getTaskid(),
        request.getInput()?.getValue() ?? "",
      );
      response.setResult(text(result ?? ""));
    } catch (error) {
      response.setFailuredetails(newFailureDetails(error));
    }
    const { promise, resolve } = Promise.withResolvers<unknown>();
    stub.completeActivityTask(response, resolve);
    await promise;
  }
}

const forkedWorker = grpcWorkerAdapter({
  kind: "ForkedWorker",
  orchestrator: "_executeOrchestrator",
  activity: "_executeActivity",
  registry: "_registry",
  isRunning: "running",
  logger: "_logger",
});

const activityRequest = (name: string, rawInput: string): pb.ActivityRequest =>
  new pb.ActivityRequest()
    .setName(name)
    .setTaskid(3)
    .setInput(text(rawInput))
    .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("instance"));

function decorated(...middlewares: unknown[]): ForkedWorker {
  const worker = new ForkedWorker();
  const pipeline = pipelineFor(worker, forkedWorker);
  pipeline.addAll(middlewares);
  attach(worker, forkedWorker, pipeline);
  return worker;
}

describe("A worker of another fork of the SDK", () => {
  it("R1 needs one adapter, which names its members: the pipeline runs around its orchestrations and activities", async () => {
    const log: string[] = [];
    const orchestration: OrchestrationMiddleware = async (ctx, next) => {
      log.push(`${ctx.name} of ${ctx.instanceId} in`);
      await next(ctx);
      log.push(`${ctx.name} out: ${String(ctx.result)}`);
    };
    const activity: ActivityMiddleware = async (ctx, next) => {
      log.push(`${ctx.name} ${ctx.taskId} in`);
      await next(ctx);
      ctx.setResult(`${String(ctx.result)}!`);
    };
    const worker = decorated({ name: "log", orchestration, activity });
    worker._registry.addNamedOrchestrator("plain", (_: unknown, input: unknown) => input);
    worker._registry.addNamedActivity("greet", (_: unknown, name: unknown) => `Hello ${String(name)}`);
    const stub = new Stub();
    await worker._executeOrchestrator(orchestratorRequest(startEvents({ name: "plain", rawInput: "7" })), stub);
    await worker._executeActivity(activityRequest("greet", '"you"'), stub);
    expect(log).toEqual(["plain of instance in", "plain out: 7", "greet 3 in"]);
    const [orchestrated, greeted] = stub.sent;
    expect(orchestrated instanceof pb.OrchestratorResponse && resultIn(orchestrated)).toBe(7);
    expect(greeted instanceof pb.ActivityResponse && greeted.getResult()?.getValue()).toBe('"Hello you!"');
  });

  it("R8 without middleware hands on the very stub", async () => {
    const worker = decorated();
    worker._registry.addNamedOrchestrator("plain", () => 1);
    worker._registry.addNamedActivity("nothing", () => undefined);
    const stub = new Stub();
    await worker._executeOrchestrator(orchestratorRequest(startEvents({ name: "plain" })), stub);
    await worker._executeActivity(activityRequest("nothing", "1"), stub);
    expect(worker.stubs).toEqual([stub, stub]);
    expect(worker.stubs.every((each) => each === stub)).toBe(true);
  });

  it("R4 tells by the named member whether it runs", async () => {
    const worker = new ForkedWorker();
    const pipeline = pipelineFor(worker, forkedWorker);
    attach(worker, forkedWorker, pipeline);
    await worker.start();
    expect(() => pipeline.addAll([])).toThrow("Cannot add middleware while the worker is running.");
    await worker.stop();
    expect(() => pipeline.addAll([])).not.toThrow();
  });

  it("R1 names what the worker lacks by its own names", () => {
    expect(forkedWorker.recognizes({ _registry: {} })).toBe(true);
    expect(forkedWorker.recognizes({})).toBe(false);
    expect(forkedWorker.missing({ _registry: { getActivity: () => undefined } })).toEqual([
      "_executeOrchestrator",
      "_executeActivity",
      "start",
      "stop",
      "_registry.getOrchestrator",
    ]);
    expect(forkedWorker.missing(new ForkedWorker())).toEqual([]);
  });

  it.each<[string, unknown, Acknowledgement]>([
    ["taken", null, "accepted"],
    ["refused with NOT_FOUND", { code: 5 }, "rejected"],
    ["refused with FAILED_PRECONDITION", { code: 9 }, "rejected"],
    ["lost with UNAVAILABLE", { code: 14 }, "unconfirmed"],
    ["lost with DEADLINE_EXCEEDED", { code: 4 }, "unconfirmed"],
    ["lost with something without a code", new Error("socket"), "unconfirmed"],
  ])("W3 W4 tells hooks once what the response is, and what became of it: %s", async (_, refusal, delivery) => {
    const received: unknown[] = [];
    const observer: MiddlewareObject = {
      name: "observer",
      workItem: () => ({
        onResponse: ({ outcome }) => void received.push(outcome),
        onAcknowledged: (acknowledgement) => void received.push(acknowledgement),
      }),
    };
    const worker = decorated(observer);
    worker._registry.addNamedOrchestrator("plain", () => 1);
    worker._registry.addNamedActivity("refuse", () => {
      throw new RangeError("no");
    });
    const stub = new Stub();
    stub.refusal = refusal;
    await worker._executeOrchestrator(orchestratorRequest(startEvents({ name: "plain" })), stub);
    await setImmediate();
    await worker._executeActivity(activityRequest("refuse", "1"), stub);
    // That there are no more attempts shows when the worker is done.
    await setImmediate();
    expect(received).toMatchObject([
      { status: "completed" },
      delivery,
      { status: "failed", failure: { type: "RangeError", message: "no" } },
      delivery,
    ]);
  });

  it("D3 leaves the response to an orchestration alone where only activities have middleware", async () => {
    const worker = decorated({
      name: "pass",
      activity: async (ctx: unknown, next: (ctx: unknown) => Promise<unknown>) => next(ctx),
    });
    worker._registry.addNamedOrchestrator("plain", () => 1);
    const stub = new Stub();
    await worker._executeOrchestrator(orchestratorRequest(startEvents({ name: "plain" })), stub);
    const [response] = stub.sent;
    const expected = new pb.OrchestratorResponse()
      .setInstanceid("instance")
      .setActionsList([newCompleteOrchestrationAction(1, pb.OrchestrationStatus.ORCHESTRATION_STATUS_COMPLETED, "1")]);
    expect(response?.toObject()).toEqual(expected.toObject());
  });
});
