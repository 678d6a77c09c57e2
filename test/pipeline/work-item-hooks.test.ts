/** Hooks around whole work items: when they are asked for, what they see, and what becomes of the response. */
import { AsyncLocalStorage } from "node:async_hooks";
import {
  NoOpLogger,
  OrchestrationStatus,
  TaskHubGrpcWorker,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  createMiddlewareFeature,
  currentFeatures,
  withDurableTelemetry,
  type Acknowledgement,
  type EpisodeResponse,
  type MiddlewareObject,
  type PersistedSpan,
  type TraceContext,
  type WorkItem,
} from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { refusal, runActivity, runEpisode as runEpisodeFor, type Answer } from "../metrics/work-items.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { firstEpisode, hostWorker, startEvents } from "../worker/requests.ts";
import { customOnly } from "../custom-only.ts";
import { expectNoUnhandledRejections, finished, macrotask, microtasks, outputOf, unique } from "./cases.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

/** What both a work item and a context of it know. */
const aboutTask = ({
  kind,
  name,
  instanceId,
  executionId,
  version,
  tags,
  rawInput,
}: Pick<WorkItem, "kind" | "name" | "instanceId" | "executionId" | "version" | "tags" | "rawInput">): object => ({
  kind,
  name,
  instanceId,
  executionId,
  version,
  tags,
  rawInput,
});

/** What became of one work item, in order; whoever runs in it can add to it. */
const Notes = createMiddlewareFeature<string[]>("notes");
const note = (what: string): void => void currentFeatures()?.get(Notes)?.push(what);

/** Notes what its hooks are called for, and compares what they know with what the contexts know. */
class Noting {
  readonly name: string;
  readonly #all: string[][];
  readonly differences: unknown[] = [];

  constructor(name: string, all: string[][]) {
    this.name = name;
    this.#all = all;
  }

  workItem(item: WorkItem): ReturnType<NonNullable<MiddlewareObject["workItem"]>> {
    if (!item.features.has(Notes)) {
      const notes: string[] = [];
      item.features.set(Notes, notes);
      this.#all.push(notes);
    }
    const write = (what: string): void => void item.features.get(Notes)?.push(`${this.name} ${what}`);
    write(`is asked for ${item.kind} ${item.name}`);
    this.#items.set(item.features, item);
    return {
      onStart: () => write("starts"),
      scope: (execute) => {
        write("scope in");
        const result = execute();
        write("scope out");
        return result;
      },
      onResponse: ({ outcome }) => write(`response ${outcome.status}`),
      onAcknowledged: (acknowledgement) => write(acknowledgement),
      onEnd: () => write("ends"),
    };
  }
  readonly #items = new WeakMap<object, WorkItem>();

  async orchestration(...[ctx, next]: Parameters<NonNullable<MiddlewareObject["orchestration"]>>): Promise<void> {
    const item = this.#items.get(ctx.features);
    note(`${this.name} orchestration`);
    this.#compare(
      { ...aboutTask(ctx), parent: ctx.parent },
      item && { ...aboutTask(item), parent: item.kind === "orchestration" ? item.parent : "none" },
    );
    this.#compare(
      [ctx.signal, ctx.orchestrationContext],
      [item?.signal, item?.kind === "orchestration" && item.orchestrationContext],
      Object.is,
    );
    await next(ctx);
  }
  async activity(...[ctx, next]: Parameters<NonNullable<MiddlewareObject["activity"]>>): Promise<void> {
    const item = this.#items.get(ctx.features);
    note(`${this.name} activity`);
    this.#compare(
      { ...aboutTask(ctx), taskId: ctx.taskId },
      item && { ...aboutTask(item), taskId: item.kind === "activity" ? item.taskId : "none" },
    );
    this.#compare([ctx.signal], [item?.signal], Object.is);
    await next(ctx);
  }
  #compare(
    one: object,
    other: object | undefined,
    same: (a: unknown, b: unknown) => boolean = (a, b) => JSON.stringify(a) === JSON.stringify(b),
  ): void {
    const isSame = Array.isArray(one)
      ? one.every((each, index) => same(each, Reflect.get(other ?? {}, index)))
      : same(one, other);
    if (!isSame) this.differences.push([one, other]);
  }
}

