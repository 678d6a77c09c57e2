import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { unwatch, watch, type AwaitGuardModes, type Guarded } from "./await-guard.ts";
import { OrchestrationMiddlewareContextImpl, type Outcome } from "./context.ts";
import { orchestrationRules } from "./contract.ts";
import { Driver, isSteps, readStep, type Driven, type ResumeMethod, type Step } from "./driver.ts";
import { MiddlewareContractError, NonDurableAwaitError, type ContractRule } from "./errors.ts";
import type { DurableSteps, OrchestrationMiddleware } from "./middleware.ts";
import type { Stage } from "./stage.ts";
import { TaskRun, type Frame } from "./task-run.ts";
import { isThenable } from "./thenable.ts";
import type { Episode, EpisodeCode } from "./execution.ts";
import type { EpisodeResponse } from "./work-item.ts";

/** An orchestrator function, as the SDK registers it. */
export type Orchestrator = (ctx: OrchestrationContext, input: unknown) => unknown;

/** The SDK's call of `next` or `throw` that has no answer yet. */
interface PendingResume {
  readonly resolve: (step: Step) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One episode of an orchestration under the pipeline.
 *
 * To the SDK it is the async generator that an orchestrator returns. It starts the middlewares, each of which starts
 * the one inside it by calling `next`, and then hands every resume straight to whoever yielded last: the
 * orchestrator, or a durable middleware. The frames outside stay parked at their `next` meanwhile, so the cost of a
 * resume does not depend on the number of middlewares.
 */
export class OrchestrationRun extends TaskRun<OrchestrationMiddlewareContextImpl> implements EpisodeCode, Guarded {
  readonly #item: Episode;
  readonly #orchestrator: Orchestrator;
  readonly #guard: AwaitGuardModes;
  readonly #guardsAnything: boolean;
  // The innermost level whose code runs: a frame's index, or the number of layers for the orchestrator.
  #level = 0;
  #state: "new" | "running" | "finished" = "new";
  #pending: PendingResume | undefined;
  // Whoever yielded last.
  #yielded: Driver | undefined;
  // An answer that came while no resume was pending, after a middleware ended too early; the next resume gets it.
  #owed: (() => void) | undefined;
  #guarded = false;
  // The levels that were warned of.
  #warned: Set<number> | undefined;

