import type { Task } from "@microsoft/durabletask-js";
import type { ActivityMiddlewareContext, OrchestrationMiddlewareContext } from "./context.ts";
import type { WorkItemMiddleware } from "./work-item.ts";

/**
 * What `next(ctx)` returns: a promise to `await` or to return, or an iterable to `yield*` from a durable (generator)
 * middleware (contract.md O9).
 */
export interface NextResult<TResult> extends Promise<TResult> {
  [Symbol.asyncIterator](): AsyncIterator<Task<unknown>, TResult, unknown>;
}

/** Runs the rest of an orchestration's pipeline. Call it exactly once, with the context that you received, and await it (O1). */
export type OrchestrationNext<TInput = unknown, TResult = unknown> = (
  ctx: OrchestrationMiddlewareContext<TInput, TResult>,
) => NextResult<TResult>;

/** Runs the rest of an activity's pipeline. Call it at most once, with the context that you received, and await it (A1). */
export type ActivityNext<TInput = unknown, TResult = unknown> = (
  ctx: ActivityMiddlewareContext<TInput, TResult>,
) => NextResult<TResult>;

// The methods below make these types bivariant: a middleware that is typed for one input fits where any is asked for.
interface OrchestrationShape<TInput, TResult> {
  run(
    ctx: OrchestrationMiddlewareContext<TInput, TResult>,
    next: OrchestrationNext<TInput, TResult>,
  ): PromiseLike<void> | NextResult<unknown> | DurableSteps;
}
interface ActivityShape<TInput, TResult> {
  run(
    ctx: ActivityMiddlewareContext<TInput, TResult>,
    next: ActivityNext<TInput, TResult>,
  ): PromiseLike<void> | NextResult<unknown> | void;
}

/** What a durable middleware is at run time: an async generator that yields the SDK's durable tasks. */
export type DurableSteps<TNext = unknown> = AsyncGenerator<Task<unknown>, void, TNext>;

/**
 * Code around an orchestration. An `async` function awaits `next(ctx)`; an async generator can also `yield` durable
 * tasks, and runs the rest with `yield* next(ctx)` (O9). It obeys the rules of orchestrator code (D1). It returns
 * nothing: a result can't be replaced (O3), and a returned value causes a warning.
 */
export type OrchestrationMiddleware<TInput = unknown, TResult = unknown> = OrchestrationShape<TInput, TResult>["run"];

/**
 * Code around an activity. It awaits `next(ctx)`, or calls `ctx.setResult(value)` instead (A1). It returns nothing: a
 * returned value has no effect and causes a warning.
 */
export type ActivityMiddleware<TInput = unknown, TResult = unknown> = ActivityShape<TInput, TResult>["run"];

/** Orchestration middleware as an async generator (O9). */
export type DurableMiddleware = (ctx: OrchestrationMiddlewareContext, next: OrchestrationNext) => DurableSteps;

/** The context of a middleware function that runs around both kinds of task; `kind` distinguishes them. */
export type MiddlewareContext = OrchestrationMiddlewareContext | ActivityMiddlewareContext;

/** A function around both orchestrations and activities. */
export type MiddlewareFunction = (
  ctx: MiddlewareContext,
  next: (ctx: MiddlewareContext) => NextResult<unknown>,
) => PromiseLike<void> | NextResult<unknown> | DurableSteps;

/**
 * A named middleware. An object has these members and no others; an instance of a class may have more, and its methods
 * keep their `this` (R7).
 */
export interface MiddlewareObject {
  /** Unique on a worker. */
  readonly name: string;
  readonly orchestration?: OrchestrationMiddleware | undefined;
  readonly activity?: ActivityMiddleware | undefined;
  /**
   * Hooks around whole work items, the SDK's own work included (contract.md W1 to W6): a work item may never reach the
   * task's function, as a rewind does, or a task that is not registered.
   */
  readonly workItem?: WorkItemMiddleware | undefined;
}

/** What `use` accepts: a function around both kinds of task, a durable middleware, or an object. */
export type Middleware = MiddlewareFunction | (DurableMiddleware & NotInferred) | (MiddlewareObject & NotAFunction);

// TypeScript infers the parameters of a function that is written in place from one function type only. A second,
// generic signature takes `DurableMiddleware` out of that, so that `use(async (ctx, next) => …)` needs no types.
type NotInferred = <T>(
  ctx: OrchestrationMiddlewareContext,
  next: OrchestrationNext,
  unused?: readonly [T, T],
) => DurableSteps;

