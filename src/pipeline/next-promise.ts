import type { Task } from "@microsoft/durabletask-js";
import type { NextResult } from "./middleware.ts";

const ignore = (): void => undefined;

/**
 * The promise that `next(ctx)` returns. It can be iterated, for `yield*` (contract.md O9); it tells whether somebody
 * looked at it (O1); and neither it nor what is chained to it ever becomes an unhandled rejection (O5): what fails
 * here fails the task anyway.
 */
export class NextPromise<T> extends Promise<T> implements NextResult<T> {
  #observed = false;
  // What was chained to it, until it is contained. Species makes these NextPromises too.
  #chained: NextPromise<unknown>[] | undefined;
  #contained = false;

  /** A promise that rejected and that nobody has to look at. */
  static rejected<T>(error: unknown): NextPromise<T> {
    const promise = new NextPromise<T>((_, reject) => reject(error));
    promise.contain();
    return promise;
  }

  /** Whether somebody awaited, chained or iterated it. */
  get observed(): boolean {
    return this.#observed;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#observed = true;
    const chained = super.then(onFulfilled, onRejected);
    if (chained instanceof NextPromise) {
      if (this.#contained) chained.contain();
      else (this.#chained ??= []).push(chained);
    }
    return chained;
  }

  /**
   * Takes rejections of it and of all that is and will be chained to it as seen. To be called before it settles, and
   * not earlier: most episodes end before that, and it costs a promise for each link.
   */
  contain(): void {
    this.#contained = true;
    void super.then(undefined, ignore);
    for (const chained of this.#chained ?? []) chained.contain();
  }

  /** For `yield*`: one step, that lasts until all inside is done. The engine resumes what lies inside directly. */
  [Symbol.asyncIterator](): AsyncIterator<Task<unknown>, T, unknown> {
    return { next: async () => ({ done: true, value: await this }) };
  }
}
