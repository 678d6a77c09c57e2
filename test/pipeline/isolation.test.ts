import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { currentLogger, type MiddlewareLogger, type MiddlewareObject } from "../../src/index.ts";
import { onFault } from "../../src/telemetry/isolate.ts";
import type { Steps } from "../harness.ts";
import { bareWorker, hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";
import { expectNoUnhandledRejections, macrotask } from "./cases.ts";
import { shown } from "./episodes.ts";

expectNoUnhandledRejections();

function thenable(then: (resolve: (value?: unknown) => void, reject: (error: unknown) => void) => void): unknown {
  // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the point
  return { then };
}

/** How a callback can misbehave with `fault`, and whether there is something to report. */
const misbehaviours: Readonly<
  Record<string, { readonly run: (fault: unknown) => unknown; readonly isFault: boolean }>
> = {
  throws: {
    run: (fault) => {
      throw fault;
    },
    isFault: true,
  },
  "throws a proxy that has been revoked": {
    run: () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      throw proxy;
    },
    isFault: true,
  },
  "is asynchronous and rejects": { run: async (fault) => Promise.reject(fault), isFault: true },
  "rejects some turns of the event loop later": {
    run: async (fault) => (await macrotask(), Promise.reject(fault)),
    isFault: true,
  },
  "returns a rejected promise with another then": {
    // oxlint-disable-next-line unicorn/no-thenable -- the promise has a then either way
    run: (fault) => Object.defineProperty(Promise.reject(fault), "then", { value: () => undefined }),
    isFault: true,
  },
  "returns a thenable that rejects, twice, and throws": {
    run: (fault) =>
      thenable((_, reject) => {
        reject(fault);
        reject(new Error("a second answer"));
        throw new Error("a third answer");
      }),
    isFault: true,
  },
  "returns a thenable that resolves, and then throws": {
    run: () =>
      thenable((resolve) => {
        resolve();
        throw new Error("a second answer");
      }),
    isFault: false,
  },
  "returns a thenable that throws": {
    run: (fault) =>
      thenable(() => {
        throw fault;
      }),
    isFault: true,
  },
  "returns what has a getter of then that throws": {
    run: (fault) => ({
      // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the point
      get then(): never {
        throw fault;
      },
    }),
    isFault: true,
  },
  "returns a promise that never settles": { run: () => new Promise(() => undefined), isFault: false },
  "returns a thenable that never calls back": { run: () => thenable(() => undefined), isFault: false },
};

interface Case {
  /** The file that calls it, in `src/`. */
  readonly file: string;
  /** The worker's set-up, and the misbehaviour. */
  readonly use?: (misbehave: () => unknown) => MiddlewareObject;
  /** Called by the orchestrator and by the activity. */
  readonly inCode?: (misbehave: () => unknown) => void;
  /** Whether the orchestrator awaits something that is not durable, of which the engine warns. */
  readonly awaits?: boolean;
  readonly logger?: (misbehave: () => unknown) => Partial<MiddlewareLogger>;
  /** How often it is called in an episode and an activity together. */
  readonly calls: number;
  /** How many causes they have; each has a line of its own. */
  readonly causes: number;
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
const hooked = (workItem: NonNullable<MiddlewareObject["workItem"]>): MiddlewareObject => ({
  name: "hooked",
  workItem,
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
    causes: 1,
  },
  "the hooks of a work item": {
    file: "pipeline/isolated-hooks.ts",
    use: (misbehave) =>
      hooked(() => ({ onStart: misbehave, onResponse: misbehave, onAcknowledged: misbehave, onEnd: misbehave })),
    calls: 8,
    causes: 8,
  },
  "the hook for a custom status": {
    file: "pipeline/isolated-hooks.ts",
    use: (misbehave) => ({
      ...hooked(() => ({ onCustomStatus: misbehave })),
      async orchestration(ctx, next) {
        ctx.orchestrationContext.setCustomStatus("there");
        await next(ctx);
      },
    }),
    calls: 1,
    causes: 1,
  },
  "the scope of a work item": {
    file: "pipeline/run-through.ts",
    use: (misbehave) =>
      hooked(() => ({
        scope: <T>(execute: () => T): T => {
          execute();
          return misbehave() as T;
        },
      })),
    calls: 2,
    causes: 2,
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
    causes: 1,
  },
  "the logger, by currentLogger()": {
    file: "pipeline/logger.ts",
    logger: failingLogger,
    use: () => ({ name: "there", orchestration: (ctx, next) => next(ctx), activity: (ctx, next) => next(ctx) }),
    inCode: () => logAll(currentLogger()),
    calls: 8,
    causes: 1,
  },
  "the logger, for a warning of the engine's": {
    file: "worker/host.ts",
    logger: (misbehave) => ({
      warn: (message) => (message.includes("awaits something") ? (misbehave() as undefined) : undefined),
    }),
    awaits: true,
    use: () => ({ name: "there", orchestration: (ctx, next) => next(ctx) }),
    calls: 1,
    causes: 1,
  },
};

interface Internals {
  _executeActivityInternal(request: pb.ActivityRequest, token: string, stub: object): Promise<void>;
}

/** Runs an episode that goes on waiting, and an activity; returns what the backend gets. */
async function runBoth(worker: TaskHubGrpcWorker, inCode: () => void, awaits = false): Promise<unknown> {
  worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<void> {
    inCode();
    if (awaits) await macrotask();
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
    completeActivityTask: (
      response: pb.ActivityResponse,
      _: unknown,
      callback: (error: unknown, result: object) => void,
    ) => {
      callback(null, {});
      resolve(response);
    },
  };
  const request = new pb.ActivityRequest()
    .setName("work")
    .setTaskid(1)
    .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("instance"));
  await (worker as unknown as Internals)._executeActivityInternal(request, "", stub);
  const activity = await promise;
  return [
    shown(episode.getActionsList()),
    activity.getResult()?.getValue(),
    activity.getFailuredetails()?.getErrormessage(),
  ];
}

