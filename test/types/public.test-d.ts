// Checked by `npm run typecheck`: what the public types accept, refuse (`@ts-expect-error`) and infer.
import type { OrchestrationContext, Task, TaskHubGrpcWorker, TestOrchestrationWorker } from "@microsoft/durabletask-js";
import { expectTypeOf } from "vitest";
import { Keyv } from "keyv";
import { Keyv as Keyv6 } from "keyv-6";
import { caching } from "../../middlewares/index.ts";
import {
  ActivityCacheOutcome,
  createMiddlewareFeature,
  currentFeatures,
  defineMiddleware,
  runWithFeatures,
  withDurableTelemetry,
  type ActivityCache,
  type ActivityMiddleware,
  type ActivityMiddlewareContext,
  type CacheOutcome,
  type CacheRequest,
  type CacheStore,
  type DurableMiddleware,
  type Middleware,
  type MiddlewareFeatures,
  type MiddlewareFunction,
  type MiddlewareHost,
  type MiddlewareLogger,
  type MiddlewareObject,
  type OrchestrationMiddleware,
  type OrchestrationMiddlewareContext,
  type OrchestrationNext,
  type ParentOrchestration,
  type WithDurableTelemetry,
} from "../../src/index.ts";

interface Order {
  readonly total: number;
}
declare const worker: WithDurableTelemetry<TaskHubGrpcWorker>;

// X1, X2, X6: the members, read-only and generic.
export function contexts(
  orchestration: OrchestrationMiddlewareContext<Order, string>,
  activity: ActivityMiddlewareContext<Order, string>,
): void {
  expectTypeOf(orchestration.input).toEqualTypeOf<Order>();
  expectTypeOf(orchestration.result).toEqualTypeOf<string | undefined>();
  expectTypeOf(orchestration.failure).toEqualTypeOf<unknown>();
  expectTypeOf(orchestration.parent).toEqualTypeOf<ParentOrchestration | undefined>();
  expectTypeOf(orchestration.version).toEqualTypeOf<string | undefined>();
  expectTypeOf(orchestration.executionId).toEqualTypeOf<string | undefined>();
  expectTypeOf(orchestration.rawInput).toEqualTypeOf<string | undefined>();
  expectTypeOf(orchestration.tags).toEqualTypeOf<Readonly<Record<string, string>>>();
  expectTypeOf(orchestration.isReplaying).toEqualTypeOf<boolean>();
  expectTypeOf(orchestration.features).toEqualTypeOf<MiddlewareFeatures>();
  expectTypeOf(orchestration.logger).toEqualTypeOf<MiddlewareLogger>();
  expectTypeOf(orchestration.signal).toEqualTypeOf<AbortSignal>();
  expectTypeOf(orchestration.orchestrationContext).toEqualTypeOf<OrchestrationContext>();
  expectTypeOf(activity.taskId).toEqualTypeOf<number>();
  activity.setResult("a string");
  // @ts-expect-error a result of another type
  activity.setResult(5);
  // @ts-expect-error an orchestration's result can't be replaced
  orchestration.setResult("a string");
  // @ts-expect-error read-only
  orchestration.input = { total: 1 };
  // @ts-expect-error read-only
  activity.result = "other";
  // @ts-expect-error read-only
  orchestration.tags["tenant"] = "acme";
  expectTypeOf<OrchestrationMiddlewareContext["input"]>().toEqualTypeOf<unknown>();
}

