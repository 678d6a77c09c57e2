/** Single calls of activities through a real worker, its JSON and its pipeline, and what the cache did about them. */
import { NoOpLogger, TaskHubGrpcWorker, type ActivityContext } from "@microsoft/durabletask-js";
import pb, {
  type ActivityRequest,
  type ActivityResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import {
  ActivityCacheOutcome,
  withDurableTelemetry,
  type ActivityMiddlewareContext,
  type CacheOutcome,
  type MiddlewareObject,
} from "../../src/index.ts";
import { PipelineCache } from "../../middlewares/caching/activity-cache.ts";
import type { CachedActivity, CachingOptions } from "../../middlewares/caching/index.ts";
import { realRuntime, type Runtime } from "../../middlewares/caching/runtime.ts";

interface Internals {
  _executeActivityInternal(request: ActivityRequest, token: string, stub: unknown): Promise<void>;
}

/** What came of a call. */
export interface Called {
  /** The result as it goes over the wire; `""` for none. */
  readonly json: string | undefined;
  readonly failure: string | undefined;
  readonly outcome: CacheOutcome | undefined;
}

export interface CallOptions {
  readonly version?: string | undefined;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface Calls {
  readonly cache: PipelineCache;
  /** How often the activity ran. */
  readonly runs: number;
  /** Runs an activity as the SDK does with an input that came over the wire. */
  call(input?: unknown, options?: CallOptions): Promise<Called>;
  /** The same with an input that is its JSON already. */
  callRaw(json: string, options?: CallOptions): Promise<Called>;
}

/** The name of the activity that is called. */
export const name = "quote";

/** The activity's part of a test. */
export type ActivityFunction = (input: unknown, run: number, ctx: ActivityContext) => unknown;

/** A worker with one activity. */
export function cachedWorker(
  {
    activity = { ttl: "5m" },
    use = [],
    inside = [],
    runtime = realRuntime,
    ...options
  }: Partial<CachingOptions> & {
    readonly activity?: CachedActivity;
    readonly use?: readonly MiddlewareObject[];
    /** Middleware inside of the cache. */
    readonly inside?: readonly MiddlewareObject[];
    readonly runtime?: Runtime;
  },
  activityFunction: ActivityFunction = (_, run) => run,
): Calls {
  const cache = new PipelineCache({ activities: { [name]: activity }, ...options }, runtime);
  const seen = new Map<number, ActivityMiddlewareContext>();
  const observer: MiddlewareObject = {
    name: "observer",
    activity: async (ctx, next) => {
      seen.set(ctx.taskId, ctx);
      await next(ctx);
    },
  };
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
    tracing: false,
    metrics: false,
    logging: false,
    use: [observer, ...use],
    caching: cache,
  });
  for (const each of inside) worker.use(each);
  let runs = 0;
  worker.addNamedActivity(name, (ctx: ActivityContext, input: unknown) => {
    runs += 1;
    return activityFunction(input, runs, ctx);
  });
  let tasks = 0;
  return {
    cache,
    get runs() {
      return runs;
    },
    call(input, own) {
      return this.callRaw(input === undefined ? "" : JSON.stringify(input), own);
    },
    async callRaw(json, { version, tags = {} } = {}) {
      tasks += 1;
      const task = tasks;
      const request = new pb.ActivityRequest()
        .setName(name)
        .setTaskid(task)
        .setInput(new wrappers.StringValue().setValue(json))
        .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid(`instance-${task}`));
      if (version !== undefined) request.setVersion(new wrappers.StringValue().setValue(version));
      for (const [key, value] of Object.entries(tags)) request.getTagsMap().set(key, value);
      const { promise, resolve } = Promise.withResolvers<ActivityResponse>();
      const completeActivityTask = (response: ActivityResponse, _: unknown, done: (error: null) => void): void => {
        resolve(response);
        done(null);
      };
      await (worker as unknown as Internals)._executeActivityInternal(request, "", { completeActivityTask });
      const response = await promise;
      const outcome = seen.get(task)?.features.get(ActivityCacheOutcome);
      seen.delete(task);
      return {
        json: response.getResult()?.getValue(),
        failure: response.getFailuredetails()?.getErrormessage(),
        outcome,
      };
    },
  };
}

/** A promise for many, with who waits at it: an activity function that runs until the test ends it. */
export class Gate {
  #open: () => void = () => undefined;
  #arrived: () => void = () => undefined;
  /** Resolves when the first one waits. */
  readonly reached: Promise<void> = new Promise((resolve) => (this.#arrived = resolve));
  readonly #opened: Promise<void> = new Promise((resolve) => (this.#open = resolve));

  /** Waits here. */
  pass(): Promise<void> {
    this.#arrived();
    return this.#opened;
  }

  open(): void {
    this.#open();
  }
}
