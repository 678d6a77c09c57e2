import {
  ActivityContext,
  HistoryEventType,
  OrchestrationContext,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  MiddlewareFeatures,
  type ActivityMiddleware,
  type ActivityMiddlewareContext,
  type OrchestrationMiddleware,
  type OrchestrationMiddlewareContext,
} from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { tagsOf } from "../../src/worker/messages.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import {
  firstEpisode,
  hostWorker,
  orchestratorRequest,
  resultIn,
  runEpisode,
  startEvents,
  type Start,
} from "./requests.ts";
import { customOnly } from "../custom-only.ts";

/** What a middleware saw of one work item. */
interface Seen<T> {
  readonly ctx: T;
  readonly before: Partial<T>;
  readonly after: { readonly isReplaying?: boolean; readonly result: unknown; readonly failure: unknown };
}
const orchestrations: Seen<OrchestrationMiddlewareContext>[] = [];
const activities: Seen<ActivityMiddlewareContext>[] = [];

const observeOrchestration: OrchestrationMiddleware = async (ctx, next) => {
  const { isReplaying, result, failure } = ctx;
  const seen = { ctx, before: { isReplaying, result, failure }, after: { result, failure } };
  try {
    await next(ctx);
  } finally {
    orchestrations.push({ ...seen, after: { isReplaying: ctx.isReplaying, result: ctx.result, failure: ctx.failure } });
  }
};
const observeActivity: ActivityMiddleware = async (ctx, next) => {
  const { result, failure } = ctx;
  try {
    await next(ctx);
  } finally {
    activities.push({ ctx, before: { result, failure }, after: { result: ctx.result, failure: ctx.failure } });
  }
};
const observe = { name: "observe", orchestration: observeOrchestration, activity: observeActivity };

function last<T>(list: readonly Seen<T>[]): Seen<T> {
  const seen = list.at(-1);
  if (seen === undefined) throw new Error("No middleware ran.");
  return seen;
}

const activityContexts: ActivityContext[] = [];
const orchestrationContexts: OrchestrationContext[] = [];
function addTasks(worker: TaskHubGrpcWorker): void {
  worker.addNamedActivity("echo", (ctx: ActivityContext, input: unknown) => {
    activityContexts.push(ctx);
    return input;
  });
  worker.addNamedActivity("refuse", () => {
    throw new RangeError("refused");
  });
  worker.addNamedOrchestrator("plain", (ctx: OrchestrationContext, input: unknown) => {
    orchestrationContexts.push(ctx);
    return input;
  });
  worker.addNamedOrchestrator("calls", async function* (ctx: OrchestrationContext, input: unknown): Steps {
    orchestrationContexts.push(ctx);
    return yield ctx.callActivity("echo", input, { version: "3.1", tags: { tier: "gold" } });
  });
  worker.addNamedOrchestrator("calls plainly", async function* (ctx: OrchestrationContext): Steps {
    yield ctx.callActivity("echo");
    return yield ctx.callActivity("echo");
  });
  worker.addNamedOrchestrator("refused", async function* (ctx: OrchestrationContext): Steps {
    return yield ctx.callActivity("refuse");
  });
  worker.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext, input: unknown): Steps {
    yield ctx.callActivity("echo");
    return yield ctx.callSubOrchestrator("plain", input, {
      instanceId: `${ctx.instanceId}-child`,
      version: "2.0",
      tags: { from: "parent" },
    });
  });
}

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker({ ...customOnly, use: [observe] }, addTasks);
});

async function executionIdOf(instanceId: string): Promise<string | undefined> {
  const history = await hub.client.getOrchestrationHistory(instanceId);
  for (const event of history) {
    if (event.type === HistoryEventType.ExecutionStarted) return event.orchestrationInstance?.executionId;
  }
  return undefined;
}

