/** Hooks that do what they must not: nothing of the work changes, and each fault is counted and logged. */
import {
  NoOpLogger,
  TaskHubGrpcWorker,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  withDurableTelemetry,
  type EpisodeResponse,
  type WorkItemHooks,
  type WorkItemMiddleware,
} from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";
import { onFault } from "../../src/telemetry/isolate.ts";
import type { Steps } from "../harness.ts";
import { comparable } from "../property/simulate.ts";
import { hostWorker, orchestratorRequest, startEvents } from "../worker/requests.ts";
import { expectNoUnhandledRejections, macrotask } from "./cases.ts";

expectNoUnhandledRejections();

let faults = 0;
beforeAll(() => onFault(() => void (faults += 1)));
afterAll(() => onFault(() => undefined));
beforeEach(() => void (faults = 0));

function register<T extends TaskHubGrpcWorker>(worker: T): T {
  worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps<string> {
    ctx.setCustomStatus("on its way");
    const first: number = yield ctx.callActivity("work", 1);
    return `done: ${first}`;
  });
  worker.addNamedOrchestrator("fails", async function* (ctx: OrchestrationContext): Steps<never> {
    yield ctx.callActivity("work", 1);
    throw new RangeError("on purpose", { cause: new TypeError("the cause") });
  });
  worker.addNamedActivity("work", async (_: ActivityContext, value: number) => value + 1);
  worker.addNamedActivity("refuse", async () => {
    await Promise.resolve();
    throw new RangeError("refused");
  });
  return worker;
}

interface Internals {
  _executeActivityInternal(request: pb.ActivityRequest, token: string, stub: object): Promise<void>;
}

const activityResponse = async (worker: TaskHubGrpcWorker, name: string): Promise<Uint8Array> => {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const completeActivityTask = (
    response: pb.ActivityResponse,
    _: unknown,
    done: (error: null, result: object) => void,
  ): void => {
    // It holds the frames of the caller.
    response.getFailuredetails()?.setStacktrace(undefined);
    resolve(response.serializeBinary());
    done(null, {});
  };
  const request = new pb.ActivityRequest()
    .setName(name)
    .setTaskid(1)
    .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("instance"));
  await (worker as unknown as Internals)._executeActivityInternal(request, "", { completeActivityTask });
  return promise;
};

/** Every response of the worker, as bytes: an episode that waits, one that completes, one that fails, one of an orchestration that is not there; an activity that completes, that fails, that is not there. */
async function responses(worker: TaskHubGrpcWorker): Promise<readonly string[]> {
  const finished = [events.newTaskScheduledEvent(1, "work", "1"), events.newTaskCompletedEvent(1, "2")];
  const episode = async (name: string, past: boolean): Promise<Uint8Array> => {
    const start = startEvents({ name });
    const request = past
      ? orchestratorRequest(finished.slice(1), [...start, ...finished.slice(0, 1)])
      : orchestratorRequest(start);
    return comparable(await worker.processOrchestratorRequest(request.serializeBinary()));
  };
  const all = [
    await episode("steps", false),
    await episode("steps", true),
    await episode("fails", true),
    await episode("missing", false),
    await activityResponse(worker, "work"),
    await activityResponse(worker, "refuse"),
    await activityResponse(worker, "missing"),
  ];
  return all.map((bytes) => Buffer.from(bytes).toString("latin1"));
}
const workItems = 7;

// Another one in each test, as a cause that is logged already is not logged again for a minute.
let fault = new RangeError("a fault of a hook");
const throwing = (): never => {
  throw fault;
};
const rejecting = async (): Promise<never> => throwing();

/** Hooks as JavaScript may have them. */
const hooks =
  (members: unknown): WorkItemMiddleware =>
  () =>
    members as WorkItemHooks;
const scoped = (scope: (execute: () => unknown) => unknown): WorkItemMiddleware => hooks({ scope });
const getting = (name: string): WorkItemMiddleware => hooks(Object.defineProperty({}, name, { get: throwing }));
const each = (
  names: readonly string[],
  what: string,
  make: (name: string) => WorkItemMiddleware,
): Readonly<Record<string, WorkItemMiddleware>> =>
  Object.fromEntries(names.map((name) => [`its ${name} ${what}`, make(name)]));

const called = ["onStart", "onResponse", "onAcknowledged", "onEnd"] as const;