/** The notes of a work item of the kind and name whose code runs. */
const wholeNotes = (task: string, kind: string, status: string): string[] => [
  `outer is asked for ${kind} ${task}`,
  `inner is asked for ${kind} ${task}`,
  "outer starts",
  "inner starts",
  "outer scope in",
  "inner scope in",
  `outer ${kind}`,
  `inner ${kind}`,
  `the code of ${task}`,
  "inner scope out",
  "outer scope out",
  `outer response ${status}`,
  `inner response ${status}`,
  "outer accepted",
  "inner accepted",
  "outer ends",
  "inner ends",
];

// When a scope is left, and when the work ends that it returned, are in any order: the in-memory worker does not wait.
const inOrder = (notes: readonly string[]): string[] => {
  const out = (each: string): boolean => each.endsWith("scope out");
  const first = notes.findIndex((each) => each.includes("response"));
  const rest = notes.filter((each) => !out(each));
  return rest.toSpliced(
    first === -1 ? rest.length : rest.findIndex((each) => each.includes("response")),
    0,
    ...notes.filter(out),
  );
};

function addTasks(worker: {
  addNamedOrchestrator: TaskHubGrpcWorker["addNamedOrchestrator"];
  addNamedActivity: TaskHubGrpcWorker["addNamedActivity"];
}): void {
  worker.addNamedOrchestrator("calls", async function* (ctx: OrchestrationContext, input: unknown): Steps {
    note("the code of calls");
    yield ctx.callActivity("echo", input, { version: "3.1", tags: { tier: "gold" } });
    return yield ctx.callSubOrchestrator("child", input, { version: "2.0", tags: { from: "calls" } });
  });
  worker.addNamedOrchestrator("child", (_: OrchestrationContext, input: unknown) => {
    note("the code of child");
    return input;
  });
  worker.addNamedActivity("echo", (_: ActivityContext, input: unknown) => {
    note("the code of echo");
    return input;
  });
}

const noting = (): { readonly all: string[][]; readonly use: readonly Noting[] } => {
  const all: string[][] = [];
  return { all, use: [new Noting("outer", all), new Noting("inner", all)] };
};

const expected = [
  wholeNotes("calls", "orchestration", "waiting"),
  wholeNotes("echo", "activity", "completed"),
  wholeNotes("calls", "orchestration", "waiting"),
  wholeNotes("child", "orchestration", "completed"),
  wholeNotes("calls", "orchestration", "completed"),
];

