import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { unwatch, watch, type AwaitGuardMode, type AwaitGuardModes, type Guarded } from "./await-guard.ts";
import { OrchestrationMiddlewareContextImpl, type Outcome } from "./context.ts";
import { joinFailures, MiddlewareContractError, NonDurableAwaitError } from "./errors.ts";
import type { DurableSteps, OrchestrationMiddleware } from "./middleware.ts";
import { NextPromise } from "./next-promise.ts";
import type { Stage } from "./pipeline.ts";
import { fulfillment, isThenable } from "./thenable.ts";
import type { EpisodeOutcome, EpisodeRun, OrchestrationWorkItem } from "./work-item.ts";

/** An orchestrator function, as the SDK registers it. */
export type Orchestrator = (ctx: OrchestrationContext, input: unknown) => unknown;

/** What a generator's step has. The SDK looks only whether `done` is truthy, as a hand-written iterator may lack it. */
interface Step {
  readonly done: unknown;
  readonly value: unknown;
}

/**
 * The generator that a durable middleware or an orchestrator returned, called as the SDK calls it. The name of the field
 * is the SDK's: it is part of the message of a TypeError, and so of the actions (contract.md D3).
 */
class SdkGenerator {
  readonly _generator: DurableSteps;

  constructor(generator: DurableSteps) {
    this._generator = generator;
  }

  start(): Promise<unknown> {
    return this._generator.next();
  }

  next(value: unknown): Promise<unknown> {
    return this._generator.next(value);
  }

  throw(error: unknown): Promise<unknown> {
    return this._generator.throw(error);
  }
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
 * orchestrator, or a durable middleware. The frames outside stay parked at their `next` meanwhile, so the cost of a
 * resume does not depend on the number of middlewares. When the orchestrator is done, its outcome travels outwards,
 * frame by frame.
 */
export class OrchestrationRun implements EpisodeRun, Guarded {
  readonly #item: OrchestrationWorkItem;
  readonly #stages: readonly Stage<OrchestrationMiddleware>[];
  readonly #orchestrator: Orchestrator;
  readonly #ctx: OrchestrationMiddlewareContextImpl;
  readonly #guard: AwaitGuardModes;
  readonly #frames: Frame[] = [];
  // The innermost level whose code runs: a frame's index, or the number of stages for the orchestrator.
  #level = 0;
  // Wakes whoever yielded last, for the next resume.
  #wake: (() => void) | undefined;
  // The resume in flight: what the SDK called, with what, and its promise.
  #method: "next" | "throw" = "next";
  #value: unknown;
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
    guard: AwaitGuardModes,
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
    if (this.#guarded) unwatch(this);
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
      // Its code is still parked; if that is before the code after `next`, its onSuspend callbacks run.
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
      } else {
        this.#method = method;
        this.#value = value;
        this.#wake?.();
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
      // Functions get no `this`; methods of middleware objects are bound.
      const { run } = stage;
      const started: unknown = run(this.#ctx, (ctx) => this.#next(frame, ctx));
      if (isThenable(started)) Promise.resolve(started).then((value) => this.#finish(frame, { ok: true, value }), onFailure);
      else if (isSteps(started)) void this.#drive(started, frame);
      else this.#finish(frame, { ok: true, value: started });
    } catch (error) {
      onFailure(error);
    }
  }

  #startOrchestrator(): void {
    const settle = (outcome: Outcome): void => this.#settleInside(this.#stages.length, outcome);
    const onFailure = (error: unknown): void => settle({ ok: false, error });
    const start = (started: unknown): void => {
      if (isSteps(started)) void this.#drive(started, undefined);
      else settle({ ok: true, value: started });
    };
    try {
      // The SDK calls it without a `this`, too.
      const orchestrator = this.#orchestrator;
      const started = orchestrator(this.#ctx.orchestrationContext, this.#ctx.input);
      if (isThenable(started)) Promise.resolve(started).then(start).catch(onFailure);
      else start(started);
    } catch (error) {
      onFailure(error);
    }
  }

  /**
   * Drives a durable middleware, or without a frame the orchestrator, from its start to its end. The code runs in the
   * async context in which this function was called, at each step: an `await` restores it, at no cost. So what a
   * middleware puts around `next` (an `AsyncLocalStorage` store, an OpenTelemetry context) is there after each `yield`.
   */
  async #drive(steps: DurableSteps, frame: Frame | undefined): Promise<void> {
    try {
      const code = new SdkGenerator(steps);
      let step: unknown = await code.start();
      while (this.#onStep(step, frame)) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        step = await (this.#method === "next" ? code.next(this.#value) : code.throw(this.#value));
      }
    } catch (error) {
      this.#fail(frame, error);
    }
  }

  // Takes a step of a durable middleware or the orchestrator, and tells whether its code waits for a resume.
  #onStep(step: unknown, frame: Frame | undefined): boolean {
    if (frame === undefined) return this.#onOrchestratorStep(step);
    const { done, value } = step as Step;
    if (done) {
      this.#finish(frame, { ok: true, value });
      return false;
    }
    if (frame.state !== "running") return false;
    const problem = yieldProblem(frame, value);
    if (problem !== undefined) throw new MiddlewareContractError(frame.name, "O9", problem);
    this.#yield({ done: false, value });
    return true;
  }

  #onOrchestratorStep(step: unknown): boolean {
    const read = readStep(step);
    if (read?.done) {
      this.#settleInside(this.#stages.length, { ok: true, value: read.value });
      return false;
    }
    // A middleware ended before the orchestrator did.
    if (this.#level !== this.#stages.length) return false;
    // What is no step goes to the SDK as it is: it fails the orchestration.
    this.#yield(read ?? (step as Step));
    return true;
  }

  // The code of a level failed: a middleware's, or without a frame the orchestrator's.
  #fail(frame: Frame | undefined, error: unknown): void {
    if (frame === undefined) this.#settleInside(this.#stages.length, { ok: false, error });
    else this.#finish(frame, { ok: false, error });
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
    if (outcome.ok) frame.resolveNext?.(fulfillment(outcome.value));
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
    else this.#ctx.reportReturned(this.#stages[frame.index] ?? frame, own.value);
    this.#settleInside(
      frame.index,
      failures.length > 0 ? { ok: false, error: joinFailures(failures) } : (inner ?? own),
    );
  }

  // A middleware ended before what lies inside it: that gets no more resumes, and what it does no longer counts (O2).
  #abandonInside(frame: Frame): void {
    this.#wake = undefined;
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

/** A copy of a step; `undefined` if a hand-written iterator returned no object, or one whose getter throws. */
function readStep(step: unknown): Step | undefined {
  try {
    const { done, value } = step as Step;
    return { done, value };
  } catch {
    return undefined;
  }
}

/** The rule by which the SDK takes what an orchestrator returned for a generator. */
function isSteps(value: unknown): value is DurableSteps {
  return typeof (value as Partial<DurableSteps> | null | undefined)?.[Symbol.asyncIterator] === "function";
}
