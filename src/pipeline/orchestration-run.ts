import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { watch, type AwaitGuardMode, type AwaitGuardOptions, type Guarded } from "./await-guard.ts";
import { OrchestrationMiddlewareContextImpl, type Outcome } from "./context.ts";
import { joinFailures, MiddlewareContractError, NonDurableAwaitError } from "./errors.ts";
import type { DurableSteps, OrchestrationMiddleware } from "./middleware.ts";
import { NextPromise } from "./next-promise.ts";
import type { Stage } from "./pipeline.ts";
import type { EpisodeOutcome, EpisodeRun, OrchestrationWorkItem } from "./work-item.ts";

/** An orchestrator function, as the SDK registers it. */
export type Orchestrator = (ctx: OrchestrationContext, input: unknown) => unknown;

type Step = IteratorResult<unknown, unknown>;
/** Hands a resume on to the orchestrator's generator, or to a durable middleware's. */
type Drive = (method: "next" | "throw", value: unknown) => void;

/** A middleware during one episode. */
interface Frame {
  readonly index: number;
  readonly name: string;
  /** How what lies inside ended; `undefined` until then. */
  inner: Outcome | undefined;
  /** What `next` returned, once called. */
  next: NextPromise<unknown> | undefined;
  resolveNext: ((value: unknown) => void) | undefined;
  rejectNext: ((error: unknown) => void) | undefined;
  /** Rules that it broke; they can't be swallowed (O5). */
  readonly broken: MiddlewareContractError[];
  finished: boolean;
}

/**
 * One episode of an orchestration under the pipeline.
 *
 * To the SDK it is the async generator that an orchestrator returns. It starts the middlewares, each of which starts
 * the one inside it by calling `next`, and then hands every resume straight to whoever yielded last: the
 * orchestrator, or a durable middleware. The frames outside stay parked at their `next` meanwhile, so a resume costs
 * one promise, whatever the number of middleware. When the orchestrator is done, its outcome travels outwards, frame
 * by frame.
 */
export class OrchestrationRun implements EpisodeRun, Guarded {
  readonly #item: OrchestrationWorkItem;
  readonly #stages: readonly Stage<OrchestrationMiddleware>[];
  readonly #orchestrator: Orchestrator;
  readonly #ctx: OrchestrationMiddlewareContextImpl;
  readonly #guard: Required<AwaitGuardOptions>;
  readonly #frames: Frame[] = [];
  // The innermost level whose code runs: a frame's index, or the number of stages for the orchestrator.
  #level = 0;
  // Who yielded last, and so gets the next resume.
  #yielder: Drive | undefined;
  // The resume in flight.
  #resolve: ((step: Step) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #state: "new" | "running" | "finished" = "new";
  // A failure that came while no resume was in flight; the next resume gets it.
  #doom: Outcome | undefined;
  readonly #guardsAnything: boolean;
  #guarded = false;
  #warned = false;

  constructor(
    item: OrchestrationWorkItem,
    stages: readonly Stage<OrchestrationMiddleware>[],
    orchestrator: Orchestrator,
    context: OrchestrationContext,
    input: unknown,
    guard: Required<AwaitGuardOptions>,
  ) {
    this.#item = item;
    this.#stages = stages;
    this.#orchestrator = orchestrator;
    this.#ctx = new OrchestrationMiddlewareContextImpl(item, context, input, () => this.#level);
    this.#guard = guard;
    this.#guardsAnything = guard.middleware !== "off" || guard.orchestrator !== "off";
    item.run = this;
  }

  get running(): boolean {
    return this.#resolve !== undefined;
  }

  get isReplaying(): boolean {
    return this.#ctx.isReplaying;
  }

  get now(): Date {
    return this.#ctx.orchestrationContext.currentUtcDateTime;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(value?: unknown): Promise<Step> {
    return this.#resume("next", value);
  }

  throw(error: unknown): Promise<Step> {
    return this.#resume("throw", error);
  }

