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

/** Whoever yields durable tasks: a durable middleware, or without a frame the orchestrator. */
interface Source {
  readonly generator: DurableSteps;
  readonly frame: Frame | undefined;
}

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
  /**
   * `"ended"`: its own code did. `"dead"`: what it does no longer counts, since a middleware outside of it ended
   * first, or it waits for something that is not durable.
   */
  state: "running" | "ended" | "dead";
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
  #source: Source | undefined;
  // The resume in flight.
  #resolve: ((step: Step) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #state: "new" | "running" | "finished" = "new";
  // An answer that came while no resume was in flight, after a middleware ended too early; the next resume gets it.
  #owed: (() => void) | undefined;
  readonly #guardsAnything: boolean;
  #guarded = false;
  // The levels that were warned of.
  #warned: Set<number> | undefined;

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

  get orchestrationContext(): OrchestrationContext {
    return this.#ctx.orchestrationContext;
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
    // A middleware whose own code ended has nothing left to close. What was registered while the orchestrator ran
    // counts as the innermost middleware's.
    const parked = (level: number): boolean => this.#frames[Math.min(level, this.#stages.length - 1)]?.state !== "ended";
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
      if (frame === undefined) return this.#settleInside(this.#stages.length, { ok: false, error });
      this.#finish(frame, { ok: false, error });
      // Its code is still parked; if that is before the code after `next`, its onSuspend callbacks shall run.
      if (frame.inner === undefined) frame.state = "dead";
    } else if (!this.isReplaying && this.#warned?.has(this.#level) !== true) {
      this.#warned = (this.#warned ?? new Set()).add(this.#level);
      this.#item.facts.report(error.message);
    }
  }

  #resume(method: "next" | "throw", value: unknown): Promise<Step> {
    return new Promise<Step>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (!this.#guarded && this.#guardsAnything) this.#watch();
      const owed = this.#owed;
      if (owed !== undefined) {
        this.#owed = undefined;
        owed();
      } else if (this.#state === "new") {
        this.#state = "running";
        this.#enter(0);
      } else if (this.#source !== undefined) {
        this.#drive(this.#source, method, value);
      }
    });
  }

  #watch(): void {
    this.#guarded = true;
    watch(this);
  }

  // From here on the code of `level` runs. It is watched even if what ran before it in this resume has been checked.
  #runs(level: number): void {
    this.#level = level;
    if (!this.#guarded && this.#guardsAnything) this.#watch();
  }

  // Starts the code of a level: a middleware, or the orchestrator.
  #enter(level: number): void {
    this.#runs(level);
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
      state: "running",
    };
    this.#frames[level] = frame;
    const onFailure = (error: unknown): void => this.#finish(frame, { ok: false, error });
    try {
      const started: unknown = stage.run(this.#ctx, (ctx) => this.#next(frame, ctx));
      if (isThenable(started)) started.then((value) => this.#finish(frame, { ok: true, value }), onFailure);
      else if (isSteps(started)) this.#drive({ generator: started, frame }, "next", undefined);
      else this.#finish(frame, { ok: true, value: started });
    } catch (error) {
      onFailure(error);
    }
  }

  #startOrchestrator(): void {
    const settle = (outcome: Outcome): void => this.#settleInside(this.#stages.length, outcome);
    const start = (started: unknown): void => {
      if (!isSteps(started)) return settle({ ok: true, value: started });
      this.#source = { generator: started, frame: undefined };
      this.#drive(this.#source, "next", undefined);
    };
    try {
      const started = this.#orchestrator(this.#ctx.orchestrationContext, this.#ctx.input);
      if (isThenable(started)) started.then(start, (error: unknown) => settle({ ok: false, error }));
      else start(started);
    } catch (error) {
      settle({ ok: false, error });
    }
  }

  // Hands a resume to `source`. The closures are new for each step on purpose: with ones that live as long as the run,
  // V8's young-generation GC keeps finished runs for long, at ten times the cost (measured on Node 24).
  #drive(source: Source, method: "next" | "throw", value: unknown): void {
    try {
      // An iterator that was written by hand may lack a method, or return a step and no promise; the SDK takes the latter.
      void Promise.resolve(source.generator[method](value)).then(
        (step) => this.#onStep(source, step),
        (error: unknown) => this.#onFailure(source, error),
      );
    } catch (error) {
      this.#onFailure(source, error);
    }
  }

  #onStep(source: Source, step: Step): void {
    const { frame } = source;
    if (step.done === true) return this.#end(frame, { ok: true, value: step.value });
    if (frame === undefined) {
      if (this.#level === this.#stages.length) this.#yield(step);
      return;
    }
    if (frame.state !== "running") return;
    const problem = yieldProblem(frame, step.value);
    if (problem !== undefined) return this.#onFailure(source, new MiddlewareContractError(frame.name, "O9", problem));
    this.#source = source;
    this.#yield(step);
  }

  #onFailure({ frame }: Source, error: unknown): void {
    this.#end(frame, { ok: false, error });
  }

  // The code of a level ended: a middleware's, or without a frame the orchestrator's.
  #end(frame: Frame | undefined, outcome: Outcome): void {
    if (frame === undefined) this.#settleInside(this.#stages.length, outcome);
    else this.#finish(frame, outcome);
  }

  #yield(step: Step): void {
    const resolve = this.#resolve;
    if (resolve === undefined) {
      this.#owed = () => this.#yield(step);
      return;
    }
    this.#resolve = this.#reject = undefined;
    resolve(step);
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
    frame.next = next;
    this.#enter(frame.index + 1);
    return next;
  }

  #nextProblem(frame: Frame, ctx: unknown): string | undefined {
    if (frame.next !== undefined) return "it called next a second time; call it exactly once.";
    if (ctx !== this.#ctx) return "it called next with some other context; pass on the ctx it got: await next(ctx).";
    if (frame.state !== "running" || this.#state === "finished") return "it called next after it had ended.";
    if (!this.running) return "it called next while it waited for a durable task of its own; wait for that first.";
    return undefined;
  }

  // What lies inside `level` ended: the frame around it goes on, with the code after its `next`.
  #settleInside(level: number, outcome: Outcome): void {
    const frame = this.#frames[level - 1];
    if (frame === undefined) return this.#deliver(outcome);
    // An outcome that comes after its frame is done no longer counts (O2).
    if (frame.state !== "running" || frame.inner !== undefined) return;
    this.#runs(frame.index);
    frame.inner = outcome;
    this.#ctx.settle(outcome);
    frame.next?.contain();
    if (outcome.ok) frame.resolveNext?.(outcome.value);
    else frame.rejectNext?.(outcome.error);
  }

  // A middleware's own code ended: from that and from what lies inside follows how this level ended.
  #finish(frame: Frame, own: Outcome): void {
    if (frame.state !== "running") return;
    frame.state = "ended";
    const { inner } = frame;
    if (inner === undefined) this.#abandonInside(frame);
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

  // A middleware ended before what lies inside it: that gets no more resumes, and what it does no longer counts (O2).
  #abandonInside(frame: Frame): void {
    this.#source = undefined;
    for (const inside of this.#frames.slice(frame.index + 1)) if (inside.state === "running") inside.state = "dead";
  }

  // The whole pipeline ended.
  #deliver(outcome: Outcome): void {
    const resolve = this.#resolve;
    const reject = this.#reject;
    if (resolve === undefined || reject === undefined) {
      this.#owed = () => this.#deliver(outcome);
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
