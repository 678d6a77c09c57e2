import { AsyncResource } from "node:async_hooks";
import type { Task } from "@microsoft/durabletask-js";
import type { Outcome } from "./context.ts";
import type { NextResult } from "./middleware.ts";
import { fulfillment, isThenable } from "./thenable.ts";

/** What `then` was called with, and the promise that it returned. */
interface Reaction {
  readonly onFulfilled: unknown;
  readonly onRejected: unknown;
  /** The async context of the caller of `then`. */
  readonly context: AsyncResource;
  readonly chained: NextPromise<unknown>;
}

const settled: Promise<void> = Promise.resolve();

/**
 * What `next(ctx)` returns: a promise that can be iterated, for `yield*` (contract.md O9), and that knows whether anybody
 * looked at it (O1). Most episodes end before it settles. It is not a native promise: so it costs one object until
 * then, and neither it nor what is chained to it becomes an unhandled rejection (O5): what fails here fails the task.
 */
export class NextPromise<T> implements NextResult<T> {
  #observed = false;
  #outcome: Outcome | undefined;
  #reactions: Reaction[] | undefined;

  /** A promise that rejected, and that nobody has to look at. */
  static rejected<T>(error: unknown): NextPromise<T> {
    const promise = new NextPromise<T>();
    promise.settle({ ok: false, error });
    return promise;
  }

  get [Symbol.toStringTag](): string {
    return "Promise";
  }

  /** Whether it was awaited, chained or iterated. */
  get observed(): boolean {
    return this.#observed;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): NextPromise<A | B> {
    this.#observed = true;
    const chained = new NextPromise<A | B>();
    const reaction: Reaction = { onFulfilled, onRejected, context: new AsyncResource("durable-telemetry"), chained };
    const outcome = this.#outcome;
    if (outcome !== undefined) void settled.then(() => react(reaction, outcome));
    else if (this.#reactions === undefined) this.#reactions = [reaction];
    else this.#reactions.push(reaction);
    return chained;
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): NextPromise<T | B> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): NextPromise<T> {
    if (typeof onFinally !== "function") return this.then(undefined);
    const andThen = async (): Promise<void> => onFinally();
    return this.then(
      async (value) => {
        await andThen();
        return value;
      },
      async (reason: unknown) => {
        await andThen();
        throw reason;
      },
    );
  }

  /** The engine calls it once. Reactions run in a microtask, as those of any promise. */
  settle(outcome: Outcome): void {
    this.#outcome = outcome.ok ? { ok: true, value: fulfillment(outcome.value) } : outcome;
    if (this.#reactions !== undefined) void settled.then(() => this.#react());
  }

  /** For `yield*`: one step, which lasts until all inside is done. The engine resumes what lies inside directly. */
  [Symbol.asyncIterator](): AsyncIterator<Task<unknown>, T, unknown> {
    return { next: async () => ({ done: true, value: await this }) };
  }

  #react(): void {
    const outcome = this.#outcome;
    if (outcome === undefined) return;
    for (const reaction of this.#reactions ?? []) react(reaction, outcome);
    this.#reactions = undefined;
  }

  /** Settles as `value` does, if that is a promise. */
  resolve(value: unknown): void {
    if (value === this) return this.settle({ ok: false, error: new TypeError("Chaining cycle detected for promise") });
    if (!isThenable(value)) return this.settle({ ok: true, value });
    void Promise.resolve(value).then(
      (result) => this.settle({ ok: true, value: result }),
      (error: unknown) => this.settle({ ok: false, error }),
    );
  }
}

function react({ onFulfilled, onRejected, context, chained }: Reaction, outcome: Outcome): void {
  const callback = outcome.ok ? onFulfilled : onRejected;
  if (typeof callback !== "function") return chained.settle(outcome);
  try {
    chained.resolve(
      context.runInAsyncScope(
        callback as (value: unknown) => unknown,
        undefined,
        outcome.ok ? outcome.value : outcome.error,
      ),
    );
  } catch (error) {
    chained.settle({ ok: false, error });
  }
}

// For code that asks whether it is a promise. The methods that are not defined here come from there, too.
Object.setPrototypeOf(NextPromise.prototype, Promise.prototype);