  end({ status }: EpisodeOutcome): void {
    this.#state = "finished";
    // A middleware whose own code ended has nothing left to close.
    const parked = (level: number): boolean => this.#frames[level]?.finished === false;
    if (status !== "completed" && status !== "rewound") this.#ctx.suspend(status, parked);
  }

  checkAwait(): void {
    this.#guarded = false;
    if (!this.running) return;
    const frame = this.#frames[this.#level];
    const mode: AwaitGuardMode = frame === undefined ? this.#guard.orchestrator : this.#guard.middleware;
    if (mode === "off") return;
    const error = new NonDurableAwaitError(frame?.name, this.#ctx.name);
    if (mode === "fail") {
      // What stays parked inside is dead: its outcome no longer counts. The frames outside may be at fault too.
      this.#watch();
      if (frame === undefined) this.#settleInside(this.#stages.length, { ok: false, error });
      else this.#finish(frame, { ok: false, error });
    } else if (!this.#warned) {
      this.#warned = true;
      this.#item.facts.report(error.message);
    }
  }

  #resume(method: "next" | "throw", value: unknown): Promise<Step> {
    return new Promise<Step>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (!this.#guarded && this.#guardsAnything) this.#watch();
      if (this.#doom !== undefined) this.#deliver(this.#doom);
      else if (this.#state === "new") {
        this.#state = "running";
        this.#enter(0);
      } else {
        this.#yielder?.(method, value);
      }
    });
  }

