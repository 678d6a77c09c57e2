import {
  EntityInstanceId,
  NoOpLogger,
  OrchestrationStatus,
  TaskEntity,
  TaskHubGrpcWorker,
  TestOrchestrationWorker,
  InMemoryOrchestrationBackend,
  VersionFailureStrategy,
  VersionMatchStrategy,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { SpanKind } from "@opentelemetry/api";
import { beforeAll, describe, expect, it } from "vitest";
import { tracing } from "../../middlewares/index.ts";
import { withDurableTelemetry, type MiddlewareFunction } from "../../src/index.ts";
import { recordSpans, resultOf, startHub, wholeness, type Hub, type Steps } from "../harness.ts";
import { named, noOps, noting } from "../registration/in-memory.ts";
import {
  bareWorker,
  completionIn,
  firstEpisode,
  hostWorker,
  orchestratorRequest,
  resultIn,
  runEpisode,
  startEvents,
} from "./requests.ts";
import { customOnly } from "../custom-only.ts";

const pass = noting("pass", []);

describe("A worker with no middleware", () => {
  it("R8 hands the very functions that were registered to the executor", async () => {
    const handed: unknown[] = [];
    const orchestrator = (): void => {
      const registry: object = Reflect.get(worker, "_registry");
      for (const get of ["getOrchestrator", "getActivity"])
        handed.push(Reflect.apply(Reflect.get(registry, get), registry, ["task"]));
    };
    const activity = (): undefined => undefined;
    const worker = hostWorker();
    worker.addNamedOrchestrator("task", orchestrator);
    worker.addNamedActivity("task", activity);
    await firstEpisode(worker, { name: "task" });
    expect(handed).toEqual([orchestrator, activity]);
  });

  it("R8 leaves alone the tasks of the kind that has no middleware", async () => {
    const handed: unknown[] = [];
    const orchestrator = (): void => {
      const registry: object = Reflect.get(worker, "_registry");
      handed.push(Reflect.apply(Reflect.get(registry, "getOrchestrator"), registry, ["task"]));
    };
    const worker = hostWorker({ use: [named("activities only")] });
    worker.addNamedOrchestrator("task", orchestrator);
    await firstEpisode(worker, { name: "task" });
    expect(handed).toEqual([orchestrator]);
  });

  it("R8 returns the same bytes as a worker without this package, the SDK's own tracing included", async () => {
    const spans = recordSpans({ generator: false });
    const run = async (worker: TaskHubGrpcWorker): Promise<string> => {
      worker.addNamedOrchestrator("calls", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("any", { a: 1 });
      });
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      const response = await firstEpisode(worker, { name: "calls", rawInput: "1", traceparent, executionId: "e" });
      // The SDK's span IDs are random, and its clock goes on.
      response.getOrchestrationtracecontext()?.setSpanstarttime(undefined);
      return Buffer.from(response.serializeBinary())
        .toString("latin1")
        .replaceAll(/[0-9a-f]{16}/g, "<id>");
    };
    expect(await run(hostWorker())).toBe(await run(bareWorker()));
    expect(spans.finished.map(({ name }) => name)).toEqual(["orchestration:calls", "orchestration:calls"]);
  });

  it("R8 starts to run middleware with the first that is added", async () => {
    const log: string[] = [];
    const worker = hostWorker();
    worker.addNamedOrchestrator("plain", () => 1);
    await firstEpisode(worker, { name: "plain" });
    worker.use(noting("late", log));
    expect(resultIn(await firstEpisode(worker, { name: "plain" }))).toBe(1);
    expect(log).toEqual(["late: plain in", "late: plain out"]);
  });
});