let faults = 0;
beforeAll(() => onFault(() => void (faults += 1)));
beforeEach(() => {
  faults = 0;
  vi.useFakeTimers({ toFake: ["setTimeout"] });
});
afterEach(() => void vi.useRealTimers());
const aMinute = 60_000;

describe.each(Object.entries(callbacks))("K1 A callback that misbehaves, %s,", (_, each) => {
  it.each(Object.entries(misbehaviours))(
    "changes nothing, is counted each time and logged once: it %s",
    async (_name, { run, isFault }) => {
      const expected = await runBoth(bareWorker(), () => undefined);
      const fault = new RangeError("a fault of the callback");
      let calls = 0;
      const misbehave = (): unknown => {
        calls += 1;
        return run(fault);
      };
      const lines: string[] = [];
      const own = each.logger?.(misbehave);
      const at =
        (level: (typeof levels)[number]) =>
        (message: string): void => {
          if (message.endsWith("The workflow goes on without it.")) lines.push(message);
          return own?.[level]?.(message);
        };
      const logger: MiddlewareLogger = { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
      const worker = hostWorker(each.use ? { use: [each.use(misbehave)] } : {}, { logger });
      expect(await runBoth(worker, () => each.inCode?.(misbehave), each.awaits)).toEqual(expected);
      await macrotask();
      await macrotask();
      const logged = lines.length;
      vi.advanceTimersByTime(3 * aMinute);
      expect(calls).toBe(each.calls);
      expect(faults).toBe(isFault ? calls : 0);
      expect(logged).toBe(isFault ? each.causes : 0);
      // The rest is in one line for each cause, a minute later.
      const more = lines.slice(logged).map((line) => Number(/\((\d+) more within a minute\)/.exec(line)?.[1]));
      expect(more.reduce((sum, count) => sum + count, logged)).toBe(isFault ? calls : 0);
    },
  );
});

it("K1 There is a test for each place in the engine that calls a function which it does not need", () => {
  const root = new URL("../../src/", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    // What telemetry calls has a table of its own: test/telemetry/isolation-table.test.ts.
    .filter((file) => /^(?:pipeline|worker)\/.*\.ts$/.test(file))
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
          ctx.onSuspend(async () => Promise.reject(new Error("asynchronous")));
          ctx.onSuspend(() => {
            throw new Error("thrown");
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
  const response = await runEpisode(
    worker,
    orchestratorRequest([events.newTaskCompletedEvent(1, "1")], [...past, events.newTaskScheduledEvent(1, "work")]),
  );
  expect(shown(response.getActionsList())).toEqual(["2 completed"]);
});