  #watch(): void {
    this.#guarded = true;
    watch(this);
  }

  // Starts the code of a level: a middleware, or the orchestrator.
  #enter(level: number): void {
    this.#level = level;
    const stage = this.#stages[level];
    if (stage === undefined) return this.#startOrchestrator();
    const frame: Frame = {
      index: level,
      name: stage.name,
      inner: undefined,
      next: undefined,
      resolveNext: undefined,
      rejectNext: undefined,
      broken: [],
      finished: false,
    };
    this.#frames[level] = frame;
    let started: unknown;
    try {
      started = stage.run(this.#ctx, (ctx) => this.#next(frame, ctx));
    } catch (error) {
      return this.#finish(frame, { ok: false, error });
    }
    if (isThenable(started)) {
      started.then(
        (value) => this.#finish(frame, { ok: true, value }),
        (error: unknown) => this.#finish(frame, { ok: false, error }),
      );
    } else if (isSteps(started)) {
      this.#driveMiddleware(frame, started)("next", undefined);
    } else {
      this.#finish(frame, { ok: true, value: started });
    }
  }

  #startOrchestrator(): void {
    const settle = (outcome: Outcome): void => this.#settleInside(this.#stages.length, outcome);
    const start = (started: unknown): void => {
      if (!isSteps(started)) return settle({ ok: true, value: started });
      this.#yielder = (method, value) => void started[method](value).then(this.#onStep, this.#onFailure);
      this.#yielder("next", undefined);
    };
    try {
      const started = this.#orchestrator(this.#ctx.orchestrationContext, this.#ctx.input);
      if (isThenable(started)) started.then(start, (error: unknown) => settle({ ok: false, error }));
      else start(started);
    } catch (error) {
      settle({ ok: false, error });
    }
  }

  // Made once for each episode, so that a resume of the orchestrator makes no closures.
  readonly #onStep = (step: Step): void => {
    if (step.done === true) this.#settleInside(this.#stages.length, { ok: true, value: step.value });
    else if (this.#level === this.#stages.length) this.#yield(step);
  };
  readonly #onFailure = (error: unknown): void => {
    this.#settleInside(this.#stages.length, { ok: false, error });
  };

  #driveMiddleware(frame: Frame, generator: DurableSteps): Drive {
    const onFailure = (error: unknown): void => this.#finish(frame, { ok: false, error });
    const onStep = (step: Step): void => {
      if (step.done === true) return this.#finish(frame, { ok: true, value: step.value });
      if (frame.finished) return;
      const problem = yieldProblem(frame, step.value);
      if (problem !== undefined) return onFailure(new MiddlewareContractError(frame.name, "O9", problem));
      this.#yielder = drive;
      this.#yield(step);
    };
    const drive: Drive = (method, value) => void generator[method](value).then(onStep, onFailure);
    return drive;
  }

  #yield(step: Step): void {
    const resolve = this.#resolve;
    this.#resolve = this.#reject = undefined;
    resolve?.(step);
  }

  #next(frame: Frame, ctx: unknown): NextPromise<unknown> {
    const problem = this.#nextProblem(frame, ctx);
    if (problem !== undefined) {
      const error = new MiddlewareContractError(frame.name, "O1", problem);
      frame.broken.push(error);
      return NextPromise.rejected(error);
    }
    const next = new NextPromise<unknown>((resolve, reject) => {
      frame.resolveNext = resolve;
      frame.rejectNext = reject;
    });
    next.handle();
    frame.next = next;
    this.#enter(frame.index + 1);
    return next;
  }

  #nextProblem(frame: Frame, ctx: unknown): string | undefined {
    if (frame.next !== undefined) return "it called next a second time; call it exactly once.";
    if (ctx !== this.#ctx) return "it called next with some other context; pass on the ctx it got: await next(ctx).";
    if (frame.finished || this.#state === "finished") return "it called next after the orchestration had ended.";
    return undefined;
  }

  // What lies inside `level` ended: the frame around it goes on, with the code after its `next`.
  #settleInside(level: number, outcome: Outcome): void {
    const frame = this.#frames[level - 1];
    if (frame === undefined) return this.#deliver(outcome);
    // An outcome that comes after its frame is done no longer counts (O2).
    if (frame.finished || frame.inner !== undefined) return;
    this.#level = frame.index;
    frame.inner = outcome;
    this.#ctx.settle(outcome);
    if (outcome.ok) frame.resolveNext?.(outcome.value);
    else frame.rejectNext?.(outcome.error);
  }

  // A middleware's own code ended: from that and from what lies inside follows how this level ended.
  #finish(frame: Frame, own: Outcome): void {
    if (frame.finished) return;
    frame.finished = true;
    const { inner } = frame;
    const failures: unknown[] = inner !== undefined && !inner.ok ? [inner.error] : [];
    const problem = endProblem(frame, own);
    if (problem !== undefined) frame.broken.push(new MiddlewareContractError(frame.name, "O1", problem));
    failures.push(...frame.broken);
    if (!own.ok) failures.push(own.error);
    this.#settleInside(
      frame.index,
      failures.length > 0 ? { ok: false, error: joinFailures(failures) } : (inner ?? own),
    );
  }

  // The whole pipeline ended.
  #deliver(outcome: Outcome): void {
    const resolve = this.#resolve;
    const reject = this.#reject;
    if (resolve === undefined || reject === undefined) {
      this.#doom ??= outcome;
      return;
    }
    this.#state = "finished";
    this.#resolve = this.#reject = undefined;
    if (outcome.ok) resolve({ done: true, value: outcome.value });
    else reject(outcome.error);
  }
}

function endProblem(frame: Frame, own: Outcome): string | undefined {
  // What a middleware throws before `next` is its own failure (O4), not a forgotten `next`.
  if (frame.next === undefined) {
    return own.ok ? "it ended without calling next; call await next(ctx) exactly once." : undefined;
  }
  if (frame.inner === undefined && own.ok) return "it did not await next and ended before the rest did; write await next(ctx).";
  if (!frame.next.observed) return "it did not await next; write await next(ctx).";
  return undefined;
}

function yieldProblem(frame: Frame, value: unknown): string | undefined {
  if (frame.next !== undefined && frame.inner === undefined) {
    return "it yielded while next was running; wait for it first: yield* next(ctx).";
  }
  const isTask = typeof value === "object" && value !== null && "isComplete" in value;
  return isTask ? undefined : "it yielded something that is not a durable task; to run the rest, write yield* next(ctx), with the star.";
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function isSteps(value: unknown): value is DurableSteps {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