describe("The host entry processOrchestratorRequest", () => {
  it("R2 runs the pipeline, and returns the bytes of the response", async () => {
    const log: string[] = [];
    const worker = hostWorker({ use: [noting("a", log), noting("b", log)] });
    worker.addNamedOrchestrator("plain", (_: OrchestrationContext, input: number) => input * 2);
    expect(resultIn(await firstEpisode(worker, { name: "plain", rawInput: "21" }))).toBe(42);
    expect(log).toEqual(["a: plain in", "b: plain in", "b: plain out", "a: plain out"]);
  });

  it("R2 runs it for many requests at once, each in its own work item", async () => {
    const seen = new Map<string, string[]>();
    const look: MiddlewareFunction = async (ctx, next) => {
      await Promise.resolve();
      seen.set(ctx.instanceId, [ctx.instanceId]);
      await next(ctx);
      seen.get(ctx.instanceId)?.push(ctx.instanceId);
    };
    const worker = hostWorker({ use: [look] });
    worker.addNamedOrchestrator("plain", async (ctx: OrchestrationContext) => {
      await Promise.resolve();
      return ctx.instanceId;
    });
    const ids = Array.from({ length: 50 }, (_, index) => `i${index}`);
    const results = await Promise.all(
      ids.map(async (instanceId) => resultIn(await firstEpisode(worker, { name: "plain", instanceId }))),
    );
    expect(results).toEqual(ids);
    expect([...seen.values()]).toEqual(ids.map((id) => [id, id]));
  });

  it.each<[string, pb.OrchestratorRequest]>([
    ["no events at all", new pb.OrchestratorRequest().setInstanceid("instance")],
    ["no start", orchestratorRequest(startEvents({ name: "plain" }).slice(0, 1))],
    ["no new events", orchestratorRequest([], startEvents({ name: "plain" }))],
    ["an orchestrator that is not registered", orchestratorRequest(startEvents({ name: "unknown" }))],
    ["a start without a name", orchestratorRequest(startEvents({ name: "" }))],
    ["an input that is not JSON", orchestratorRequest(startEvents({ name: "plain", rawInput: "{" }))],
  ])("D3 a request with %s gives what it gives without middleware", async (_, request) => {
    const run = async (worker: TaskHubGrpcWorker): Promise<unknown> => {
      worker.addNamedOrchestrator("plain", () => 1);
      const response = await runEpisode(worker, request);
      for (const action of response.getActionsList()) {
        action.getCompleteorchestration()?.getFailuredetails()?.setStacktrace(undefined);
      }
      return response.setOrchestrationtracecontext(undefined).toObject();
    };
    const bare = await run(bareWorker());
    expect(await run(hostWorker({ use: noOps }))).toEqual(bare);
    expect(await run(hostWorker({ tracing: true, use: noOps }))).toEqual(bare);
  });

  it("D3 a request without an instance ID is refused as without middleware", async () => {
    const request = orchestratorRequest(startEvents({ name: "plain" }), [], { instanceId: "" });
    for (const worker of [bareWorker(), hostWorker({ tracing: true, use: [pass] })]) {
      await expect(runEpisode(worker, request)).rejects.toThrow(
        "Could not execute the orchestrator as the instanceId was not provided",
      );
    }
  });

  it("D3 entities are none of the pipeline's business, and run as without it", async () => {
    class Counter extends TaskEntity<number> {
      add(amount: number): number {
        this.state += amount;
        return this.state;
      }
      protected override initializeState(): number {
        return 0;
      }
    }
    const request = new pb.EntityBatchRequest()
      .setInstanceid(new EntityInstanceId("counter", "one").toString())
      .setOperationsList([
        new pb.OperationRequest()
          .setOperation("add")
          .setRequestid("r")
          .setInput(startEvents({ name: "", rawInput: "3" })[1]?.getExecutionstarted()?.getInput()),
      ]);
    const run = async (worker: TaskHubGrpcWorker): Promise<unknown> => {
      worker.addNamedEntity("counter", () => new Counter());
      const result = pb.EntityBatchResult.deserializeBinary(
        await worker.processEntityBatchRequest(request.serializeBinary()),
      );
      return [
        result.getEntitystate()?.getValue(),
        result.getResultsList().map((each) => each.getSuccess()?.getResult()?.getValue()),
      ];
    };
    expect(await run(hostWorker({ use: noOps }))).toEqual(["3", ["3"]]);
    expect(await run(bareWorker())).toEqual(["3", ["3"]]);
  });
});

describe("Versioning under the pipeline", () => {
  const versioning = (failureStrategy: VersionFailureStrategy) => ({
    versioning: { version: "1.0.0", matchStrategy: VersionMatchStrategy.Strict, failureStrategy },
  });

  it("D3 the Fail strategy fails the orchestration, without running middleware or orchestrator", async () => {
    const log: string[] = [];
    const worker = hostWorker({ tracing: true, use: [noting("a", log)] }, versioning(VersionFailureStrategy.Fail));
    worker.addNamedOrchestrator("plain", () => log.push("body"));
    const complete = completionIn(await firstEpisode(worker, { name: "plain", version: "2.0.0" }));
    expect(complete.getOrchestrationstatus()).toBe(pb.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED);
    expect(complete.getFailuredetails()?.getErrortype()).toBe("VersionMismatch");
    expect(log).toEqual([]);
    expect(resultIn(await firstEpisode(worker, { name: "plain", version: "1.0.0" }))).toBe(2);
    expect(log).toEqual(["a: plain in", "body", "a: plain out"]);
  });

  it("D3 the Reject strategy abandons the work item, and the host entry says so as without middleware", async () => {
    const log: string[] = [];
    const worker = hostWorker({ tracing: true, use: [noting("a", log)] }, versioning(VersionFailureStrategy.Reject));
    worker.addNamedOrchestrator("plain", () => undefined);
    await expect(firstEpisode(worker, { name: "plain", version: "2.0.0" })).rejects.toThrow(
      /was abandoned because a version mismatch/,
    );
    expect(log).toEqual([]);
  });

  it("D3 over gRPC, a work item that one worker rejects is run by one with the right version", async () => {
    const hub = await versionHub;
    const ran: string[] = [];
    for (const version of ["1.0.0", "2.0.0"]) {
      const look: MiddlewareFunction = async (ctx, next) => {
        ran.push(version);
        await next(ctx);
      };
      await hub.worker({ use: [look] }, (worker) => void worker.addNamedOrchestrator("plain", () => version), {
        versioning: { ...versioning(VersionFailureStrategy.Reject).versioning, version },
      });
    }
    expect(resultOf(await hub.run("plain", undefined, { version: "2.0.0" }))).toBe("2.0.0");
    expect(resultOf(await hub.run("plain", undefined, { version: "1.0.0" }))).toBe("1.0.0");
    expect(ran).toEqual(["2.0.0", "1.0.0"]);
  });
});
let versionHub: Promise<Hub>;
let rootHub: Hub;
let rootHubUntraced: Hub;
beforeAll(async () => {
  versionHub = startHub();
  [rootHub, rootHubUntraced] = await Promise.all([startHub(), startHub()]);
  await versionHub;
});