// X6: what a middleware is typed for reaches its `next`.
worker.useOrchestrationMiddleware<Order, string>(async (ctx, next) => {
  expectTypeOf(ctx).toEqualTypeOf<OrchestrationMiddlewareContext<Order, string>>();
  expectTypeOf(await next(ctx)).toEqualTypeOf<string>();
  // @ts-expect-error next takes the context
  await next();
  // @ts-expect-error some other context
  await next({ ...ctx, input: 5 });
});
worker.useActivityMiddleware<Order, string>(async (ctx, next) => {
  expectTypeOf(ctx).toEqualTypeOf<ActivityMiddlewareContext<Order, string>>();
  expectTypeOf(await next(ctx)).toEqualTypeOf<string>();
});
// Without type arguments everything is unknown, and contexts are inferred.
worker.useOrchestrationMiddleware(async (ctx, next) => {
  expectTypeOf(ctx).toEqualTypeOf<OrchestrationMiddlewareContext>();
  expectTypeOf(await next(ctx)).toEqualTypeOf<unknown>();
});
worker.useActivityMiddleware(async (ctx, next) => {
  expectTypeOf(ctx).toEqualTypeOf<ActivityMiddlewareContext>();
  await next(ctx);
});
worker.useActivityMiddleware((ctx) => ctx.setResult(undefined));

// O9: durable middleware, alone, in an object, and by `use`.
worker.useOrchestrationMiddleware(async function* policy(ctx, next) {
  const limit: unknown = yield ctx.orchestrationContext.callActivity("limit");
  const result = yield* next(ctx);
  expectTypeOf(result).toEqualTypeOf<unknown>();
  void limit;
});
const durable: DurableMiddleware = async function* (ctx, next): AsyncGenerator<Task<unknown>, void, unknown> {
  yield ctx.orchestrationContext.createTimer(1);
  yield* next(ctx);
};
worker.use(durable).use({ name: "durable", orchestration: durable });
worker.use({
  name: "inferred",
  async *orchestration(ctx, next) {
    expectTypeOf(ctx).toEqualTypeOf<OrchestrationMiddlewareContext>();
    yield* next(ctx);
  },
  async activity(ctx, next) {
    expectTypeOf(ctx).toEqualTypeOf<ActivityMiddlewareContext>();
    await next(ctx);
  },
});
// R7: what else `use` takes, and what it does not.
const both: MiddlewareFunction = async (ctx, next) => {
  if (ctx.kind === "activity") expectTypeOf(ctx).toEqualTypeOf<ActivityMiddlewareContext>();
  else expectTypeOf(ctx).toEqualTypeOf<OrchestrationMiddlewareContext>();
  await next(ctx);
};
class Instance implements MiddlewareObject {
  readonly name = "instance";
  readonly activity: ActivityMiddleware<Order, string> = async (ctx, next) => void (await next(ctx));
}
expectTypeOf(worker.use(both).use(new Instance())).toEqualTypeOf<typeof worker>();
expectTypeOf(
  defineMiddleware({ name: "defined", activity: async (ctx, next) => void (await next(ctx)) }).name,
).toEqualTypeOf<string>();
const typed: OrchestrationMiddleware<Order, string> = async (ctx, next) => void (await next(ctx));
worker.use({ name: "typed", orchestration: typed });
// Written in place, a function needs no types; a generator that wants the orchestration's own goes to the object or the method.
worker.use(async (ctx, next) => {
  expectTypeOf(ctx.kind).toEqualTypeOf<"orchestration" | "activity">();
  await next(ctx);
});
worker.use(async function* (ctx, next) {
  if (ctx.kind === "orchestration") yield ctx.orchestrationContext.createTimer(1);
  yield* next(ctx);
});
const inPlace: Middleware[] = [async (ctx, next) => void (await next(ctx)), durable];
worker.use(async function* typedInPlace(ctx: OrchestrationMiddlewareContext, next: OrchestrationNext) {
  yield* next(ctx);
});
withDurableTelemetry({} as TaskHubGrpcWorker, { use: [...inPlace, async (ctx, next) => void (await next(ctx))] });
// @ts-expect-error around orchestrations only: for useOrchestrationMiddleware
worker.use(typed);
// @ts-expect-error around orchestrations only
worker.use(async (ctx: OrchestrationMiddlewareContext, next: OrchestrationNext) => next(ctx));
// @ts-expect-error any function has a name, and is no middleware object for that
worker.use((value: number) => value);
// @ts-expect-error no name
worker.use({ activity: async () => undefined });
// @ts-expect-error no middleware
worker.use("tracing");
// @ts-expect-error an unknown member
worker.use({ name: "odd", entity: async () => undefined });
// @ts-expect-error no such position
worker.use(both, { inside: "tracing" });
worker.use(both, { before: "tracing" }).use(both, { after: "tracing" });