describe("Hooks are asked for once for each work item, outermost first, before any code of it", () => {
  const isOver = (all: readonly (readonly string[])[]): boolean =>
    all.length === expected.length && all.every((notes) => notes.at(-1) === "inner ends");

  it("W1 of a worker over gRPC, and know what the contexts know", async () => {
    const { all, use } = noting();
    await hub.worker({ ...customOnly, use }, addTasks, { workItemFilters: "auto" });
    const state = await hub.run("calls", { order: 7 }, { version: "1.2", tags: { tenant: "acme" } });
    expect(outputOf(state)).toEqual({ order: 7 });
    await vi.waitFor(() => expect(isOver(all)).toBe(true), { interval: 1 });
    expect(all.map(inOrder)).toEqual(expected);
    expect(use.flatMap(({ differences }) => differences)).toEqual([]);
  });

  it("W1 of the in-memory worker, and know what the contexts know", async () => {
    const { all, use } = noting();
    const memory = inMemoryHub({ use });
    addTasks(memory.worker);
    expect((await memory.run("calls", { order: 7 })).runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    await vi.waitFor(() => expect(isOver(all)).toBe(true), { interval: 1 });
    expect(all.map(inOrder)).toEqual(expected);
    expect(use.flatMap(({ differences }) => differences)).toEqual([]);
  });

  it("W1 of the entry for hosts, processOrchestratorRequest, and know what the contexts know", async () => {
    const { all, use } = noting();
    const worker = hostWorker({ use });
    addTasks(worker);
    const parent = { name: "above", instanceId: "above-1", executionId: "e0", taskId: 4 };
    await firstEpisode(worker, {
      name: "child",
      executionId: "e1",
      rawInput: "[1]",
      version: "5",
      tags: { tenant: "acme" },
      parent,
    });
    await macrotask();
    expect(all.map(inOrder)).toEqual([wholeNotes("child", "orchestration", "completed")]);
    expect(use.flatMap(({ differences }) => differences)).toEqual([]);
  });

  it("W1 also where the work item never reaches the code of a task: one that is not registered", async () => {
    const { all, use } = noting();
    const worker = hostWorker({ use });
    await firstEpisode(worker, { name: "missing" });
    await runActivity(worker, "missing");
    await macrotask();
    const without = (notes: string[], kind: string): string[] =>
      notes.filter((each) => !each.startsWith("the code") && each !== `outer ${kind}` && each !== `inner ${kind}`);
    expect(all.map(inOrder)).toEqual([
      without(wholeNotes("missing", "orchestration", "failed"), "orchestration"),
      without(wholeNotes("missing", "activity", "failed"), "activity"),
    ]);
  });
});

describe("The code of a work item runs in the scopes of its hooks, in their order", () => {
  const scopes = new AsyncLocalStorage<readonly string[]>();
  const scopeOf = (name: string): MiddlewareObject => ({
    name,
    workItem: () => ({ scope: (execute) => scopes.run([...(scopes.getStore() ?? []), name], execute) }),
  });
  const scoped = (name: string): MiddlewareObject => ({
    ...scopeOf(name),
    async orchestration(ctx, next) {
      seen(ctx.isReplaying, `${name} before next`);
      ctx.onSuspend(() => seen(false, `${name} suspended`));
      await next(ctx);
      seen(ctx.isReplaying, `${name} after next`);
    },
    async activity(ctx, next) {
      seen(false, `${name} around an activity`);
      await next(ctx);
      seen(false, `${name} after an activity`);
    },
  });
  let places: Record<string, Set<string>> = {};
  const seen = (isReplaying: boolean, place: string): void => {
    const key = `${isReplaying ? "replayed" : "live"} ${place}`;
    (places[key] ??= new Set()).add((scopes.getStore() ?? ["none"]).join(" "));
  };
  beforeEach(() => void (places = {}));

  /** Runs an orchestration that goes on after each kind of resume. */
  async function runUnder(use: (work: string) => readonly MiddlewareObject[]): Promise<void> {
    const [name, work] = [unique("scoped"), unique("work")];
    await hub.worker(
      { ...customOnly, use: [...use(work)] },
      (worker) => {
        worker.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext): Steps<string> {
          seen(ctx.isReplaying, "start");
          yield ctx.callActivity(work, 1);
          seen(ctx.isReplaying, "after a yield");
          await microtasks(2);
          seen(ctx.isReplaying, "after an await");
          try {
            yield ctx.callActivity(work, -1);
          } catch {
            seen(ctx.isReplaying, "in a catch");
          }
          yield ctx.createTimer(0.001);
          seen(ctx.isReplaying, "after a timer");
          return "done";
        });
        worker.addNamedActivity(work, async (_: ActivityContext, input: number) => {
          seen(false, "an activity");
          await macrotask();
          seen(false, "an activity after I/O");
          if (input < 0) throw new RangeError("negative");
        });
      },
      { workItemFilters: "auto" },
    );
    expect(outputOf(await finished(hub, await hub.client.scheduleNewOrchestration(name)))).toBe("done");
  }
  const both = (named: readonly string[]): string[] => named.flatMap((place) => [`live ${place}`, `replayed ${place}`]);
  const resumes = [
    ...both(["start", "after a yield", "after an await", "in a catch"]),
    "live after a timer",
    "live an activity",
    "live an activity after I/O",
  ];
  const expectScopes = (where: readonly string[]): void => {
    expect(Object.keys(places)).toEqual(expect.arrayContaining([...where]));
    expect(new Set(Object.values(places).flatMap((each) => [...each]))).toEqual(new Set(["outer inner"]));
  };

  it("W2 middleware, the orchestrator at each resume, live and replayed, and activities", async () => {
    const durable = (work: string): MiddlewareObject => ({
      name: "durable",
      async *orchestration(ctx, next) {
        yield ctx.orchestrationContext.callActivity(work, 0);
        seen(ctx.isReplaying, "durable middleware, resumed");
        yield* next(ctx);
      },
    });
    await runUnder((work) => [scoped("outer"), durable(work), scoped("inner")]);
    const around = [
      "outer after next",
      "inner after next",
      "outer suspended",
      "inner suspended",
      "outer around an activity",
      "inner after an activity",
    ];
    expectScopes([
      ...resumes,
      ...both(["durable middleware, resumed"]),
      ...around.map((place) => `live ${place}`),
      "replayed outer before next",
    ]);
  });

  it("W2 the orchestrator and activities where the middlewares have hooks alone", async () => {
    await runUnder(() => [scopeOf("outer"), scopeOf("inner")]);
    expectScopes(resumes);
  });
});

