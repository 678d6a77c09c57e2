import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { currentLogger, type MiddlewareLogger, type MiddlewareObject } from "../../src/index.ts";
import { aroundWorkItem, type WorkItemMiddleware } from "../../src/pipeline/index.ts";
import type { Steps } from "../harness.ts";
import { bareWorker, hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";
import { expectNoUnhandledRejections, macrotask } from "./cases.ts";
import { shown } from "./episodes.ts";

expectNoUnhandledRejections();

const fault = new RangeError("a fault of the callback's");
const revoked = Proxy.revocable({}, {});
revoked.revoke();

function thenable(then: (resolve: (value?: unknown) => void, reject: (error: unknown) => void) => void): unknown {
  // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the point
  return { then };
}

/** How a callback can misbehave, and the error that it is reported with; `none` where there is nothing to report. */
const misbehaviours: Readonly<Record<string, { readonly run: () => unknown; readonly reported?: unknown }>> = {
  "throws": {
    run: () => {
      throw fault;
    },
    reported: fault,
  },
  "throws a proxy that has been revoked": {
    run: () => {
      throw revoked.proxy;
    },
    reported: revoked.proxy,
  },
  "is asynchronous and rejects": { run: async () => Promise.reject(fault), reported: fault },
  "rejects some turns of the event loop later": { run: async () => (await macrotask(), Promise.reject(fault)), reported: fault },
  "returns a rejected promise with another then": {
    // oxlint-disable-next-line unicorn/no-thenable -- the promise has a then either way
    run: () => Object.defineProperty(Promise.reject(fault), "then", { value: () => undefined }),
    reported: fault,
  },
  "returns a thenable that rejects, twice, and throws": {
    run: () =>
      thenable((_, reject) => {
        reject(fault);
        reject(new Error("a second answer"));
        throw new Error("a third answer");
      }),
    reported: fault,
  },
  "returns a thenable that resolves, and then throws": {
    run: () =>
      thenable((resolve) => {
        resolve();
        throw new Error("a second answer");
      }),
  },
  "returns a thenable that throws": {
    run: () =>
      thenable(() => {
        throw fault;
      }),
    reported: fault,
  },
  "returns what has a getter of then that throws": {
    run: () => ({
      // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the point
      get then(): never {
        throw fault;
      },
    }),
    reported: fault,
  },
  "returns a promise that never settles": { run: () => new Promise(() => undefined) },
  "returns a thenable that never calls back": { run: () => thenable(() => undefined) },
};

interface Case {
  /** The file that calls it, in `src/`. */
  readonly file: string;
  /** What is to be made of the worker, and the misbehaviour. */
  readonly use?: (misbehave: () => unknown) => MiddlewareObject | WorkItemMiddleware;
  /** Called by the orchestrator and by the activity. */
  readonly inCode?: (misbehave: () => unknown) => void;
  readonly logger?: (misbehave: () => unknown) => Partial<MiddlewareLogger>;
  /** How often it is called in an episode and an activity together. */
  readonly calls: number;
  /** Whether the report gets through: not where the logger that it goes to is what fails. */
  readonly silent?: boolean;
}

const levels = ["error", "warn", "info", "debug"] as const;
/** A logger that fails for what the code of tasks logs. It must not fail for the SDK's own lines, which the SDK does not isolate. */
const failingLogger = (misbehave: () => unknown): MiddlewareLogger => {
  const write = (message: string): void => {
    if (message === "task") return misbehave() as undefined;
  };
  return { error: write, warn: write, info: write, debug: write };
};
const logAll = (logger: MiddlewareLogger | undefined): void => {
  for (const level of levels) logger?.[level]("task");
};
const hooked = (register: WorkItemMiddleware[typeof aroundWorkItem]): WorkItemMiddleware => ({
  name: "hooked",
  activity: async (ctx, next) => void (await next(ctx)),
  ...(register && { [aroundWorkItem]: register }),
});

/** Every function of a user's that the engine calls and does not need. What must be called for the task itself is in `test/property/hostile.test.ts`. */
const callbacks: Readonly<Record<string, Case>> = {
  "ctx.onSuspend": {
    file: "pipeline/context.ts",
    use: (misbehave) => ({
      name: "suspending",
      async orchestration(ctx, next) {
        ctx.onSuspend(misbehave);
        await next(ctx);
      },
    }),
    calls: 1,
  },
  "a hook for the response and its acknowledgement": {
    file: "pipeline/work-item.ts",
    use: (misbehave) =>
      hooked((item, run) => {
        item.onResponse(misbehave);
        item.onDelivered(misbehave);
        return run();
      }),
    calls: 4,
  },
  "the logger, by ctx.logger": {
    file: "pipeline/logger.ts",
    logger: failingLogger,
    use: () => ({
      name: "writing",
      async orchestration(ctx, next) {
        logAll(ctx.logger);
        await next(ctx);
      },
      async activity(ctx, next) {
        logAll(ctx.logger);
        await next(ctx);
      },
    }),
    calls: 8,
  },
  "the logger, by currentLogger()": {
    file: "pipeline/logger.ts",
    logger: failingLogger,
    use: () => ({ name: "there", orchestration: (ctx, next) => next(ctx), activity: (ctx, next) => next(ctx) }),
    inCode: () => logAll(currentLogger()),
    calls: 8,
  },
  "the logger, for the engine's own report": {
    file: "worker/host.ts",
    logger: (misbehave) => ({ warn: (message) => (message.startsWith("durable-telemetry") ? (misbehave() as undefined) : undefined) }),
    use: () => ({
      name: "reporting",
      async orchestration(ctx, next) {
        ctx.onSuspend(() => {
          throw new Error("reported");
        });
        await next(ctx);
      },
    }),
    calls: 1,
    silent: true,
  },
};

interface Internals {
  _executeActivityInternal(request: pb.ActivityRequest, token: string, stub: object): Promise<void>;
}

/** Runs an episode that goes on waiting, and an activity; returns what the backend gets. */
async function runBoth(worker: TaskHubGrpcWorker, inCode: () => void): Promise<unknown> {
  worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<void> {
    inCode();
    yield ctx.callActivity("work");
  });
  worker.addNamedActivity("work", () => {
    inCode();
    return "worked";
  });
  const past = startEvents({ name: "main" });
  const episode = await runEpisode(worker, orchestratorRequest(past));
  const { promise, resolve } = Promise.withResolvers<pb.ActivityResponse>();
  const stub = {
    completeActivityTask: (response: pb.ActivityResponse, _: unknown, callback: (error: unknown, result: object) => void) => {
      callback(null, {});
      resolve(response);
    },
  };
  const request = new pb.ActivityRequest().setName("work").setTaskid(1).setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("instance"));
  await (worker as unknown as Internals)._executeActivityInternal(request, "", stub);
  const activity = await promise;
  return [shown(episode.getActionsList()), activity.getResult()?.getValue(), activity.getFailuredetails()?.getErrormessage()];
}