// A1, O3: a middleware returns nothing. Only what next returned may be handed on.
worker.useActivityMiddleware((ctx, next) => next(ctx)).useOrchestrationMiddleware((ctx, next) => next(ctx));
worker.use((ctx, next) => next(ctx));
// @ts-expect-error a value has no effect; setResult sets a result
worker.useActivityMiddleware(async (ctx, next) => ({ result: await next(ctx), cached: true }));
// @ts-expect-error a value without a promise
worker.useActivityMiddleware((ctx) => ctx.taskId);
// @ts-expect-error a result can't be replaced
worker.useOrchestrationMiddleware(async (ctx, next) => String(await next(ctx)));
// @ts-expect-error a durable middleware returns nothing either
worker.useOrchestrationMiddleware(async function* valued(ctx, next) {
  yield* next(ctx);
  return 5;
});
// @ts-expect-error in a function around both
worker.use(async (ctx, next) => {
  await next(ctx);
  return 5;
});
// @ts-expect-error in an object
defineMiddleware({ name: "valued", activity: async (ctx, next) => Number(await next(ctx)) });
// @ts-expect-error with the type written out
const valued: ActivityMiddleware<Order, string> = async (ctx, next) => next(ctx).then((result) => `${result}!`);
worker.useActivityMiddleware(valued);

// R1, R5: a decorated worker is the worker, with more.
expectTypeOf(withDurableTelemetry({} as TaskHubGrpcWorker)).toExtend<TaskHubGrpcWorker & MiddlewareHost>();
expectTypeOf(withDurableTelemetry({} as TestOrchestrationWorker)).toExtend<TestOrchestrationWorker & MiddlewareHost>();
expectTypeOf(worker.middlewares).toEqualTypeOf<readonly string[]>();
interface Tuned extends TaskHubGrpcWorker {
  readonly tuned: true;
  build(): string;
}
export function decorateSubclass(own: Tuned): void {
  const decorated = withDurableTelemetry(own);
  expectTypeOf(decorated.tuned).toEqualTypeOf<true>();
  expectTypeOf(decorated.build()).toEqualTypeOf<string>();
  expectTypeOf(decorated.use(both).tuned).toEqualTypeOf<true>();
}

// A builder builds decorated workers, also after its own chained calls, and is still that builder.
declare class Builder {
  private readonly secret: string;
  name(name: string): this;
  build(address: string): TaskHubGrpcWorker;
}
export function decorateBuilder(builder: Builder, take: (builder: Builder) => void): void {
  const decorated = withDurableTelemetry(builder);
  expectTypeOf(decorated.build("a").middlewares).toEqualTypeOf<readonly string[]>();
  expectTypeOf(decorated.name("n").build("a").middlewares).toEqualTypeOf<readonly string[]>();
  take(decorated);
  // @ts-expect-error the parameters stay
  decorated.build();
  // @ts-expect-error a builder is no worker
  decorated.use(both);
}

// A builder whose methods say that they return its class, and not `this`, as the Azure-managed one's do.
declare class ManagedBuilder {
  private _options: object;
  connectionString(connectionString: string): ManagedBuilder;
  useWorkerId(id: string, strict?: boolean): ManagedBuilder;
  readonly hubs: readonly string[];
  describe(): string;
  build(): TaskHubGrpcWorker;
}
export function chain(builder: ManagedBuilder, take: (builder: ManagedBuilder) => void): void {
  const decorated = withDurableTelemetry(builder);
  const built = decorated.connectionString("Endpoint=…").useWorkerId("one").useWorkerId("two", true).build();
  expectTypeOf(built).toEqualTypeOf<TaskHubGrpcWorker & MiddlewareHost>();
  built.use(both).addNamedOrchestrator("plain", () => 1);
  expectTypeOf(decorated.connectionString("…")).toEqualTypeOf<WithDurableTelemetry<ManagedBuilder>>();
  expectTypeOf(decorated.describe()).toEqualTypeOf<string>();
  expectTypeOf(decorated.hubs).toEqualTypeOf<readonly string[]>();
  take(decorated.connectionString("…"));
  // @ts-expect-error the parameters stay
  decorated.useWorkerId(1);
}