// Every function has a name, and would pass for a middleware object.
interface NotAFunction {
  readonly call?: never;
}

/** A member of a pipeline, as the engine calls it. */
export interface Member {
  readonly name: string;
  readonly orchestration: OrchestrationMiddleware | undefined;
  readonly activity: ActivityMiddleware | undefined;
  readonly workItem: WorkItemMiddleware | undefined;
}

/** Which tasks a bare function runs around. */
export type FunctionScope = "orchestration" | "activity" | "both";

/**
 * Infers the types of a middleware object, and checks it where it is written instead of where it is used (R7).
 *
 * @returns the same object.
 * @throws TypeError if it has no name, no function, or an unknown member; instances of classes may have more members.
 * @example
 * export const audit = defineMiddleware({
 *   name: "audit",
 *   async orchestration(ctx, next) { ctx.logger.info(`${ctx.name} runs`); await next(ctx); },
 *   async activity(ctx, next) { await next(ctx); },
 * });
 */
export function defineMiddleware<T extends MiddlewareObject>(middleware: T & MiddlewareObject): T {
  toMember(middleware, "both");
  return middleware;
}

/**
 * The member that `middleware` makes.
 *
 * @throws TypeError if it is not a middleware.
 */
export function toMember(middleware: unknown, scope: FunctionScope): Member {
  if (typeof middleware === "function") return functionMember(middleware, scope);
  if (typeof middleware !== "object" || middleware === null) {
    throw new TypeError(
      `A middleware must be a function or an object { name, orchestration?, activity?, workItem? }, not ${middleware === null ? "null" : typeof middleware}.`,
    );
  }
  const { name, orchestration, activity, workItem } = middleware as Partial<MiddlewareObject>;
  if (typeof name !== "string" || name === "") {
    throw new TypeError("A middleware object needs a name: a non-empty string, unique on the worker.");
  }
  checkMembers(name, middleware);
  for (const [member, value] of Object.entries({ orchestration, activity, workItem })) {
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`Middleware "${name}": ${member} must be a function, not ${typeof value}.`);
    }
  }
  if (orchestration === undefined && activity === undefined && workItem === undefined) {
    throw new TypeError(
      `Middleware "${name}" has neither an orchestration nor an activity nor a workItem function; give it at least one.`,
    );
  }
  // Bound, so that a class instance's methods keep their `this`.
  return {
    name,
    orchestration: orchestration?.bind(middleware),
    activity: activity?.bind(middleware),
    workItem: workItem?.bind(middleware),
  };
}

const members: Readonly<Record<keyof MiddlewareObject, true>> = {
  name: true,
  orchestration: true,
  activity: true,
  workItem: true,
};

// A member that is spelled wrong would do nothing. Instances of classes have members of their own.
function checkMembers(name: string, middleware: object): void {
  const prototype: unknown = Object.getPrototypeOf(middleware);
  if (prototype !== Object.prototype && prototype !== null) return;
  const unknown = Object.keys(middleware).find((member) => !Object.hasOwn(members, member));
  if (unknown !== undefined) {
    const known = Object.keys(members).join(", ");
    throw new TypeError(
      `Middleware "${name}" has an unknown member "${unknown}"; the members are ${known}. Keep state in a class or outside.`,
    );
  }
}

// `Object.prototype.toString` distinguishes the kinds of function.
function functionMember(middleware: object, scope: FunctionScope): Member {
  const fn = middleware as OrchestrationMiddleware & ActivityMiddleware;
  const kind = Object.prototype.toString.call(fn);
  if (/^class\b/.test(Function.prototype.toString.call(fn))) {
    throw new TypeError(`Middleware "${fn.name}" is a class; add an instance of it: new ${fn.name}().`);
  }
  if (kind === "[object GeneratorFunction]") {
    throw new TypeError(
      `Middleware "${fn.name}" is a plain generator; a durable middleware is an async generator: async function* (O9).`,
    );
  }
  const durable = kind === "[object AsyncGeneratorFunction]";
  if (durable && scope === "activity") {
    throw new TypeError(
      `Middleware "${fn.name}" is a generator: only orchestration middleware can yield durable tasks (O9).`,
    );
  }
  return {
    name: fn.name,
    orchestration: scope === "activity" ? undefined : fn,
    activity: scope === "orchestration" || durable ? undefined : fn,
    workItem: undefined,
  };
}