describe("The orchestration context, over gRPC", () => {
  it("X1 has the orchestration's name, IDs, version, tags, input, and the SDK's own context", async () => {
    const input = { order: 7 };
    const { instanceId } = await hub.run("plain", input, {
      instanceId: "x1",
      version: "1.2.3",
      tags: { tenant: "acme" },
    });
    const { ctx } = last(orchestrations);
    expect(ctx.kind).toBe("orchestration");
    expect(ctx.name).toBe("plain");
    expect(ctx.instanceId).toBe("x1");
    expect(instanceId).toBe("x1");
    expect(ctx.executionId).toMatch(/./);
    expect(ctx.executionId).toBe(await executionIdOf("x1"));
    expect(ctx.version).toBe("1.2.3");
    expect(ctx.tags).toEqual({ tenant: "acme" });
    expect(ctx.input).toEqual(input);
    expect(ctx.rawInput).toBe('{"order":7}');
    expect(ctx.orchestrationContext).toBe(orchestrationContexts.at(-1));
    expect(ctx.orchestrationContext).toBeInstanceOf(OrchestrationContext);
    expect(ctx.features).toBeInstanceOf(MiddlewareFeatures);
    expect(ctx.signal).toBeInstanceOf(AbortSignal);
    expect(ctx.signal.aborted).toBe(false);
  });

  it("X1 names the parent of a sub-orchestration: its name, instance, execution and task ID", async () => {
    await hub.run("parent", "in", { instanceId: "x1-parent" });
    const child = orchestrations.findLast(({ ctx }) => ctx.instanceId === "x1-parent-child");
    expect(child?.ctx).toMatchObject({ name: "plain", version: "2.0", tags: { from: "parent" }, input: "in" });
    expect(child?.ctx.parent).toEqual({
      name: "parent",
      instanceId: "x1-parent",
      executionId: await executionIdOf("x1-parent"),
      taskId: 2,
    });
  });

  it("X1 has the result after next, and neither result nor failure before", async () => {
    await hub.run("calls", [1, 2]);
    const { before, after } = last(orchestrations);
    expect([before.result, before.failure]).toEqual([undefined, undefined]);
    expect(after).toMatchObject({ result: [1, 2], failure: undefined });
  });

  it("X1 has the failure after next", async () => {
    const state = await hub.run("refused");
    expect(state.failureDetails?.message).toContain("refused");
    const { after } = last(orchestrations);
    expect(after.result).toBeUndefined();
    expect(after.failure).toBeInstanceOf(Error);
    expect(String(after.failure)).toContain("refused");
  });

  it("X1 has no setResult and no service locator", () => {
    const { ctx } = last(orchestrations);
    for (const member of ["setResult", "services", "container", "resolve"]) expect(member in ctx).toBe(false);
  });

  it("X3 what the backend does not send is undefined", async () => {
    await hub.run("plain");
    const { ctx } = last(orchestrations);
    expect(ctx.version).toBeUndefined();
    expect(ctx.parent).toBeUndefined();
    expect(ctx.input).toBeUndefined();
    expect(ctx.rawInput).toBeUndefined();
    expect(ctx.tags).toEqual({});
  });

  it("X5 isReplaying is live: true before next and false after it in the last episode of a long orchestration", async () => {
    await hub.run("calls", 1);
    const { before, after } = last(orchestrations);
    expect(before.isReplaying).toBe(true);
    expect(after.isReplaying).toBe(false);
  });

  it("X5 isReplaying is false all along where there is one episode", async () => {
    await hub.run("plain", 1);
    const { before, after } = last(orchestrations);
    expect([before.isReplaying, after.isReplaying]).toEqual([false, false]);
  });
});