// Options.
withDurableTelemetry({} as TaskHubGrpcWorker, {
  tracing: { tags: ["tenant"] },
  use: [both, durable, new Instance(), { name: "object", activity: async (ctx, next) => void (await next(ctx)) }],
  middlewares: (defaults) => [...defaults, both],
  awaitGuard: { middleware: "warn" },
});
// @ts-expect-error an unknown option
withDurableTelemetry({} as TaskHubGrpcWorker, { tracings: false });
// @ts-expect-error an unknown mode
withDurableTelemetry({} as TaskHubGrpcWorker, { awaitGuard: { middleware: "ignore" } });
// @ts-expect-error a promise of a list
withDurableTelemetry({} as TaskHubGrpcWorker, { middlewares: async (defaults: readonly Middleware[]) => defaults });
// @ts-expect-error not an object
withDurableTelemetry("localhost:4001");

// F1, F4: a key's type is the value's type.
const Count = createMiddlewareFeature<number>("count");
export function features(own: MiddlewareFeatures): void {
  expectTypeOf(own.get(Count)).toEqualTypeOf<number | undefined>();
  expectTypeOf(currentFeatures()).toEqualTypeOf<MiddlewareFeatures | undefined>();
  expectTypeOf(runWithFeatures(own, async () => "value")).toEqualTypeOf<Promise<string>>();
  own.set(Count, 1).has(Count);
  // The value does not widen the key's type.
  const Plan = createMiddlewareFeature<{ readonly plan: "free" | "pro" }>("plan");
  own.set(Plan, { plan: "pro" });
  const Mode = createMiddlewareFeature<"on" | "off">("mode");
  own.set(Mode, "on");
  // @ts-expect-error not one of the plans
  own.set(Plan, { plan: "gold" });
  own.delete(Count);
  // @ts-expect-error a value of another type
  own.set(Count, "1");
  // @ts-expect-error a name is no key
  own.get("count");
}

// C4, C7: stores that fit as they are, and what a cache gives.
export async function caches(redis: {
  get(key: string): Promise<string | null>;
  del(key: string): Promise<number>;
}): Promise<void> {
  const stores: readonly CacheStore[] = [new Keyv(), new Keyv<string>(), new Keyv6(), new Map<string, string>()];
  const cache = caching({
    activities: {
      quote: {
        ttl: "5m",
        key: ({ input }: CacheRequest<Order>) => input.total,
        namespace: ({ tags }) => tags["tenant"],
        shouldCache: (result) => result !== null,
      },
    },
    store: { get: (key) => redis.get(key), set: () => true, delete: (key) => redis.del(key) },
  });
  expectTypeOf(cache).toEqualTypeOf<ActivityCache>();
  expectTypeOf(cache.delete("quote", { total: 1 }, { tags: { tenant: "a" } })).toEqualTypeOf<Promise<void>>();
  expectTypeOf(currentFeatures()?.get(ActivityCacheOutcome)).toEqualTypeOf<CacheOutcome | undefined>();
  withDurableTelemetry(worker, { caching: cache });
  withDurableTelemetry(worker, { caching: { activities: { quote: { ttl: 300_000 } } } });
  // @ts-expect-error there is nothing to cache by default
  withDurableTelemetry(worker, { caching: true });
  // @ts-expect-error a time to live is needed
  caching({ activities: { quote: {} } });
  // @ts-expect-error a store has a delete
  caching({ activities: {}, store: { get: () => undefined, set: () => true } });
  await stores[0]?.get("x");
}