describe("The kinds of worker", () => {
  class Tuned extends TaskHubGrpcWorker {
    readonly calls: string[] = [];
    // A subclass may have a build of its own, and is a worker all the same.
    build(): string {
      return `${this.calls.length} calls`;
    }
    override async processOrchestratorRequest(request: Uint8Array): Promise<Uint8Array> {
      this.calls.push("process");
      return super.processOrchestratorRequest(request);
    }
  }

  it("R1 a subclass is decorated as it is, with its own members", async () => {
    const log: string[] = [];
    const tuned = new Tuned({ logger: new NoOpLogger() });
    const worker = withDurableTelemetry(tuned, { ...customOnly, use: [noting("a", log)] });
    expect(worker).toBe(tuned);
    worker.addNamedOrchestrator("plain", () => 1);
    await firstEpisode(worker, { name: "plain" });
    expect([worker.build(), log.length]).toEqual(["1 calls", 2]);
    expect(worker.use(named("b"))).toBe(tuned);
  });

  it("R1 decorating does not touch the class: other workers of it stay bare", () => {
    const before = Object.getOwnPropertyDescriptors(TaskHubGrpcWorker.prototype);
    hostWorker();
    expect(Object.getOwnPropertyDescriptors(TaskHubGrpcWorker.prototype)).toEqual(before);
    expect("use" in bareWorker()).toBe(false);
    const memory = new TestOrchestrationWorker(new InMemoryOrchestrationBackend());
    withDurableTelemetry(memory);
    expect("use" in new TestOrchestrationWorker(new InMemoryOrchestrationBackend())).toBe(false);
  });

  it("R1 what is added to a worker shows up in no enumeration of its members", () => {
    expect(Object.keys(hostWorker({ use: [pass] }))).toEqual(Object.keys(bareWorker()));
  });
});

