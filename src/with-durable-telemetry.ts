import { caching, type ActivityCache, type CachingOptions } from "../middlewares/caching/index.ts";
import { logging, type LoggingOptions } from "../middlewares/logging/index.ts";
import { metrics, type MetricsOptions } from "../middlewares/metrics/index.ts";
import { propagation, type PropagateOptions } from "../middlewares/propagation/index.ts";
import {
  checkTracerProvider,
  silenceUnfitProviders,
  tracing,
  type TracingOptions,
} from "../middlewares/tracing/index.ts";
import {
  aBoolean,
  aFunction,
  anArray,
  anObject,
  checkOptions,
  oneOf,
  type OptionRule,
  type OptionRules,
} from "./options.ts";
import {
  Pipeline,
  type ActivityMiddleware,
  type AwaitGuardOptions,
  type Middleware,
  type MiddlewareObject,
  type OrchestrationMiddleware,
  type Position,
} from "./pipeline/index.ts";
import { startupProblems } from "./telemetry/startup-check.ts";
import { isRuntimeSupported } from "./runtime.ts";
import { wrapMethod } from "./worker/members.ts";
import { attachToClient, clientIn, isClient } from "./worker/dapr-client.ts";
import { workerIn } from "./worker/dapr-worker.ts";
import { adapterFor, attach, isAttached, isWorker, markAttached, pipelineFor } from "./worker/attach.ts";

/** Options of {@link withDurableTelemetry}. */
export interface DurableTelemetryOptions {
  /** `false` removes tracing, an object configures it. On by default. */
  readonly tracing?: TracingOptions | boolean | undefined;
  /** `false` removes metrics, an object configures them. On by default. */
  readonly metrics?: MetricsOptions | boolean | undefined;
  /** `false` removes logging, an object configures it. On by default: OpenTelemetry log records only, see {@link LoggingOptions}. */
  readonly logging?: LoggingOptions | boolean | undefined;
  /**
   * The activity cache: its options, or the result of `caching(options)` if you need the handle to invalidate entries.
   * Off by default (telemetry.md C1). It is the innermost middleware: all others see hits too (contract.md R6).
   */
  readonly caching?: CachingOptions | ActivityCache | false | undefined;
  /**
   * Hands tags of an orchestration, and W3C baggage of its caller, to its activities, its sub-orchestrations and the execution
   * that continues it as new, as tags on their actions. Nothing that it does not name goes on (contract.md P1). Off by
   * default: it is the only option that changes what an orchestration schedules (contract.md D3).
   */
  readonly propagate?: PropagateOptions | false | undefined;
  /** Custom middleware, in order, inside the built-in telemetry (contract.md R6). */
  readonly use?: readonly Middleware[] | undefined;
  /**
   * Full control of the list: gets the middleware that the other options produce, outermost first, and returns the
   * list to use.
   */
  readonly middlewares?: ((defaults: readonly Middleware[]) => readonly Middleware[]) | undefined;
  /** What to do when orchestration code awaits something that is not durable (contract.md D2). */
  readonly awaitGuard?: AwaitGuardOptions | undefined;
  /**
   * Whether the worker's logger warns at the first `worker.start()` if the telemetry of the built-in middleware can't be
   * exported: no provider is registered, another copy of the OpenTelemetry API interferes, or the tracer provider can't
   * give spans their identity (telemetry.md I12). If such a provider is registered later, the warning comes at a work
   * item. On by default.
   */
  readonly startupCheck?: boolean | undefined;
}

/** What {@link withDurableTelemetry} adds to a worker. */
export interface MiddlewareHost {
  /**
   * Adds a middleware: innermost, or `before` or `after` a named one (contract.md R2, R5). A plain function runs
   * around orchestrations and activities, an async generator function around orchestrations only.
   *
   * @throws Error if the worker is running (R4), or a name is a duplicate or unknown. TypeError if it is not a middleware.
   * @example worker.use({ name: "audit", activity: async (ctx, next) => { await next(ctx); } }, { before: "tracing" });
   */
  use(middleware: Middleware, position?: Position): this;
  /** Adds a function around orchestrations. Throws like {@link use}. */
  useOrchestrationMiddleware<TInput = unknown, TResult = unknown>(
    middleware: OrchestrationMiddleware<TInput, TResult>,
    position?: Position,
  ): this;
  /** Adds a function around activities. Throws like {@link use}. */
  useActivityMiddleware<TInput = unknown, TResult = unknown>(
    middleware: ActivityMiddleware<TInput, TResult>,
    position?: Position,
  ): this;
  /** The names of the worker's middlewares, outermost first (R5). */
  readonly middlewares: readonly string[];
}

/** Any object that builds a worker, like the Azure-managed worker builder. */
export interface WorkerBuilder<TWorker extends object = object> {
  build(...args: never[]): TWorker;
}

