import { isPromise } from "node:util/types";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { unwatch, watch, type AwaitGuardMode, type Guarded } from "./await-guard.ts";
import { isSteps } from "./driver.ts";
import { NonDurableAwaitError } from "./errors.ts";
import type { DurableSteps } from "./middleware.ts";
import type { Orchestrator } from "./orchestration-run.ts";
import { isThenable } from "./thenable.ts";
import type { Episode, EpisodeCode } from "./execution.ts";

/**
 * An orchestrator that no middleware runs around: the SDK calls its generator, and this class only tracks when its
 * code runs, for hooks, and to warn of illegal awaits (contract.md D2).
 */
export class OrchestratorRun implements EpisodeCode, Guarded {
  readonly #item: Episode;
  readonly #mode: AwaitGuardMode;
  readonly orchestrationContext: OrchestrationContext;
  // The SDK's name: it is part of the message of a TypeError, and so of the actions (contract.md D3).
  _generator: DurableSteps | undefined;
  #running = false;
  #guarded = false;
  #warned = false;

  constructor(item: Episode, context: OrchestrationContext, mode: Exclude<AwaitGuardMode, "fail">) {
    this.#item = item;
    this.#mode = mode;
    this.orchestrationContext = context;
    item.code = this;
  }

  get running(): boolean {
    return this.#running;
  }

  get isReplaying(): boolean {
    return this.orchestrationContext.isReplaying;
  }

  /** Calls the orchestrator, and returns what the SDK takes in place of what it returned. */
  start(orchestrator: Orchestrator, input: unknown): unknown {
    this.#begin();
    let started: unknown;
    try {
      started = orchestrator(this.orchestrationContext, input);
      if (isThenable(started)) return this.#awaited(started);
    } catch (error) {
      this.#running = false;
      throw error;
    }
    this.#running = false;
    return this.#generatorFor(started);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // The SDK passes no argument at the start. While it replays it waits for each step before the next event, and nobody asks
  // whether code runs: so what the history has of steps costs nothing.
  next(...args: [] | [unknown]): unknown {
    if (this.isReplaying) return (this._generator as DurableSteps).next(...args);
    this.#begin();
    try {
      return this.#untilSettled((this._generator as DurableSteps).next(...args));
    } catch (error) {
      this.#running = false;
      throw error;
    }
  }

  throw(error: unknown): unknown {
    if (this.isReplaying) return (this._generator as DurableSteps).throw(error);
    this.#begin();
    try {
      return this.#untilSettled((this._generator as DurableSteps).throw(error));
    } catch (thrown) {
      this.#running = false;
      throw thrown;
    }
  }

  end(): void {
    this.#running = false;
    if (this.#guarded) unwatch(this);
  }

  checkAwait(): void {
    this.#guarded = false;
    if (!this.#running || this.#warned || this.isReplaying) return;
    this.#warned = true;
    this.#item.report(new NonDurableAwaitError(undefined, this.#item.name).message);
  }

  #begin(): void {
    this.#running = true;
    if (this.#guarded || this.#mode === "off") return;
    this.#guarded = true;
    watch(this);
  }

  // The code runs until the promise of its step settles. Of a hand-written iterator it may be anything: that is the SDK's.
  #untilSettled(step: unknown): unknown {
    if (isPromise(step)) void then.call(step, this.#stop, this.#stop);
    else this.#running = false;
    return step;
  }

  readonly #stop = (): void => {
    this.#running = false;
  };

  async #awaited(running: PromiseLike<unknown>): Promise<unknown> {
    try {
      return this.#generatorFor(await running);
    } finally {
      this.#running = false;
    }
  }

  #generatorFor(started: unknown): unknown {
    if (!isSteps(started)) return started;
    this._generator = started;
    return this;
  }
}

// oxlint-disable-next-line typescript/unbound-method -- whatever a promise has in its place
const { then } = Promise.prototype;
