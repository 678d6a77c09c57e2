import { setTimeout as sleep } from "node:timers/promises";
import { WorkflowRuntime } from "@dapr/dapr";
import pb from "@dapr/dapr/workflow/internal/durabletask/proto/orchestrator_service_pb.js";
import { describe, expect, it, vi } from "vitest";
import {
  createMiddlewareFeature,
  currentFeatures,
  withDurableTelemetry,
  type ActivityMiddlewareContext,
  type DurableTelemetryOptions,
  type OrchestrationMiddlewareContext,
} from "../../src/index.ts";
import { createTelemetryRecorder } from "../../src/testing/recorder/index.ts";
import { adapterFor } from "../../src/worker/attach.ts";
import { daprDurableTaskSdk, daprSdk } from "../../src/worker/sdk-version.ts";
import { customOnly } from "../custom-only.ts";
import {
  quietClient,
  quietRuntime,
  run,
  startDaprHub,
  useDapr,
  type Dapr,
  type Steps,
  type WorkflowActivityContext,
  type WorkflowContext,
} from "./fixture.ts";
import type { DaprHub } from "./hub.ts";

const log = (["info", "warn", "error"] as const).map((level) =>
  vi.spyOn(console, level).mockImplementation(() => undefined),
);
const warnings = (): string[] => (log[1]?.mock.calls ?? []).map(([line]) => String(line));