/** What a middleware saw of an episode's response. */
interface SeenResponse {
  readonly outcome: string;
  readonly actions: number;
  readonly scheduled: readonly string[];
  readonly sent: readonly string[];
}

const seenOf = ({ outcome, actions, scheduled, sent }: EpisodeResponse): SeenResponse => ({
  outcome: outcome.status === "failed" ? `failed ${outcome.failure.type}: ${outcome.failure.message}` : outcome.status,
  actions,
  scheduled: scheduled.map(({ type, name, version, attempt }) => `${type} ${name} ${version ?? "-"} ${attempt ?? "-"}`),
  sent: sent.map(({ type, name, target }) => `${type} ${name} to ${target}`),
});

describe("The response is shown once, before it leaves", () => {
  // By instance, the response of each episode.
  const responses = new Map<string, SeenResponse[]>();
  const statuses: string[] = [];
  const contexts = new Map<string, TraceContext | undefined>();
  const persisted: (PersistedSpan | undefined)[] = [];
  const startTime = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  let name: string;
  let number = 0;
  const observing: MiddlewareObject = {
    name: "observing",
    workItem(item) {
      contexts.set(item.name, item.traceContext);
      if (item.kind === "activity") return { onResponse: (response) => void statuses.push(response.outcome.status) };
      if (item.instanceId === "w3-traced") persisted.push(item.persistedSpan);
      return {
        onCustomStatus: () => void statuses.push("custom status"),
        onResponse(response) {
          if (!("scheduled" in response)) throw new TypeError("An episode has the response of an activity.");
          responses.set(item.instanceId, [...of(item.instanceId), seenOf(response)]);
          for (const task of response.scheduled) {
            number += 1;
            task.setTraceContext?.({
              traceparent: `00-${"a".repeat(32)}-${String(number).padStart(16, "0")}-01`,
              tracestate: `task=${task.name}`,
            });
          }
          response.persistSpan("00000000000000ff", startTime);
        },
      };
    },
  };
  const of = (instanceId: string): readonly SeenResponse[] => responses.get(instanceId) ?? [];
  const waitsFor = (...scheduled: string[]): SeenResponse => ({
    outcome: "waiting",
    actions: scheduled.length,
    scheduled,
    sent: [],
  });
  const endsAs = (outcome: string, actions = 1): SeenResponse => ({ outcome, actions, scheduled: [], sent: [] });
  const ends = async (instanceId: string, input?: unknown): Promise<OrchestrationStatus> => {
    await hub.client.scheduleNewOrchestration(name, input, { instanceId });
    return (await finished(hub, instanceId)).runtimeStatus;
  };

  beforeAll(async () => {
    name = unique("responding");
    let failures = 0;
    await hub.worker(
      { ...customOnly, use: [observing] },
      (worker) => {
        worker.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext, end: string): Steps<string> {
          if (end === "sends") {
            ctx.sendEvent("w3-elsewhere", "news", 1);
            return end;
          }
          if (end === "status") {
            ctx.setCustomStatus("one");
            ctx.setCustomStatus("one");
          }
          yield ctx.callActivity(`${name} work`, 1, { version: "2" });
          if (end === "status") ctx.setCustomStatus("two");
          if (end === "fails") throw new RangeError("on purpose");
          if (end === "is rewound") yield ctx.callActivity(`${name} fails once`);
          if (end === "waits") yield ctx.waitForExternalEvent("never");
          if (end === "starts a child") yield ctx.callSubOrchestrator(`${name} child`, 1, { instanceId: "w3-child" });
          if (end === "continues") ctx.continueAsNew("ends", false);
          return end;
        });
        worker.addNamedOrchestrator(`${name} child`, () => 1);
        worker.addNamedActivity(`${name} work`, () => 1);
        worker.addNamedActivity(`${name} fails once`, () => {
          failures += 1;
          if (failures === 1) throw new RangeError("the first time");
        });
      },
      { workItemFilters: "auto" },
    );
  });

  it("W3 of an episode that waits, and of one that completes", async () => {
    expect(await ends("w3-completes", "ends")).toBe(OrchestrationStatus.COMPLETED);
    expect(of("w3-completes")).toEqual([waitsFor(`activity ${name} work 2 1`), endsAs("completed")]);
  });

  it("W3 with what it sends", async () => {
    expect(await ends("w3-sends", "sends")).toBe(OrchestrationStatus.COMPLETED);
    expect(of("w3-sends")).toEqual([
      { outcome: "completed", actions: 2, scheduled: [], sent: ["event news to w3-elsewhere"] },
    ]);
  });

  it("W3 of an episode that fails, with the failure", async () => {
    expect(await ends("w3-fails", "fails")).toBe(OrchestrationStatus.FAILED);
    expect(of("w3-fails")).toEqual([waitsFor(`activity ${name} work 2 1`), endsAs("failed RangeError: on purpose")]);
  });

  it("W3 of an episode that is terminated from outside", async () => {
    await hub.client.scheduleNewOrchestration(name, "waits", { instanceId: "w3-terminated" });
    await vi.waitFor(() => expect(of("w3-terminated")).toHaveLength(2), { interval: 1 });
    await hub.client.terminateOrchestration("w3-terminated", "enough");
    expect((await finished(hub, "w3-terminated")).runtimeStatus).toBe(OrchestrationStatus.TERMINATED);
    expect(of("w3-terminated")).toEqual([waitsFor(`activity ${name} work 2 1`), waitsFor(), endsAs("terminated")]);
  });

  it("W3 of an episode that continues as new, and of the execution after it", async () => {
    expect(await ends("w3-continues", "continues")).toBe(OrchestrationStatus.COMPLETED);
    const waits = waitsFor(`activity ${name} work 2 1`);
    expect(of("w3-continues")).toEqual([waits, endsAs("continued_as_new"), waits, endsAs("completed")]);
  });

  it("W3 of an episode that only rewinds the history, and of those after it", async () => {
    expect(await ends("w3-rewound", "is rewound")).toBe(OrchestrationStatus.FAILED);
    await hub.client.rewindInstance("w3-rewound", "once more");
    expect((await finished(hub, "w3-rewound")).runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    const [outcomes, scheduled] = [
      of("w3-rewound").map(({ outcome }) => outcome.split(" ", 1)[0]),
      of("w3-rewound").map((each) => each.scheduled),
    ];
    expect(outcomes).toEqual(["waiting", "waiting", "failed", "rewound", "waiting", "completed"]);
    expect(scheduled[4]).toEqual([`activity ${name} fails once - 1`]);
  });

  it("W3 and a trace context that is written there travels with the task; the persisted span comes with the next episode", async () => {
    number = 0;
    expect(await ends("w3-traced", "starts a child")).toBe(OrchestrationStatus.COMPLETED);
    const traceContext = (id: number, task: string): TraceContext => ({
      traceparent: `00-${"a".repeat(32)}-${String(id).padStart(16, "0")}-01`,
      tracestate: `task=${name} ${task}`,
    });
    expect(contexts.get(`${name} work`)).toEqual(traceContext(1, "work"));
    expect(contexts.get(`${name} child`)).toEqual(traceContext(2, "child"));
    const span = { spanId: "00000000000000ff", startTime };
    expect(persisted).toEqual([undefined, span, span]);
  });

  it("W3 and each custom status that differs from the one before, in replay too", async () => {
    statuses.length = 0;
    expect(await ends("w3-status", "status")).toBe(OrchestrationStatus.COMPLETED);
    expect(statuses).toEqual(["custom status", "completed", "custom status", "custom status"]);
  });
});