describe("A builder", () => {
  class Builder {
    #name = "unnamed";
    readonly built: TaskHubGrpcWorker[] = [];
    named(name: string): this {
      this.#name = name;
      return this;
    }
    build(orchestrator: string): TaskHubGrpcWorker {
      const worker = bareWorker();
      worker.addNamedOrchestrator(orchestrator, () => this.#name);
      this.built.push(worker);
      return worker;
    }
  }

  it("R1 is decorated in place, and what it builds is decorated, each worker with a list of its own", async () => {
    const log: string[] = [];
    const builder = new Builder();
    const decorated = withDurableTelemetry(builder, { ...customOnly, use: [noting("a", log)] });
    expect(decorated).toBe(builder);
    const first = decorated.named("first").build("plain");
    const second = decorated.build("plain");
    expect(builder.built).toEqual([first, second]);
    first.use(named("more"));
    expect([first.middlewares, second.middlewares]).toEqual([["a", "more"], ["a"]]);
    expect(resultIn(await firstEpisode(first, { name: "plain" }))).toBe("first");
    expect(log).toEqual(["a: plain in", "a: plain out"]);
  });

  it("R1 gets built-in middlewares of its own for each worker, by `middlewares` too", () => {
    const lists: unknown[][] = [];
    const builder = withDurableTelemetry(new Builder(), {
      middlewares: (defaults) => (lists.push([...defaults]), defaults),
    });
    builder.build("a");
    builder.build("b");
    const [first, second] = lists.slice(-2);
    expect(first?.[0]).not.toBe(second?.[0]);
  });

  it("R1 is decorated once", () => {
    const builder = withDurableTelemetry(new Builder());
    expect(() => withDurableTelemetry(builder)).toThrow(
      "withDurableTelemetry: this builder has durable telemetry already; call it once, and add middleware with worker.use(...).",
    );
    expect(builder.build("plain").middlewares).toEqual(["tracing", "metrics", "logging"]);
  });

  it.each<[string, object, RegExp]>([
    ["an unknown option", { trace: true }, /unknown option "trace"/],
    ["a middleware that is none", { use: [null] }, /option "use": A middleware must be a function or an object/],
    ["two middlewares of one name", { use: [named("a"), named("a")] }, /already a middleware "a"/],
    ["`middlewares` that returns no array", { middlewares: () => 5 }, /option "middlewares" must return an array/],
  ])("R7 throws at once for %s, not when it builds, and stays as it was", (_, options, message) => {
    const builder = new Builder();
    const before = Object.getOwnPropertyDescriptors(builder);
    expect(() => withDurableTelemetry(builder, options)).toThrow(message);
    expect(Object.getOwnPropertyDescriptors(builder)).toEqual(before);
  });

  it("R1 that is frozen is refused with an error that says so", () => {
    expect(() => withDurableTelemetry(Object.freeze(new Builder()))).toThrow(
      "withDurableTelemetry: this builder can't be decorated: it is frozen or sealed; decorate it before that.",
    );
  });

  it("R1 that builds something else gets the error about workers, when it builds", () => {
    const builder = withDurableTelemetry({ build: () => ({ port: 80 }) });
    expect(() => builder.build()).toThrow(/worker must be a Durable Task worker .*, not an object\.$/);
  });

  it("R1 that throws while it builds is not in the way of its error", () => {
    const builder = withDurableTelemetry({
      build(): TaskHubGrpcWorker {
        throw new Error("no connection string");
      },
    });
    expect(() => builder.build()).toThrow("no connection string");
  });
});

describe("Where a work item starts", () => {
  it.each(["on", "off"])(
    "I7 a span that is active around worker.start() is the parent of nothing, with tracing %s",
    async (mode) => {
      const spans = recordSpans();
      const tracer = spans.provider.getTracer("boot");
      const [hub, name] = mode === "on" ? [rootHub, "rooted"] : [rootHubUntraced, "untraced"];
      await tracer.startActiveSpan("boot", async (boot) => {
        await hub.worker({ tracing: mode === "on", use: [pass] }, (worker) => {
          worker.addNamedActivity("work", (_: ActivityContext, input: number) =>
            tracer.startActiveSpan("in activity", (span) => (span.end(), input)),
          );
          worker.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext): Steps {
            tracer.startSpan("in orchestrator").end();
            return yield ctx.callActivity("work", 1);
          });
        });
        boot.end();
      });
      expect((await hub.run(name)).runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
      await spans.waitFor((all) =>
        all.some((span) => span.name === `orchestration:${name}` && span.kind === SpanKind.SERVER),
      );
      const boot = spans.finished.find((span) => span.name === "boot");
      const work = spans.finished.filter((span) => span !== boot);
      expect(work.some((span) => span.name === "in activity")).toBe(true);
      expect(work.filter((span) => span.spanContext().traceId === boot?.spanContext().traceId)).toEqual([]);
      if (mode === "on") expect(wholeness(work)).toMatchObject({ traces: 1, orphans: 0, orchestrations: 1 });
    },
  );

  it("I7 nor is a span that is active around a host's request, for a worker whose tracing was placed by hand", async () => {
    const spans = recordSpans();
    const tracer = spans.provider.getTracer("host");
    const worker = hostWorker({ middlewares: () => [tracing()] });
    worker.addNamedOrchestrator("hosted", () => tracer.startSpan("in orchestrator").end());
    await tracer.startActiveSpan("invocation", async (span) => {
      await firstEpisode(worker, { name: "hosted", executionId: "e", instanceId: "i" });
      span.end();
    });
    const invocation = spans.finished.find(({ name }) => name === "invocation");
    const others = spans.finished.filter((span) => span !== invocation);
    expect(others.map(({ name }) => name).toSorted()).toEqual(["in orchestrator", "orchestration:hosted"]);
    expect(others.map((span) => span.spanContext().traceId)).not.toContain(invocation?.spanContext().traceId);
  });

  it("I7 without tracing, user spans in tasks are roots of their own, not children of what was active at the start", async () => {
    const spans = recordSpans();
    const tracer = spans.provider.getTracer("host");
    const worker = hostWorker({ use: [pass] });
    worker.addNamedOrchestrator("hosted", () => tracer.startSpan("in orchestrator").end());
    await tracer.startActiveSpan("invocation", async (span) => {
      await firstEpisode(worker, { name: "hosted" });
      span.end();
    });
    const user = spans.finished.find(({ name }) => name === "in orchestrator");
    expect(user).toBeDefined();
    expect(user?.parentSpanContext).toBeUndefined();
  });
});