/** A fault in each work item. */
const counted: Readonly<Record<string, WorkItemMiddleware>> = {
  "workItem throws": throwing,
  "workItem returns a promise that rejects": () => rejecting() as unknown as WorkItemHooks,
  ...each(["scope", ...called], "is not a function", (name) => hooks({ [name]: `not a function: ${name}` })),
  ...each(["scope", ...called], "has a getter that throws", getting),
  "workItem returns a revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  "workItem is async, so that its hooks come too late": (async () => ({
    onStart: () => undefined,
  })) as unknown as WorkItemMiddleware,
  "workItem returns a string": hooks("hooks"),
  "workItem returns a function": hooks(() => undefined),
  "workItem returns hooks of which one is spelled wrong": hooks({ onAcknowleged: () => undefined }),
  "its scope calls execute twice": scoped((execute) => (execute(), execute())),
  "its scope calls execute again, late": scoped((execute) => (setImmediate(execute), execute())),
  ...each(called, "throws", (name) => hooks({ [name]: throwing })),
  ...each(called, "rejects", (name) => hooks({ [name]: rejecting })),
  "its scope throws before it calls execute": scoped(throwing),
  "its scope throws after it called execute": scoped((execute) => (execute(), throwing())),
  "its scope calls execute and rejects": scoped((execute) => (execute(), rejecting())),
  "its scope does not call execute": scoped(() => undefined),
  "its scope returns a promise and does not call execute": scoped(() => new Promise(() => undefined)),
  "its scope calls execute late": scoped(
    (execute) => new Promise((resolve) => void setImmediate(() => resolve(execute()))),
  ),
};

/** What is odd, and of no consequence. */
const ignored: Readonly<Record<string, WorkItemMiddleware>> = {
  ...each(called, "never settles", (name) => hooks({ [name]: () => new Promise(() => undefined) })),
  "its scope returns something else": scoped((execute) => (execute(), "something else")),
  "its scope returns nothing": scoped((execute) => void execute()),
  "its scope is async": scoped(async (execute) => execute()),
  "its scope never settles": scoped((execute) => (execute(), new Promise(() => undefined))),
};

let expected: readonly string[];
beforeAll(async () => {
  expected = await responses(register(new TaskHubGrpcWorker({ logger: new NoOpLogger() })));
});
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout"] }));
afterEach(() => {
  // What has been logged is logged at once again after some minutes.
  vi.advanceTimersByTime(300_000);
  vi.useRealTimers();
});

describe("A middleware with hooks changes no byte of a response, if", () => {
  async function loggedBy(workItem: WorkItemMiddleware): Promise<readonly string[]> {
    const lines: string[] = [];
    const write = (message: string): void =>
      void (message.endsWith("The workflow goes on without it.") && lines.push(message));
    const worker = register(
      hostWorker(
        { use: [{ name: "faulty", workItem }] },
        { logger: { info: write, warn: write, error: write, debug: write } },
      ),
    );
    expect(await responses(worker)).toEqual(expected);
    await macrotask();
    await macrotask();
    return lines;
  }

  it.each(Object.entries(counted))("W5 %s; each time is counted, and the cause is logged", async (name, workItem) => {
    fault = new RangeError(`a fault of the hook: ${name}`);
    const lines = await loggedBy(workItem);
    expect(faults).toBe(workItems);
    // Orchestrations and activities are two causes; what only some of them do has a line of its own for each.
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines.join("\n")).toMatch(
      / of middleware ".*" failed in orchestration "steps": .*\. The workflow goes on without it\./,
    );
    expect(lines.join("\n")).toMatch(/ of middleware ".*" failed in activity "work": /);
  });

  it.each(Object.entries(ignored))("W5 %s", async (_, workItem) => {
    expect(await loggedBy(workItem)).toEqual([]);
  });

  it("W5 the persisted span is given a start that is no time; that is counted, and the response leaves", async () => {
    await loggedBy(
      hooks({
        onResponse: (response: object) =>
          "persistSpan" in response &&
          (response as EpisodeResponse).persistSpan("00000000000000ff", new Date(Number.NaN)),
      }),
    );
    expect(faults).toBeGreaterThan(0);
  });

  it("W4 the end of the work item is reported even where the worker throws at once", () => {
    class Throwing extends TaskHubGrpcWorker {}
    Object.defineProperty(Throwing.prototype, "_executeActivityInternal", { value: throwing });
    const received: string[] = [];
    const worker = withDurableTelemetry(new Throwing({ logger: new NoOpLogger() }), {
      ...customOnly,
      use: [{ name: "listening", workItem: () => ({ onEnd: () => void received.push("end") }) }],
    });
    expect(() =>
      (worker as unknown as Internals)._executeActivityInternal(new pb.ActivityRequest().setName("work"), "", {
        completeActivityTask: () => undefined,
      }),
    ).toThrow(fault);
    expect(received).toEqual(["end"]);
  });
});