describe("What became of the response is reported exactly once", () => {
  /** A worker that sends a response until it is accepted or rejected, as releases of the SDK after 0.4.0 do. */
  class Retrying extends TaskHubGrpcWorker {}
  type Send = (response: unknown, metadata: unknown, callback: (error: Answer) => void) => void;
  for (const [method, completion] of [
    ["_executeOrchestratorInternal", "completeOrchestratorTask"],
    ["_executeActivityInternal", "completeActivityTask"],
  ] as const) {
    const original = Reflect.get(TaskHubGrpcWorker.prototype, method) as (...args: unknown[]) => Promise<void>;
    const retrying = (send: Send): Send =>
      function attempt(response, metadata, callback) {
        send(response, metadata, (error) =>
          error?.code === 14 ? attempt(response, metadata, callback) : callback(error),
        );
      };
    Object.defineProperty(Retrying.prototype, method, {
      value(this: unknown, request: object, token: string, stub: Readonly<Record<string, Send>>) {
        const send: Send = (...args) => stub[completion]?.(...args);
        return original.call(this, request, token, { [completion]: retrying(send) });
      },
    });
  }
  const never = new Error("It gave up.");
  const answers: readonly (readonly [string, readonly Answer[], Acknowledgement])[] = [
    ["taken", [null], "accepted"],
    ["rejected with NOT_FOUND", [refusal(5)], "rejected"],
    ["rejected with ABORTED", [refusal(10)], "rejected"],
    ["lost with UNAVAILABLE, and the worker gives up", [never], "unconfirmed"],
    ["lost, and taken at the third attempt", [refusal(14), refusal(14), null], "accepted"],
    ["lost, and rejected at the second attempt", [refusal(14), refusal(5)], "rejected"],
    ["lost twice, and the worker gives up", [refusal(14), refusal(14), never], "unconfirmed"],
  ];

  it.each(answers)("W4 a response that is %s", async (_, attempts, acknowledgement) => {
    const reported: string[] = [];
    const listening: MiddlewareObject = {
      name: "listening",
      workItem: ({ kind }) => ({
        onResponse: () => void reported.push(`${kind} response`),
        onAcknowledged: (each) => void reported.push(`${kind} ${each}`),
        onEnd: () => void reported.push(`${kind} end`),
      }),
    };
    const worker = withDurableTelemetry(new Retrying({ logger: new NoOpLogger() }), {
      ...customOnly,
      use: [listening],
    });
    worker.addNamedOrchestrator("plain", () => 1);
    worker.addNamedActivity("work", () => 1);
    await runEpisodeFor(worker, { fresh: startEvents({ name: "plain" }) }, ...attempts);
    await macrotask();
    await runActivity(worker, "work", ...attempts);
    await macrotask();
    expect(reported).toEqual(
      ["orchestration", "activity"].flatMap((kind) => [
        `${kind} response`,
        `${kind} ${acknowledgement}`,
        `${kind} end`,
      ]),
    );
  });
});