describe("A runtime of Dapr Workflow", () => {
  // Each test has a hub of its own, as each has other workflows.
  const start = async (): Promise<readonly [DaprHub, Dapr]> => {
    const hub = await startDaprHub();
    return [hub, useDapr(hub)];
  };

  it("R1 X1 X2 X3 runs middleware around workflows and activities, whose contexts have what Dapr sends", async () => {
    const [hub, dapr] = await start();
    const seen: unknown[] = [];
    const read = ({
      kind,
      name,
      instanceId,
      executionId,
      version,
      tags,
      input,
      rawInput,
    }: OrchestrationMiddlewareContext | ActivityMiddlewareContext): object => ({
      kind,
      name,
      instanceId,
      executionId,
      version,
      tags,
      input,
      rawInput,
    });
    const decorated = await dapr.runtime(
      (runtime) => {
        runtime.registerActivityWithName("double", (_: WorkflowActivityContext, n: number) => n * 2);
        runtime.registerWorkflowWithName("contexts", async function* (ctx: WorkflowContext, n: number): Steps {
          return yield ctx.callActivity("double", n);
        });
      },
      {
        ...customOnly,
        use: [
          {
            name: "reader",
            orchestration: async (ctx, next) => {
              if (!ctx.isReplaying) seen.push({ ...read(ctx), parent: ctx.parent });
              await next(ctx);
              seen.push(ctx.result);
            },
            activity: async (ctx, next) => {
              seen.push({ ...read(ctx), taskId: ctx.taskId });
              await next(ctx);
              ctx.setResult(Number(ctx.result) + 1);
            },
          },
        ],
      },
    );
    expect(decorated.middlewares).toEqual(["reader"]);
    const { result } = await run(hub, dapr.bareClient, "contexts", 3, "contexts-1");
    expect(result).toBe("7");
    const common = { instanceId: "contexts-1", version: undefined, tags: {}, input: 3, rawInput: "3" };
    expect(seen).toEqual([
      {
        kind: "orchestration",
        name: "contexts",
        executionId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        parent: undefined,
        ...common,
      },
      { kind: "activity", name: "double", executionId: undefined, taskId: 1, ...common },
      7,
    ]);
    expect(() => decorated.use({ name: "late", activity: async (ctx, next) => void (await next(ctx)) })).toThrow(
      "Cannot add middleware while the worker is running.",
    );
  });

  it("F1 O3 D2 shares features, runs generator middleware that schedules, and fails on an await that is not durable", async () => {
    const [hub, dapr] = await start();
    const Tenant = createMiddlewareFeature<string>("tenant");
    const tenants: unknown[] = [];
    await dapr.runtime(
      (runtime) => {
        runtime.registerActivityWithName("tenantOf", () => {
          tenants.push(currentFeatures()?.get(Tenant));
          return "acme";
        });
        runtime.registerWorkflowWithName("durable", async function* (ctx: WorkflowContext): Steps {
          return [tenants.length > 0, yield ctx.callActivity("tenantOf")];
        });
        runtime.registerWorkflowWithName("awaits", async function* (ctx: WorkflowContext): Steps {
          await sleep(1);
          return yield ctx.callActivity("tenantOf");
        });
      },
      {
        ...customOnly,
        awaitGuard: { orchestrator: "fail" },
        use: [
          {
            name: "prologue",
            orchestration: async function* (ctx, next) {
              yield ctx.orchestrationContext.callActivity("tenantOf");
              yield* next(ctx);
            },
            activity: async (ctx, next) => {
              ctx.features.set(Tenant, ctx.name);
              await next(ctx);
            },
          },
        ],
      },
    );
    expect((await run(hub, dapr.bareClient, "durable")).result).toBe('[true,"acme"]');
    expect(tenants).toEqual(["tenantOf", "tenantOf"]);
    const { failure } = await run(hub, dapr.bareClient, "awaits");
    expect(failure?.type).toBe("NonDurableAwaitError");
  });

  it("L1 C1 records metrics, logs and hits of the activity cache", async () => {
    const [hub, dapr] = await start();
    await using recorder = createTelemetryRecorder();
    let calls = 0;
    await dapr.runtime(
      (runtime) => {
        runtime.registerActivityWithName("quote", async () => (calls += 1));
        runtime.registerWorkflowWithName("quotes", async function* (ctx: WorkflowContext): Steps {
          return [yield ctx.callActivity("quote", 1), yield ctx.callActivity("quote", 1)];
        });
      },
      { caching: { activities: { quote: { ttl: "1m" } } } as DurableTelemetryOptions["caching"] },
    );
    expect((await run(hub, dapr.client, "quotes")).result).toBe("[1,1]");
    expect(calls).toBe(1);
    await recorder.waitForTrace("orchestration:quotes");
    await recorder.waitForMetric("durabletask.orchestration.duration");
    const finished = await recorder.waitForLog("durabletask.orchestration.finished");
    expect(finished.attributes).toMatchObject({
      "durabletask.task.name": "quotes",
      "durabletask.task.status": "Completed",
    });
    expect(recorder.logs("durabletask.activity.cache_hit")).toHaveLength(1);
  });

  it("D3 a workflow that events reach after its end, in its last episode, has its result with middleware around it", async () => {
    const runtime = withDurableTelemetry(quietRuntime({ port: 1 }), {
      ...customOnly,
      use: [async (ctx, next) => void (await next(ctx))],
    });
    runtime.registerWorkflowWithName("first", async function* (ctx: WorkflowContext): Steps {
      yield ctx.whenAny([1, 2].map(() => ctx.callActivity("one")));
      return "first";
    });
    const event = (id = -1): pb.HistoryEvent => new pb.HistoryEvent().setEventid(id);
    const tasks = [1, 2];
    const past = [
      event().setOrchestratorstarted(new pb.OrchestratorStartedEvent()),
      event().setExecutionstarted(new pb.ExecutionStartedEvent().setName("first")),
      ...tasks.map((id) => event(id).setTaskscheduled(new pb.TaskScheduledEvent().setName("one"))),
    ];
    const fresh = [
      event().setOrchestratorstarted(new pb.OrchestratorStartedEvent()),
      ...tasks.map((id) => event().setTaskcompleted(new pb.TaskCompletedEvent().setTaskscheduledid(id))),
    ];
    const request = new pb.OrchestratorRequest().setInstanceid("first").setPasteventsList(past).setNeweventsList(fresh);
    const { promise, resolve } = Promise.withResolvers<pb.OrchestratorResponse>();
    const stub = {
      completeOrchestratorTask: (response: pb.OrchestratorResponse, done: (error: null) => void): void => {
        resolve(response);
        done(null);
      },
    };
    const { worker } = runtime as unknown as {
      worker: { _executeOrchestrator(request: pb.OrchestratorRequest, stub: object): Promise<void> };
    };
    await worker._executeOrchestrator(request, stub);
    const [action] = (await promise).getActionsList();
    expect(action?.getCompleteorchestration()?.getResult()?.getValue()).toBe('"first"');
  });

  it("R8 without middleware hands on the very client and stub, and its messages as they are", async () => {
    const [hub, dapr] = await start();
    await dapr.runtime((runtime) => {
      runtime.registerActivityWithName("one", () => 1);
      runtime.registerWorkflowWithName("idle", async function* (ctx: WorkflowContext): Steps {
        return yield ctx.callActivity("one");
      });
    }, customOnly);
    expect((await run(hub, dapr.bareClient, "idle")).result).toBe("1");
    expect(hub.received.filter(({ bytes }) => Buffer.from(bytes).includes("00-"))).toEqual([]);
  });

  it("R1 refuses a second decoration, options for a client, and versions that are out of range", async () => {
    const [hub] = await start();
    const runtime = withDurableTelemetry(quietRuntime(hub), customOnly);
    expect(() => withDurableTelemetry(runtime)).toThrow("this WorkflowRuntime has durable telemetry already");
    const client = withDurableTelemetry(quietClient(hub));
    expect(() => withDurableTelemetry(client)).toThrow("this client has durable telemetry already; call it once.");
    expect(() => withDurableTelemetry(quietClient(hub), { tracing: false })).toThrow(
      'a client takes no options, "tracing" neither',
    );
    const { worker } = quietRuntime(hub) as unknown as { worker: object };
    for (const [sdk, version, range] of [
      [daprSdk, "3.17.9", ">=3.18.0 <4"],
      [daprSdk, "4.0.0", ">=3.18.0 <4"],
      [daprDurableTaskSdk, "0.3.5", ">=1.0.0 <2"],
    ] as const) {
      expect(() => adapterFor(worker, () => ({ sdk, version }))).toThrow(
        `found ${sdk.name} ${version}, supported is ${range}`,
      );
    }
    expect(adapterFor(worker).kind).toBe("WorkflowRuntime");
    expect(warnings()).toEqual([]);
  });

  it("R1 names what a runtime lacks", () => {
    const runtime = new WorkflowRuntime({ daprHost: "127.0.0.1", daprPort: "1" });
    Object.assign((runtime as unknown as { worker: { _registry: object } }).worker, {
      _registry: {},
      _executeActivity: undefined,
    });
    expect(() => withDurableTelemetry(runtime)).toThrow(
      /this WorkflowRuntime lacks _executeActivity, _registry\.getOrchestrator, _registry\.getActivity, .* found @dapr\/dapr 3\.18\.0/,
    );
  });
});