/** A client of Dapr Workflow: `DaprWorkflowClient`, or the `TaskHubGrpcClient` of `@dapr/durabletask-js`. */
export type WorkflowClient =
  | { scheduleNewWorkflow(...args: never[]): unknown }
  | { scheduleNewOrchestration(...args: never[]): unknown };

/**
 * What {@link withDurableTelemetry} returns: the same worker with {@link MiddlewareHost}, a builder of such workers, or
 * the same client.
 */
export type WithDurableTelemetry<T> = T extends WorkflowClient
  ? T
  : T extends { start(...args: never[]): unknown }
    ? T & MiddlewareHost
    : T extends { build(...args: infer TArgs): infer TWorker }
      ? // An intersection, so that the builder's private members stay, and its methods that return `this` return this type.
        { build(...args: TArgs): TWorker & MiddlewareHost } & ChainedMethods<T> & T
      : T & MiddlewareHost;

/** The methods of a builder that return the builder: they return the decorated one. */
type ChainedMethods<T> = {
  [Name in keyof T as T[Name] extends (...args: never[]) => T ? Name : never]: T[Name] extends (
    ...args: infer TArgs
  ) => T
    ? (...args: TArgs) => WithDurableTelemetry<T>
    : never;
};

const builtIn = (name: string): OptionRule => ({
  is: `an object with ${name} options, true or false`,
  test: (value) => aBoolean.test(value) || anObject.test(value),
});

const rules: OptionRules<DurableTelemetryOptions> = {
  tracing: builtIn("tracing"),
  metrics: builtIn("metrics"),
  logging: builtIn("logging"),
  caching: {
    is: "an object with caching options, what caching() returned, or false",
    test: (value) => value === false || anObject.test(value),
  },
  propagate: {
    is: "an object that names what is handed on, or false",
    test: (value) => value === false || anObject.test(value),
  },
  use: anArray,
  middlewares: aFunction,
  awaitGuard: anObject,
  startupCheck: aBoolean,
};

const guardRules: OptionRules<AwaitGuardOptions> = {
  middleware: oneOf("fail", "warn", "off"),
  orchestrator: oneOf("fail", "warn", "off"),
};

/**
 * Adds telemetry to a Durable Task worker: a pipeline of middleware around every orchestration and activity, with the
 * middleware of this package in it. Call it before `worker.start()`.
 *
 * A client of Dapr Workflow gets the span `create_orchestration:NAME` for each orchestration that it schedules, and
 * sends its context along, as the Durable Task SDK's client does itself.
 *
 * @param worker a `TaskHubGrpcWorker` or a subclass, a `TestOrchestrationWorker`, Dapr's `WorkflowRuntime`, or a builder
 *   with `build()`, whose workers are decorated; or a `DaprWorkflowClient`, which takes no options.
 * @returns the same object.
 * @throws TypeError for unknown options, wrong types, or an object that is not a worker; Error for a worker that is
 *   running, is decorated already, or has an unsupported SDK version. The worker is unchanged then.
 * @example
 * const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress }), { use: [audit] });
 */
export function withDurableTelemetry<T extends object>(
  worker: T,
  options: DurableTelemetryOptions = {},
): WithDurableTelemetry<T> {
  if (typeof worker === "object" && worker !== null && isClient(worker)) {
    decorateClient(worker, options);
    return worker as WithDurableTelemetry<T>;
  }
  // A worker that happens to have a method `build` is a worker.
  if (isBuilder(worker) && !isWorker(worker)) decorateBuilder(worker, options);
  else addMembers(worker, attachPipeline(worker, options));
  // Decorated in place: from here on the object has the members that the type says.
  return worker as unknown as WithDurableTelemetry<T>;
}

/**
 * The middleware that `options` request, outermost first (contract.md R6).
 *
 * @throws TypeError for unknown options and wrong types.
 */
export function compose(options: DurableTelemetryOptions): readonly Middleware[] {
  checkOptions<DurableTelemetryOptions>("withDurableTelemetry", options, rules);
  if (options.awaitGuard !== undefined) {
    checkOptions<AwaitGuardOptions>("withDurableTelemetry: awaitGuard", options.awaitGuard, guardRules);
  }
  const handing = typeof options.propagate === "object" ? propagation(options.propagate) : undefined;
  const defaults = [
    ...(handing === undefined ? [] : [handing.outer]),
    ...unlessLeftOut(options.tracing, tracing),
    ...unlessLeftOut(options.metrics, metrics),
    ...unlessLeftOut(options.logging, logging),
    ...(handing?.inner ?? []),
    ...(options.use ?? []),
    ...cacheOf(options.caching),
  ];
  const middlewares = options.middlewares === undefined ? defaults : options.middlewares(defaults);
  if (!Array.isArray(middlewares)) {
    throw new TypeError('withDurableTelemetry: option "middlewares" must return an array of middleware.');
  }
  return middlewares;
}