describe("A pipeline without hooks", () => {
  const messages = [
    "HistoryEvent",
    "OrchestratorAction",
    "ScheduleTaskAction",
    "SendEventAction",
    "ExecutionStartedEvent",
    "TaskCompletedEvent",
    "ActivityRequest",
    "ActivityResponse",
  ] as const;

  /** How often members of the messages of a work item are read while `code` runs. */
  async function readsIn(code: () => Promise<unknown>): Promise<number> {
    let reads = 0;
    const restore = messages.flatMap((message) => {
      const prototype = pb[message].prototype as object as Record<string, unknown>;
      return Object.getOwnPropertyNames(prototype)
        .filter((each) => /^(?:get|has)[A-Z]/.test(each))
        .map((each) => {
          const original = prototype[each] as (...args: unknown[]) => unknown;
          prototype[each] = function (this: unknown, ...args: unknown[]) {
            reads += 1;
            return Reflect.apply(original, this, args);
          };
          return () => void (prototype[each] = original);
        });
    });
    try {
      await code();
    } finally {
      for (const each of restore) each();
    }
    return reads;
  }

  function addMany<T extends TaskHubGrpcWorker>(worker: T): T {
    worker.addNamedOrchestrator("many", async function* (ctx: OrchestrationContext, count: number): Steps<void> {
      for (let index = 0; index < count; index += 1) yield ctx.callActivity("work", index);
      for (let index = 0; index < count; index += 1) {
        void ctx.callActivity("work", index);
        ctx.sendEvent("elsewhere", "news", index);
      }
      yield ctx.waitForExternalEvent("never");
    });
    worker.addNamedActivity("work", () => 1);
    return worker;
  }
  const plain: MiddlewareObject = {
    name: "plain",
    orchestration: async (ctx, next) => void (await next(ctx)),
    activity: async (ctx, next) => void (await next(ctx)),
  };
  const hooked: MiddlewareObject = {
    name: "hooked",
    workItem: (item) => ({
      onResponse: (response) =>
        "scheduled" in response && [
          response.outcome,
          response.scheduled,
          response.sent,
          item.kind === "orchestration" && item.history.newEvents(),
        ],
    }),
  };
  async function readsOf(worker: TaskHubGrpcWorker, count: number): Promise<number> {
    const past = [
      ...startEvents({
        name: "many",
        rawInput: String(count),
        traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
      }),
      ...Array.from({ length: count }, (_, index) => [
        events.newTaskScheduledEvent(index + 1, "work", String(index)),
        events.newTaskCompletedEvent(index + 1, "1"),
      ]).flat(),
    ];
    return readsIn(async () => {
      await runEpisodeFor(worker, { past: past.slice(0, -1), fresh: past.slice(-1) });
      await runActivity(worker, "work");
    });
  }

  it("W6 reads as much of histories and responses of 1,000 as of 10, and a pipeline with hooks reads what these ask for", async () => {
    const beyondBare = async (use: readonly MiddlewareObject[], count: number): Promise<number> =>
      (await readsOf(addMany(hostWorker({ use })), count)) -
      (await readsOf(addMany(new TaskHubGrpcWorker({ logger: new NoOpLogger() })), count));
    const few = await beyondBare([plain], 10);
    expect(few).toBeLessThanOrEqual(25);
    expect(await beyondBare([plain], 1_000)).toBe(few);
    expect(await beyondBare([plain, { ...plain, name: "another" }], 1_000)).toBe(few);
    // That the reads are counted at all.
    expect(await beyondBare([plain, hooked], 1_000)).toBeGreaterThan(3_000);
  });
});