describe("The activity context, over gRPC", () => {
  it("X2 has the activity's name, IDs, version, tags, input, and the SDK's own context", async () => {
    await hub.run("calls", { a: [1] }, { instanceId: "x2" });
    const { ctx } = last(activities);
    expect(ctx.kind).toBe("activity");
    expect(ctx.name).toBe("echo");
    expect(ctx.instanceId).toBe("x2");
    expect(ctx.executionId).toBe(await executionIdOf("x2"));
    expect(ctx.taskId).toBe(1);
    expect(ctx.version).toBe("3.1");
    expect(ctx.tags).toEqual({ tier: "gold" });
    expect(ctx.input).toEqual({ a: [1] });
    expect(ctx.rawInput).toBe('{"a":[1]}');
    expect(ctx.activityContext).toBe(activityContexts.at(-1));
    expect(ctx.activityContext).toBeInstanceOf(ActivityContext);
    expect(ctx.features).toBeInstanceOf(MiddlewareFeatures);
    expect(ctx.signal.aborted).toBe(false);
  });

  it("X2 has its own task ID for each activity", async () => {
    await hub.run("calls plainly");
    expect(activities.slice(-2).map(({ ctx }) => ctx.taskId)).toEqual([1, 2]);
  });

  it("X2 has the result or the failure after next, and neither before", async () => {
    await hub.run("calls", "value");
    expect(last(activities)).toMatchObject({
      before: { result: undefined, failure: undefined },
      after: { result: "value", failure: undefined },
    });
    await hub.run("refused");
    const { after } = last(activities);
    expect(after.result).toBeUndefined();
    expect(after.failure).toEqual(new RangeError("refused"));
  });

  it("X3 what the backend does not send is undefined", async () => {
    await hub.run("calls plainly");
    const { ctx } = last(activities);
    expect([ctx.version, ctx.input, ctx.rawInput]).toEqual([undefined, undefined, undefined]);
    expect(ctx.tags).toEqual({});
  });
});

describe("The context of a work item", () => {
  /** Runs a first episode; the context that middleware gets of it. */
  async function contextOf(start: Omit<Start, "name">): Promise<OrchestrationMiddlewareContext> {
    const worker = hostWorker({ use: [observe] });
    addTasks(worker);
    await firstEpisode(worker, { name: "plain", ...start });
    return last(orchestrations).ctx;
  }

  it("X3 an execution ID, a parent's name and execution ID, and a version that are not sent or empty are undefined", async () => {
    const ctx = await contextOf({ parent: { instanceId: "p", taskId: 4 }, executionId: "", version: "" });
    expect(ctx.executionId).toBeUndefined();
    expect(ctx.version).toBeUndefined();
    expect(ctx.parent).toStrictEqual({ instanceId: "p", taskId: 4, name: undefined, executionId: undefined });
    expect((await contextOf({})).executionId).toBeUndefined();
  });

  it("X3 the execution ID comes with the request or with the history, whose one wins, as in the SDK", async () => {
    const executionId = async (request: string | undefined, history: string | undefined): Promise<unknown> => {
      const worker = hostWorker({ use: [observe] });
      addTasks(worker);
      const events = startEvents({ name: "plain", ...(history === undefined ? {} : { executionId: history }) });
      await runEpisode(worker, orchestratorRequest(events, [], { executionId: request }));
      return last(orchestrations).ctx.executionId;
    };
    expect(await executionId("of request", "of history")).toBe("of history");
    expect(await executionId("of request", undefined)).toBe("of request");
    expect(await executionId(undefined, "of history")).toBe("of history");
  });

  it.each([
    "null",
    "0",
    '""',
    "false",
    '{ "b" : 1,\n\t"a": 2 }',
    '"\\u00e9\\ud83d\\ude00"',
    "1.0",
    "[ ]",
    "1e3",
    '{"__proto__":{"x":1}}',
  ])("X4 rawInput is the text %j as it came, and agrees with input", async (rawInput) => {
    const worker = hostWorker({ use: [observe] });
    addTasks(worker);
    const response = await firstEpisode(worker, { name: "plain", rawInput });
    const { ctx } = last(orchestrations);
    expect(ctx.rawInput).toBe(rawInput);
    expect(ctx.input).toStrictEqual(JSON.parse(rawInput));
    expect(resultIn(response)).toStrictEqual(JSON.parse(rawInput));
  });

  it("X4 tags are a frozen copy", async () => {
    const tags = { tenant: "acme", constructor: "a", "": "empty", toString: "" };
    const ctx = await contextOf({ tags });
    expect(ctx.tags).toEqual(tags);
    expect(ctx.tags).not.toBe(tags);
    expect(Object.isFrozen(ctx.tags)).toBe(true);
    expect(() => Reflect.apply(Object.assign, undefined, [ctx.tags, { tenant: "other" }])).toThrow(TypeError);
    expect(ctx.tags["tenant"]).toBe("acme");
  });

  it("X4 a tag named __proto__ is a tag like any other (the SDK's protobuf maps drop it before, so over gRPC none comes)", () => {
    const tags = tagsOf(
      new Map([
        ["__proto__", "acme"],
        ["a", "b"],
      ]),
    );
    expect(Object.entries(tags)).toEqual([
      ["__proto__", "acme"],
      ["a", "b"],
    ]);
    expect(Object.getPrototypeOf(tags)).toBe(Object.prototype);
    expect(Object.isFrozen(tags)).toBe(true);
  });

  it.each(["orchestration", "activity"] as const)(
    "X1, X2 an %s context is read-only: assigning to a member throws",
    async (kind) => {
      await hub.run("calls", 1, { tags: { a: "b" } });
      const { ctx } = kind === "orchestration" ? last(orchestrations) : last(activities);
      const own =
        kind === "orchestration"
          ? ["orchestrationContext", "isReplaying", "parent"]
          : ["activityContext", "taskId", "setResult"];
      const members = [
        "kind",
        "name",
        "instanceId",
        "executionId",
        "version",
        "tags",
        "input",
        "rawInput",
        "features",
        "logger",
        "signal",
        "result",
        "failure",
      ];
      const assignable = [...members, ...own].filter((member) => {
        const value: unknown = Reflect.get(ctx, member);
        const assigned = Reflect.set(ctx, member, "other");
        const changed = Reflect.get(ctx, member) !== value;
        if (changed) Reflect.set(ctx, member, value);
        return assigned || changed;
      });
      expect(assignable).toEqual([]);
    },
  );

  it("X6 contexts and middleware are generic in the input and the result", () => {
    type Order = { readonly total: number };
    const orchestration: OrchestrationMiddleware<Order, string> = async (ctx, next) => {
      expectTypeOf(ctx.input).toEqualTypeOf<Order>();
      expectTypeOf(ctx.result).toEqualTypeOf<string | undefined>();
      expectTypeOf(await next(ctx)).toEqualTypeOf<string>();
    };
    const activity: ActivityMiddleware<Order, string> = async (ctx, next) => {
      expectTypeOf(ctx.input).toEqualTypeOf<Order>();
      expectTypeOf<Parameters<typeof ctx.setResult>>().toEqualTypeOf<[value: string]>();
      expectTypeOf(await next(ctx)).toEqualTypeOf<string>();
    };
    const { worker } = inMemoryHub();
    worker.useOrchestrationMiddleware(orchestration).useActivityMiddleware(activity);
    expect(worker.middlewares).toEqual(["orchestration", "activity"]);
  });
});