  constructor(
    item: Episode,
    stages: readonly Stage<OrchestrationMiddleware>[],
    orchestrator: Orchestrator,
    context: OrchestrationContext,
    input: unknown,
    guard: AwaitGuardModes,
  ) {
    super(new OrchestrationMiddlewareContextImpl(item, context, input, () => this.#level), stages, orchestrationRules);
    this.#item = item;
    this.#orchestrator = orchestrator;
    this.#guard = guard;
    this.#guardsAnything = guard.middleware !== "off" || guard.orchestrator !== "off";
    item.code = this;
  }

  get running(): boolean {
    return this.#pending !== undefined;
  }

  get isReplaying(): boolean {
    return this.ctx.isReplaying;
  }

  get orchestrationContext(): OrchestrationContext {
    return this.ctx.orchestrationContext;
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

  end(response: EpisodeResponse): void {
    this.#state = "finished";
    if (this.#guarded) unwatch(this);
    if (!this.ctx.hasSuspendCallbacks) return;
    const { status } = response.outcome;
    // A middleware whose own code ended has nothing left to close. What was registered while the orchestrator ran
    // counts as the innermost middleware's.
    const parked = (level: number): boolean => this.frames[Math.min(level, this.layers.length - 1)]?.state !== "ended";
    if (status !== "completed" && status !== "rewound") this.ctx.suspend(status, parked);
  }

  checkAwait(): void {
    this.#guarded = false;
    if (!this.running) return;
    const frame = this.frames[this.#level];
    const mode = frame === undefined ? this.#guard.orchestrator : this.#guard.middleware;
    if (mode === "off") return;
    const error = new NonDurableAwaitError(frame?.name, this.ctx.name);
    if (mode === "fail") {
      if (frame === undefined) return this.settleInside(this.layers.length, { ok: false, error });
      this.finish(frame, { ok: false, error });
      // Its code is still parked; if that is before the code after `next`, its onSuspend callbacks run.
      if (frame.inner === undefined) frame.state = "dead";
    } else if (!this.isReplaying && this.#warned?.has(this.#level) !== true) {
      this.#warned = (this.#warned ?? new Set()).add(this.#level);
      this.#item.report(error.message);
    }
  }

  #resume(method: ResumeMethod, value: unknown): Promise<Step> {
    // As every generator that has ended: Dapr's SDK (@dapr/dapr 3.18) resumes it for events that come after its last.
    if (this.#state === "finished")
      return method === "next" ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(value);
    return new Promise<Step>((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#watch();
      const owed = this.#owed;
      if (owed !== undefined) {
        this.#owed = undefined;
        owed();
      } else if (this.#state === "new") {
        this.#state = "running";
        this.enter(0);
      } else {
        this.#yielded?.resume(method, value);
      }
    });
  }

  #watch(): void {
    if (this.#guarded || !this.#guardsAnything) return;
    this.#guarded = true;
    watch(this);
  }

  // From here on the code of `level` runs. It is watched even if what ran before it in this resume has been checked.
  #runs(level: number): void {
    this.#level = level;
    this.#watch();
  }

  protected override enter(level: number): void {
    this.#runs(level);
    super.enter(level);
  }

  protected override started(frame: Frame, returned: unknown): void {
    if (isSteps(returned)) this.#drive(returned, frame);
    else super.started(frame, returned);
  }

  protected override startTask(): void {
    const settle = (outcome: Outcome): void => this.settleInside(this.layers.length, outcome);
    const start = (started: unknown): void => {
      if (isSteps(started)) this.#drive(started, undefined);
      else settle({ ok: true, value: started });
    };
    const fail = (error: unknown): void => settle({ ok: false, error });
    try {
      // The SDK calls it without a `this`, too.
      const orchestrator = this.#orchestrator;
      const started = orchestrator(this.ctx.orchestrationContext, this.ctx.input);
      if (isThenable(started)) Promise.resolve(started).then(start).catch(fail);
      else start(started);
    } catch (error) {
      fail(error);
    }
  }

  // Drives a durable middleware, or without a frame the orchestrator.
  #drive(steps: DurableSteps, frame: Frame | undefined): void {
    const driven: Driven = {
      onStep: (step, driver) =>
        frame === undefined ? this.#onOrchestratorStep(step, driver) : this.#onMiddlewareStep(step, driver, frame),
      onFailure: (error) => {
        if (frame === undefined) this.settleInside(this.layers.length, { ok: false, error });
        else this.finish(frame, { ok: false, error });
      },
    };
    void new Driver(steps, driven).run();
  }

  #onMiddlewareStep(step: unknown, driver: Driver, frame: Frame): boolean {
    const { done, value } = step as Step;
    if (done) this.finish(frame, { ok: true, value });
    if (done || frame.state !== "running") return false;
    const problem = yieldProblem(frame, value);
    if (problem !== undefined) throw new MiddlewareContractError(frame.name, "O9", problem);
    this.#yield({ done: false, value }, driver);
    return true;
  }

  #onOrchestratorStep(step: unknown, driver: Driver): boolean {
    const read = readStep(step);
    if (read?.done) {
      this.settleInside(this.layers.length, { ok: true, value: read.value });
      return false;
    }
    // A middleware ended before the orchestrator did.
    if (this.#level !== this.layers.length) return false;
    // What is no step goes to the SDK as it is: it fails the orchestration.
    this.#yield(read ?? (step as Step), driver);
    return true;
  }

  #yield(step: Step, driver: Driver): void {
    this.#yielded = driver;
    this.#answer(({ resolve }) => resolve(step));
  }

  #answer(answer: (pending: PendingResume) => void): void {
    const pending = this.#pending;
    if (pending === undefined) {
      this.#owed = () => this.#answer(answer);
      return;
    }
    this.#pending = undefined;
    answer(pending);
  }

  protected override refusal({ state }: Frame): readonly [ContractRule, string] | undefined {
    if (state !== "running" || this.#state === "finished") return ["O1", "it called next after it had ended."];
    if (!this.running)
      return ["O1", "it called next while it waited for a durable task of its own; wait for that first."];
    return undefined;
  }

  protected override settleInside(level: number, outcome: Outcome): void {
    const frame = this.frames[level - 1];
    if (frame !== undefined) {
      // An outcome that comes after its frame is done no longer counts (O2).
      if (frame.state !== "running" || frame.inner !== undefined) return;
      this.#runs(frame.index);
    }
    super.settleInside(level, outcome);
  }

  protected override finish(frame: Frame, own: Outcome): void {
    if (frame.state !== "running") return;
    // What lies inside gets no more resumes.
    if (frame.inner === undefined) this.#yielded = undefined;
    super.finish(frame, own);
  }

  protected override ended(outcome: Outcome): void {
    this.#answer(({ resolve, reject }) => {
      this.#state = "finished";
      if (outcome.ok) resolve({ done: true, value: outcome.value });
      else reject(outcome.error);
    });
  }
}

function yieldProblem(frame: Frame, value: unknown): string | undefined {
  if (frame.next !== undefined && frame.inner === undefined) {
    return "it yielded while next was running; wait for it first: yield* next(ctx).";
  }
  const isTask = typeof value === "object" && value !== null && "isComplete" in value;
  return isTask
    ? undefined
    : "it yielded something that is not a durable task; to run the rest, write yield* next(ctx), with the star.";
}
