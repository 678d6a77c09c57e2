import {
  InMemoryOrchestrationBackend,
  TestOrchestrationWorker,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import pb, {
  type HistoryEvent,
  type OrchestratorAction,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { withDurableTelemetry, type DurableTelemetryOptions, type Middleware } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";
import { recordSpans } from "../harness.ts";
import { recordLogs } from "../logging/record-logs.ts";
import { operatorOptions } from "../operator-options.ts";
import { expectNoUnhandledRejections } from "../pipeline/cases.ts";
import { shown } from "../pipeline/episodes.ts";
import { bareWorker, hostWorker, orchestratorRequest, startEvents, text } from "../worker/requests.ts";
import {
  activityOf,
  everyValueInEveryPlace,
  hostileActivities,
  hostileOrchestrators,
  orchestratorOf,
  type HostileActivity,
  type HostileOrchestrator,
} from "./hostile.ts";
import { comparable } from "./simulate.ts";

expectNoUnhandledRejections();

const plain: Middleware = {
  name: "plain",
  orchestration: async (ctx, next) => void (await next(ctx)),
  activity: async (ctx, next) => void (await next(ctx)),
};
const durable: Middleware = {
  name: "durable",
  async *orchestration(ctx, next) {
    try {
      yield* next(ctx);
    } finally {
      await Promise.resolve();
    }
  },
  activity: (ctx, next) => next(ctx),
};

/** The pipelines that must make no difference. */
const pipelines: Readonly<Record<string, DurableTelemetryOptions>> = {
  "one middleware": { ...customOnly, use: [plain] },
  "two middlewares, one of them durable": { ...customOnly, use: [durable, plain] },
  "the activity cache": { ...customOnly, use: [plain], caching: { activities: { work: { ttl: "1m" } } } },
  "the default pipeline": { tracing: true, metrics: true, logging: true },
  "all that an operator can turn on": operatorOptions,
  "the default pipeline with a middleware": { tracing: true, metrics: true, logging: true, use: [plain] },
};

/** What a worker made of a work item: its response, or that there was none. */
type Made = string;

// What has not come after some turns of the event loop never comes: nothing here does I/O.
async function made(response: Promise<unknown>): Promise<Made> {
  const late = async (): Promise<Made> => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    return "no response";
  };
  const settled = response.then(
    (value) => JSON.stringify(value),
    (error: unknown) => `rejected: ${String(error)}`,
  );
  return Promise.race([settled, late()]);
}

const readable = (actions: readonly OrchestratorAction[]): unknown => {
  const response = new pb.OrchestratorResponse().setActionsList([...actions]);
  return pb.OrchestratorResponse.deserializeBinary(comparable(response.serializeBinary())).toObject();
};

/** Two ways to run an episode, and an activity. */
interface Entry {
  episode(past: readonly HistoryEvent[], fresh: readonly HistoryEvent[]): Promise<Made>;
  activity(): Promise<Made>;
}

interface Tasks {
  readonly orchestrator?: HostileOrchestrator;
  readonly activity?: HostileActivity;
}

function register(
  worker: Pick<TaskHubGrpcWorker, "addNamedOrchestrator" | "addNamedActivity">,
  tasks: Tasks,
  seen: unknown[],
): void {
  if (tasks.orchestrator) worker.addNamedOrchestrator("main", orchestratorOf(tasks.orchestrator, seen));
  if (tasks.activity) worker.addNamedActivity("work", activityOf(tasks.activity, seen));
}

interface Internals {
  _executeActivityInternal(request: pb.ActivityRequest, token: string, stub: object): Promise<void>;
}

function requestPath(tasks: Tasks, seen: unknown[], options?: DurableTelemetryOptions): Entry {
  const worker = options === undefined ? bareWorker() : hostWorker(options);
  register(worker, tasks, seen);
  return {
    episode: (past, fresh) =>
      made(
        worker
          .processOrchestratorRequest(orchestratorRequest(fresh, past).serializeBinary())
          .then((bytes) => readable(pb.OrchestratorResponse.deserializeBinary(bytes).getActionsList())),
      ),
    activity: () => {
      const { promise, resolve } = Promise.withResolvers<pb.ActivityResponse>();
      const stub = {
        completeActivityTask: (
          response: pb.ActivityResponse,
          _: unknown,
          callback: (error: unknown, result: object) => void,
        ) => {
          resolve(response);
          callback(null, {});
        },
      };
      const request = new pb.ActivityRequest()
        .setName("work")
        .setTaskid(1)
        .setOrchestrationinstance(
          new pb.OrchestrationInstance().setInstanceid("instance").setExecutionid(text("execution")),
        );
      void (worker as unknown as Internals)._executeActivityInternal(request, "", stub);
      return made(
        promise.then((response) => {
          response.getFailuredetails()?.setStacktrace(undefined).setInnerfailure(undefined);
          return response.toObject();
        }),
      );
    },
  };
}

function inMemory(tasks: Tasks, seen: unknown[], options?: DurableTelemetryOptions): Entry {
  const backend = new InMemoryOrchestrationBackend();
  const { promise: episode, resolve: onEpisode } = Promise.withResolvers<readonly OrchestratorAction[]>();
  const { promise: activity, resolve: onActivity } = Promise.withResolvers<unknown>();
  Object.assign(backend, {
    completeOrchestration: (_: string, __: number, actions: readonly OrchestratorAction[]) => onEpisode(actions),
    completeActivity: (_: string, __: number, result: unknown, error?: Error) =>
      onActivity(error === undefined ? { result } : { error: [error.name, error.message] }),
  });
  const worker = new TestOrchestrationWorker(backend);
  const members = worker as unknown as {
    processOrchestration(instance: object): Promise<void>;
    processActivity(task: object): Promise<void>;
  };
  if (options !== undefined) withDurableTelemetry(worker, options);
  register(worker, tasks, seen);
  return {
    episode: (past, fresh) => {
      void members.processOrchestration({
        instanceId: "instance",
        completionToken: 1,
        history: past,
        pendingEvents: fresh,
      });
      return made(episode.then(readable));
    },
    activity: () => {
      void members.processActivity({ instanceId: "instance", name: "work", taskId: 1 });
      return made(activity);
    },
  };
}

type EntryOf = (tasks: Tasks, seen: unknown[], options?: DurableTelemetryOptions) => Entry;
const entries: Readonly<Record<string, EntryOf>> = { "the request path": requestPath, "in memory": inMemory };

const start = (): HistoryEvent[] => startEvents({ name: "main" });
const scheduled = (id: number): HistoryEvent => events.newTaskScheduledEvent(id, "work", undefined);

/** Episodes of an orchestrator that schedules `work`: the first one, and some in which it completes or fails. */
const episodes: readonly (() => { past: HistoryEvent[]; fresh: HistoryEvent[] })[] = [
  () => ({ past: [], fresh: start() }),
  () => ({ past: [...start(), scheduled(1)], fresh: [events.newTaskFailedEvent(1, new Error("failed"))] }),
  () => ({ past: [...start(), scheduled(1)], fresh: [events.newTaskCompletedEvent(1, "1")] }),
  () => ({
    past: [...start(), scheduled(1), events.newTaskCompletedEvent(1, "1"), scheduled(2)],
    fresh: [events.newTaskCompletedEvent(2, "1")],
  }),
];

async function episodesUnder(
  entry: EntryOf,
  orchestrator: HostileOrchestrator,
  count: number,
  options?: DurableTelemetryOptions,
): Promise<unknown[]> {
  const seen: unknown[] = [];
  const results: unknown[] = [];
  for (const episode of episodes.slice(0, count)) {
    const { past, fresh } = episode();
    results.push(await entry({ orchestrator }, seen, options).episode(past, fresh));
  }
  return [...results, seen];
}

async function activityUnder(
  entry: EntryOf,
  activity: HostileActivity,
  options?: DurableTelemetryOptions,
): Promise<unknown[]> {
  const seen: unknown[] = [];
  return [await entry({ activity }, seen, options).activity(), seen];
}

/** Expects that `run` comes to the same under each of the pipelines as under none; returns that. */
async function expectSame(run: (options?: DurableTelemetryOptions) => Promise<unknown[]>): Promise<unknown[]> {
  const bare = await run();
  for (const [name, options] of Object.entries(pipelines))
    expect([name, ...(await run(options))]).toEqual([name, ...bare]);
  return bare;
}

// The SDK's in-memory worker logs to the console.
beforeAll(() => {
  for (const method of ["info", "debug", "warn", "error"] as const)
    vi.spyOn(console, method).mockReturnValue(undefined);
});
afterAll(() => void vi.restoreAllMocks());

describe.each(Object.entries(entries))("Hostile code, %s,", (_, entry) => {
  it("D3 ends as without a pipeline: every value in every place of an orchestrator", async () => {
    const spans = recordSpans();
    recordLogs();
    const ends = new Set<unknown>();
    for (const orchestrator of everyValueInEveryPlace) {
      const same = await expectSame((options) => episodesUnder(entry, orchestrator, 2, options));
      for (const end of same.slice(0, -1)) ends.add(end);
      spans.reset();
    }
    // They did not all end alike.
    expect(ends.size).toBeGreaterThan(30);
  });

  it("D3 ends as without a pipeline: random orchestrators", async () => {
    const spans = recordSpans();
    recordLogs();
    await fc.assert(
      fc.asyncProperty(hostileOrchestrators, async (orchestrator) => {
        await expectSame((options) => episodesUnder(entry, orchestrator, episodes.length, options));
        spans.reset();
      }),
      { numRuns: 300 },
    );
  });

  it("D3 ends as without a pipeline: every value as the end of an activity", async () => {
    const spans = recordSpans();
    recordLogs();
    for (const activity of hostileActivities) {
      await expectSame((options) => activityUnder(entry, activity, options));
      spans.reset();
    }
  });
});

const isHostile = (name: string): boolean => name === "main";

/** Middlewares that do to `main` what `hostile` says, in place of `next`, or after it. */
const hostileMiddlewares: Readonly<Record<string, (hostile: HostileOrchestrator) => Middleware>> = {
  "in place of next": (hostile) => ({
    name: "hostile",
    orchestration: (ctx, next) =>
      isHostile(ctx.name)
        ? (orchestratorOf(hostile, [])(ctx.orchestrationContext, undefined) as Promise<void>)
        : next(ctx),
  }),
  "after next, in a function": (hostile) => ({
    name: "hostile",
    orchestration: async (ctx, next) => {
      await next(ctx);
      if (isHostile(ctx.name))
        await (orchestratorOf(hostile, [])(ctx.orchestrationContext, undefined) as Promise<unknown>);
    },
  }),
  "after next, in a generator": (hostile) => ({
    name: "hostile",
    orchestration: async function* (ctx, next) {
      yield* next(ctx);
      if (isHostile(ctx.name)) yield orchestratorOf(hostile, [])(ctx.orchestrationContext, undefined) as never;
    },
  }),
};

const possibleEnds: Readonly<Record<string, ReadonlySet<string>>> = {
  "in place of next": new Set(["failed", "schedule"]),
  "after next, in a function": new Set(["failed", "completed"]),
  "after next, in a generator": new Set(["failed"]),
};

describe.each(Object.entries(hostileMiddlewares))("A middleware that is hostile %s", (place, middleware) => {
  it("O4 O9 fails its orchestration alone", async () => {
    const spans = recordSpans();
    recordLogs();
    const ends = new Set<string>();
    for (const hostile of everyValueInEveryPlace) {
      const worker = hostWorker({
        tracing: true,
        metrics: true,
        logging: true,
        use: [plain, middleware(hostile), durable],
      });
      worker.addNamedOrchestrator("main", () => "done");
      worker.addNamedOrchestrator("neighbour", () => "undisturbed");
      const run = (name: string): Promise<Made> =>
        made(
          worker
            .processOrchestratorRequest(
              orchestratorRequest(startEvents({ name }), [], { instanceId: name }).serializeBinary(),
            )
            .then((bytes) => shown(pb.OrchestratorResponse.deserializeBinary(bytes).getActionsList())),
        );
      const [end, neighbour] = await Promise.all([run("main"), run("neighbour")]);
      expect([hostile, neighbour]).toEqual([hostile, JSON.stringify(['1 completed "undisturbed"'])]);
      ends.add(/^\["-?\d (failed|completed|schedule)/.exec(end)?.[1] ?? `${end} of ${JSON.stringify(hostile)}`);
      spans.reset();
    }
    // Each of them ends, or waits for a task that it scheduled.
    expect(ends).toEqual(possibleEnds[place]);
  });
});