describe("The contexts of the in-memory worker", () => {
  it("X1 X2 X3 have what its backend keeps, and nothing invented", async () => {
    const memory = inMemoryHub({ use: [observe] });
    memory.worker.addNamedActivity("echo", (_: ActivityContext, input: unknown) => input);
    memory.worker.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext, input: unknown): Steps {
      return yield ctx.callSubOrchestrator("child", input, { instanceId: `${ctx.instanceId}-child` });
    });
    memory.worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext, input: unknown): Steps {
      return yield ctx.callActivity("echo", input);
    });
    const { instanceId } = await memory.run("parent", { a: 1 });
    const parent = last(orchestrations).ctx;
    const activity = last(activities).ctx;
    const child = orchestrations.findLast(({ ctx }) => ctx.name === "child")?.ctx;
    expect(parent).toMatchObject({
      name: "parent",
      instanceId,
      input: { a: 1 },
      rawInput: '{"a":1}',
      result: { a: 1 },
      tags: {},
    });
    expect(parent.executionId).toBe(memory.backend.getInstance(instanceId)?.executionId);
    expect([parent.version, parent.parent]).toEqual([undefined, undefined]);
    expect(child?.parent).toEqual({ name: "parent", instanceId, taskId: 1, executionId: undefined });
    expect(activity).toMatchObject({
      name: "echo",
      instanceId: `${instanceId}-child`,
      taskId: 1,
      input: { a: 1 },
      rawInput: '{"a":1}',
      tags: {},
    });
    expect(activity.executionId).toBe(child?.executionId);
    expect(activity.version).toBeUndefined();
    expect(Object.isFrozen(activity.tags)).toBe(true);
  });
});
