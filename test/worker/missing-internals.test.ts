/** Optional non-public members of the SDK that are missing, and the numbers of the protocol. */
import { EventEmitter } from "node:events";
import {
  NoOpLogger,
  TaskHubGrpcWorker,
  TestOrchestrationWorker,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { withDurableTelemetry } from "../../src/index.ts";
import { eventType } from "../../src/worker/history.ts";
import { orchestrationStatus } from "../../src/worker/messages.ts";
import * as internals from "../../src/worker/sdk-internals.ts";
import type { Steps } from "../harness.ts";
import { customOnly } from "../custom-only.ts";
import { inMemoryHub, named, noting } from "../registration/in-memory.ts";
import { firstEpisode, orchestratorRequest, startEvents } from "./requests.ts";

/** `object` as if it did not have `names`. */
function without<T extends object>(object: T, ...names: string[]): T {
  return new Proxy(object, {
    has: (target, name) => !names.includes(String(name)) && Reflect.has(target, name),
    get: (target, name) => {
      if (names.includes(String(name))) return undefined;
      // The SDK's own code works on the whole object.
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function loggedWorker(): { worker: TaskHubGrpcWorker; warnings: string[] } {
  const warnings: string[] = [];
  const logger = Object.assign(new NoOpLogger(), { warn: (message: string) => void warnings.push(message) });
  return { worker: new TaskHubGrpcWorker({ logger }), warnings };
}

function call(target: object, name: string, ...args: unknown[]): unknown {
  return Reflect.apply(Reflect.get(target, name), target, args);
}

describe("An optional member of the SDK that is missing", () => {
  it("K2 the SDK that is installed lacks none: nothing is logged", async () => {
    const { worker, warnings } = loggedWorker();
    const decorated = withDurableTelemetry(worker, { use: [named("a")] });
    decorated.addNamedOrchestrator("plain", () => 1);
    await firstEpisode(decorated, { name: "plain" });
    expect(warnings).toEqual([]);
  });

  it.each([
    [
      "internalRunWorker",
      /TaskHubGrpcWorker has no internalRunWorker: gRPC instrumentation records spans of the worker's own calls\./,
    ],
    [
      "_isRunning",
      /TaskHubGrpcWorker has no _isRunning: middleware that is added while the worker runs is not refused\./,
    ],
  ])("K2 a worker without %s is decorated, and one warning says what is lost", (name, message) => {
    const { worker, warnings } = loggedWorker();
    withDurableTelemetry(without(worker, name), customOnly);
    expect(warnings).toEqual([expect.stringMatching(message)]);
  });

  it("K2 of several members, one warning lists all", () => {
    const { worker, warnings } = loggedWorker();
    withDurableTelemetry(without(worker, "internalRunWorker", "_isRunning"), customOnly);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/has no _isRunning: .*; no internalRunWorker: /);
  });

  it("K2 without the worker's logger the warning goes to the console", () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    onTestFinished(() => void vi.restoreAllMocks());
    withDurableTelemetry(without(loggedWorker().worker, "_logger"), customOnly);
    expect(warn.mock.calls).toEqual([
      [expect.stringMatching(/TaskHubGrpcWorker has no _logger: middleware and warnings log to the console\./)],
    ]);
  });

  it.each([
    [
      "_pendingTasks",
      /The context of an orchestration has no _pendingTasks: the number of the attempt is missing from retried tasks\./,
    ],
    [
      "_customStatus",
      /The context of an orchestration has no _customStatus: changes of the custom status are not recorded\./,
    ],
  ])(
    "K2 without %s of the orchestration's context the work goes on, and is warned of once for the worker",
    async (name, message) => {
      const { worker, warnings } = loggedWorker();
      const decorated = withDurableTelemetry(worker, {
        use: [
          named("a"),
          noting("b", []),
          {
            name: "reads",
            workItem: () => ({ onResponse: (response) => void ("scheduled" in response && response.scheduled) }),
          },
        ],
      });
      decorated.addNamedOrchestrator("calls", async function* (ctx: OrchestrationContext): Steps {
        ctx.setCustomStatus("halfway");
        return yield ctx.callActivity("work");
      });
      // What the SDK hands to an orchestrator.
      const registry: object = Reflect.get(worker, "_registry");
      const find: (...args: unknown[]) => ((ctx: object, input: unknown) => unknown) | undefined = Reflect.get(
        registry,
        "getOrchestrator",
      );
      Object.defineProperty(registry, "getOrchestrator", {
        value: (...args: unknown[]) => {
          const run = find(...args);
          return run && ((ctx: object, input: unknown) => run(without(ctx, name), input));
        },
      });
      for (const instanceId of ["a", "b"]) {
        const response = await firstEpisode(decorated, { name: "calls", instanceId });
        expect(response.getActionsList().map((action) => action.getScheduletask()?.getName())).toEqual(["work"]);
      }
      expect(warnings).toEqual([expect.stringMatching(message)]);
    },
  );

  it("K2 without a stub among the arguments the work item runs unseen, and is warned of once", async () => {
    const { worker, warnings } = loggedWorker();
    const log: string[] = [];
    const decorated = withDurableTelemetry(worker, { ...customOnly, use: [noting("a", log)] });
    decorated.addNamedOrchestrator("plain", () => 1);
    for (let run = 0; run < 2; run += 1) {
      await call(
        decorated,
        "_executeOrchestratorInternal",
        orchestratorRequest(startEvents({ name: "plain" })),
        "token",
        {},
      );
    }
    expect(log).toEqual(["a: plain in", "a: plain out", "a: plain in", "a: plain out"]);
    expect(warnings).toEqual([
      expect.stringMatching(
        /no completeOrchestratorTask: telemetry does not see what an episode schedules, nor how it ends/,
      ),
    ]);
  });

  it("K2 without the client's stub the worker connects with the client as it is, and is warned of once", async () => {
    const { worker, warnings } = loggedWorker();
    const clients: unknown[] = [];
    Object.defineProperty(worker, "internalRunWorker", {
      value: async (client: unknown) => void clients.push(client),
      configurable: true,
    });
    const decorated = withDurableTelemetry(worker, { ...customOnly, use: [named("a")] });
    const client = new EventEmitter();
    await call(decorated, "internalRunWorker", client);
    await call(decorated, "internalRunWorker", client);
    expect(clients).toEqual([client, client]);
    expect(warnings).toEqual([
      expect.stringMatching(/The gRPC client of the worker has no stub: gRPC instrumentation records spans/),
    ]);
  });

  it.each<[string, (backend: object) => object]>([
    ["without getInstance", (backend) => without(backend, "getInstance")],
    [
      "with a getInstance that is no method",
      (backend) => Object.defineProperty(backend, "getInstance", { value: undefined }),
    ],
  ])("X3 %s of the in-memory backend activities have no execution ID, and it is warned of once", async (_, change) => {
    const seen: unknown[] = [];
    const { backend, client } = inMemoryHub();
    const warn = vi.mocked(console.warn);
    warn.mockClear();
    const worker = withDurableTelemetry(new TestOrchestrationWorker(change(backend) as typeof backend), {
      ...customOnly,
      use: [{ name: "look", activity: async (ctx, next) => (seen.push(ctx.executionId), void (await next(ctx))) }],
    });
    onTestFinished(() => worker.stop());
    worker.addNamedActivity("work", () => 1);
    worker.addNamedOrchestrator("works", async function* (ctx: OrchestrationContext): Steps {
      yield ctx.callActivity("work");
      return yield ctx.callActivity("work");
    });
    await worker.start();
    const state = await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("works"), true, 10);
    expect(state?.serializedOutput).toBe("1");
    expect(seen).toEqual([undefined, undefined]);
    expect(
      warn.mock.calls.filter(([message]) => /no getInstance: activities have no execution ID/.test(String(message))),
    ).toHaveLength(1);
  });
});

describe("The table of the SDK's non-public members", () => {
  it("R1 has each member once in its class, with what it is for and since when; what is optional says what is lost", () => {
    const tables = Object.entries(internals).filter(([name]) => name.endsWith("Internals") && name !== "lostInternals");
    expect(tables.length).toBeGreaterThan(5);
    for (const [, table] of tables) {
      const members = Object.values(table as Record<string, internals.SdkInternal>);
      expect(new Set(members.map(({ name }) => name)).size).toBe(members.length);
      for (const { use, since, lost } of members) {
        expect(use).toMatch(/\S/);
        expect(since).toMatch(/^0\.\d+\.\d+$|^the next release$|^@dapr\/dapr 3\.18$/);
        expect(lost).not.toBe("");
      }
    }
  });
});

describe("The numbers of the protocol", () => {
  it("D3 are those of the SDK's messages", () => {
    const events = Object.fromEntries(Object.entries(eventType).map(([name, number]) => [name.toUpperCase(), number]));
    expect(pb.HistoryEvent.EventtypeCase).toMatchObject(events);
    const { continuedAsNew, failed, canceled, terminated } = orchestrationStatus;
    expect(pb.OrchestrationStatus).toMatchObject({
      ORCHESTRATION_STATUS_CONTINUED_AS_NEW: continuedAsNew,
      ORCHESTRATION_STATUS_FAILED: failed,
      ORCHESTRATION_STATUS_CANCELED: canceled,
      ORCHESTRATION_STATUS_TERMINATED: terminated,
    });
  });
});