describe.each(Object.entries(callbacks))("K1 A callback that misbehaves, %s,", (_, each) => {
  it.each(Object.entries(misbehaviours))("changes nothing and is reported once for each call: it %s", async (_name, { run, reported }) => {
    const expected = await runBoth(bareWorker(), () => undefined);
    let calls = 0;
    const misbehave = (): unknown => {
      calls += 1;
      return run();
    };
    const reports: unknown[][] = [];
    const own = each.logger?.(misbehave);
    const note = (...args: [string, ...unknown[]]): void => {
      if (args[0].startsWith("durable-telemetry")) reports.push(args);
    };
    const at = (level: (typeof levels)[number]) => (...args: [string, ...unknown[]]) => (note(...args), own?.[level]?.(...args));
    const logger: MiddlewareLogger = { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
    const worker = hostWorker(each.use ? { use: [each.use(misbehave)] } : {}, { logger });
    expect(await runBoth(worker, () => each.inCode?.(misbehave))).toEqual(expected);
    await macrotask();
    await macrotask();
    expect(calls).toBe(each.calls);
    if (each.silent === true) return;
    // By identity, as nothing else can be done with a revoked proxy.
    expect(reports.map(([, error]) => error === reported)).toEqual(reported === undefined ? [] : Array.from({ length: calls }, () => true));
  });
});

it("K1 There is a test for each place in the engine that calls a function which it does not need", () => {
  const root = new URL("../../src/", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .filter((file) => /(?<!function )\bisolate\(/.test(readFileSync(new URL(file, root), "utf8")));
  expect(new Set(files)).toEqual(new Set(Object.values(callbacks).map(({ file }) => file)));
});

it("O7 A callback of onSuspend that fails does not keep the others from running", async () => {
  const ran: string[] = [];
  const worker = hostWorker({
    use: [
      {
        name: "suspending",
        async orchestration(ctx, next) {
          ctx.onSuspend((reason) => ran.push(reason));
          ctx.onSuspend(async () => Promise.reject(fault));
          ctx.onSuspend(() => {
            throw fault;
          });
          await next(ctx);
        },
      },
    ],
  });
  await runBoth(worker, () => undefined);
  expect(ran).toEqual(["waiting"]);
  // And an episode that comes later is as any other.
  const past = startEvents({ name: "main" });
  const response = await runEpisode(worker, orchestratorRequest([events.newTaskCompletedEvent(1, "1")], [...past, events.newTaskScheduledEvent(1, "work")]));
  expect(shown(response.getActionsList())).toEqual(["2 completed"]);
});