function unlessLeftOut<TOptions extends object>(
  option: TOptions | boolean | undefined,
  make: (options?: TOptions) => MiddlewareObject,
): readonly MiddlewareObject[] {
  if (option === false) return [];
  return [typeof option === "object" ? make(option) : make()];
}

function cacheOf(option: DurableTelemetryOptions["caching"]): readonly MiddlewareObject[] {
  if (option === undefined || option === false) return [];
  return ["activity" in option ? option : caching(option)];
}

/**
 * Runs all work of the worker that `host` is or has in the pipeline that `options` request. Adds no members to the worker.
 *
 * @param isStarting whether the first `start` of the worker is running already.
 * @throws like {@link withDurableTelemetry}.
 */
export function attachPipeline(host: object, options: DurableTelemetryOptions, isStarting = false): Pipeline {
  // The worker stays as it is then, and nothing runs what is put into the pipeline.
  if (!isRuntimeSupported()) return new Pipeline(() => false);
  const middlewares = compose(options);
  const worker = workerIn(host);
  const adapter = adapterFor(worker);
  const pipeline = pipelineFor(worker, adapter);
  // All checks come before the first change.
  fill(pipeline, middlewares, options);
  const onFirstStart = options.startupCheck === false ? undefined : checkAtStart;
  const { runFirstStart, report } = attach(worker, adapter, pipeline, { guard: options.awaitGuard, onFirstStart });
  if (options.startupCheck === false) silenceUnfitProviders(report);
  if (isStarting) runFirstStart();
  return pipeline;
}

function checkAtStart(pipeline: Pipeline, report: (message: string) => void): void {
  const warn = (problem: string): void =>
    report(`${problem} The option "startupCheck: false" of withDurableTelemetry silences this.`);
  for (const problem of startupProblems(pipeline.names)) warn(problem);
  if (pipeline.names.includes("tracing")) checkTracerProvider(warn);
}

/** Puts `middlewares` into a new pipeline; an error names the option that they come from. */
function fill(pipeline: Pipeline, middlewares: readonly Middleware[], options: DurableTelemetryOptions): void {
  try {
    pipeline.addAll(middlewares);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const origin = options.middlewares === undefined ? 'option "use"' : 'what option "middlewares" returned';
    throw new TypeError(`withDurableTelemetry: ${origin}: ${error.message}`, { cause: error });
  }
}

function addMembers(worker: object, pipeline: Pipeline): void {
  const add =
    (name: string, scope: "both" | "orchestration" | "activity") =>
    (middleware: unknown, position?: Position): object => {
      // An object says itself what it runs around.
      if (scope !== "both" && typeof middleware !== "function") {
        throw new TypeError(`${name}: the middleware must be a function; add an object with use.`);
      }
      pipeline.add(middleware, scope, position);
      return worker;
    };
  Object.defineProperties(worker, {
    use: { value: add("use", "both") },
    useOrchestrationMiddleware: { value: add("useOrchestrationMiddleware", "orchestration") },
    useActivityMiddleware: { value: add("useActivityMiddleware", "activity") },
    middlewares: { get: () => [...pipeline.names] },
  });
}

function decorateClient(host: object, options: DurableTelemetryOptions): void {
  const [key] = Object.keys(options);
  if (key !== undefined) {
    throw new TypeError(
      `withDurableTelemetry: a client takes no options, "${key}" neither: pass options with the worker.`,
    );
  }
  const client = clientIn(host);
  if (isAttached(client))
    throw new Error("withDurableTelemetry: this client has durable telemetry already; call it once.");
  attachClient(client);
}

/** Has `client` make its spans. Does nothing if it does already, or is none of Dapr's. @throws Error if it lacks a member. */
export function attachClient(client: object): void {
  if (!isRuntimeSupported() || !isClient(client) || isAttached(client)) return;
  attachToClient(client);
  markAttached(client, "client");
}

function isBuilder(worker: unknown): worker is { build: (...args: unknown[]) => object } {
  return typeof worker === "object" && worker !== null && "build" in worker && typeof worker.build === "function";
}

function decorateBuilder(builder: { build: (...args: unknown[]) => object }, options: DurableTelemetryOptions): void {
  // What is wrong with the options shows here, not when the builder builds.
  if (isRuntimeSupported()) fill(new Pipeline(() => false), compose(options), options);
  markAttached(builder, "builder");
  wrapMethod<unknown[], object>(builder, "build", (build) => (...args) => {
    const worker = build(...args);
    // Each worker gets middlewares of its own (R1).
    addMembers(worker, attachPipeline(worker, options));
    return worker;
  });
}
