import { endProblem, nextProblem, type ContractRules } from "./contract.ts";
import type { Outcome } from "./context.ts";
import { joinFailures, MiddlewareContractError, type ContractRule } from "./errors.ts";
import { NextPromise } from "./next-promise.ts";
import { isThenable } from "./thenable.ts";

/** A function of a middleware, and the middleware's name. */
export interface Layer {
  readonly name: string;
  readonly run: (ctx: never, next: (ctx: unknown) => NextPromise<unknown>) => unknown;
}

/** A middleware while it runs around one task. */
export class Frame {
  readonly index: number;
  readonly name: string;
  /** What `next` returned, once it was called. */
  next: NextPromise<unknown> | undefined;
  /** How the part inside ended; `undefined` until then. */
  inner: Outcome | undefined;
  /** The rules that it broke; no middleware can suppress these failures (O5, A5). */
  broken: MiddlewareContractError[] | undefined;
  /** `"ended"`: its code has ended. `"dead"`: a middleware outside of it ended first, so nothing it does has an effect any more (O2). */
  state: "running" | "ended" | "dead" = "running";

  constructor(index: number, name: string) {
    this.index = index;
    this.name = name;
  }

  /** Notes a broken rule; once, as code may call `next` in a loop. */
  break(rule: ContractRule, problem: string): MiddlewareContractError {
    const error = new MiddlewareContractError(this.name, rule, problem);
    const known = this.broken?.find(({ message }) => message === error.message);
    if (known !== undefined) return known;
    if (this.broken === undefined) this.broken = [error];
    else this.broken.push(error);
    return error;
  }
}

/** What the engine calls on the context of a task. */
interface TaskContext {
  settle(outcome: Outcome): void;
  reportReturned(layer: Layer, value: unknown): void;
}

/**
 * The stack of middlewares around one task. Each starts the one inside it by calling `next`, the innermost starts the
 * task itself; the outcome travels outwards, frame by frame (contract.md O1 to O5, A1 to A5).
 */
export abstract class TaskRun<TContext extends TaskContext> {
  protected readonly ctx: TContext;
  protected readonly layers: readonly Layer[];
  protected readonly frames: Frame[] = [];
  readonly #rules: ContractRules;

  constructor(ctx: TContext, layers: readonly Layer[], rules: ContractRules) {
    this.ctx = ctx;
    this.layers = layers;
    this.#rules = rules;
  }

  /** Starts the task itself, inside all middlewares. */
  protected abstract startTask(): void;
  /** All middlewares have ended. */
  protected abstract ended(outcome: Outcome): void;

  /** Starts the code of a level: a middleware, or the task. */
  protected enter(level: number): void {
    const layer = this.layers[level];
    if (layer === undefined) return this.startTask();
    const frame = new Frame(level, layer.name);
    this.frames[level] = frame;
    let started: unknown;
    try {
      // Functions get no `this`; methods of middleware objects are bound.
      const { run } = layer;
      started = run(this.ctx as never, (ctx) => this.#next(frame, ctx));
      if (isThenable(started)) return void this.#finishWith(frame, started);
    } catch (error) {
      return this.finish(frame, { ok: false, error });
    }
    this.started(frame, started);
  }

  /** A middleware returned something that is no promise. */
  protected started(frame: Frame, returned: unknown): void {
    this.finish(frame, { ok: true, value: returned });
  }

  async #finishWith(frame: Frame, running: PromiseLike<unknown>): Promise<void> {
    let own: Outcome;
    try {
      own = { ok: true, value: await running };
    } catch (error) {
      own = { ok: false, error };
    }
    this.finish(frame, own);
  }

  #next(frame: Frame, ctx: unknown): NextPromise<unknown> {
    const problem = nextProblem(this.#rules, frame, ctx === this.ctx) ?? this.refusal(frame);
    if (problem !== undefined) return NextPromise.rejected(frame.break(...problem));
    const next = new NextPromise<unknown>();
    // Before the inside runs: it may hold this `next`, and must not get through a second time (O2).
    frame.next = next;
    this.enter(frame.index + 1);
    return next;
  }

  /** Why else `next` can't be called now. */
  protected abstract refusal(frame: Frame): readonly [ContractRule, string] | undefined;

  /** The part inside `level` ended: the frame around it continues with the code after its `next`. */
  protected settleInside(level: number, outcome: Outcome): void {
    const frame = this.frames[level - 1];
    if (frame === undefined) return this.ended(outcome);
    frame.inner = outcome;
    if (frame.state === "running") this.ctx.settle(outcome);
    frame.next?.settle(outcome);
  }

  /** A middleware's code ended. Its outcome and that of the part inside determine the outcome of this level. */
  protected finish(frame: Frame, own: Outcome): void {
    const { inner } = frame;
    if (frame.state === "running") frame.state = "ended";
    if (inner === undefined) this.#abandonInside(frame);
    const result = this.resultOf(frame);
    const problem = endProblem(this.#rules, frame, own, result !== undefined);
    if (problem !== undefined) frame.break(this.#rules.rule, problem);
    if (own.ok) this.ctx.reportReturned(this.layers[frame.index] as Layer, own.value);
    this.settleInside(frame.index, this.#outcomeOf(frame, own, result));
  }

  /** The result that a middleware set in place of what lies inside. */
  protected resultOf(_frame: Frame): Outcome | undefined {
    return undefined;
  }

  #outcomeOf({ inner, broken }: Frame, own: Outcome, result: Outcome | undefined): Outcome {
    const isWhole = own.ok && broken === undefined && (inner === undefined || inner.ok);
    if (isWhole) return result ?? inner ?? own;
    const failures: unknown[] = [];
    if (inner?.ok === false) failures.push(...this.failuresInside(inner.error, result));
    if (broken !== undefined) failures.push(...broken);
    if (!own.ok) failures.push(own.error);
    return failures.length === 0 ? (result ?? inner ?? own) : { ok: false, error: joinFailures(failures) };
  }

  /** What of a failure inside fails this level too. */
  protected failuresInside(error: unknown, _result: Outcome | undefined): readonly unknown[] {
    return [error];
  }

  // A middleware ended before the part inside it, which has no effect any more (O2).
  #abandonInside({ index }: Frame): void {
    for (let inside = index + 1; inside < this.frames.length; inside += 1) {
      const frame = this.frames[inside];
      if (frame?.state === "running") frame.state = "dead";
    }
  }
}
