// Taken when this is loaded: fake timers would stop the clock that gives up.
const { setTimeout, clearTimeout } = globalThis;

/** What a check has found; `undefined` and `false` stand for nothing yet. */
export type Found<T> = T | undefined | false;

/** Waits for changes: nothing is polled, and a check runs again only when there is something new. */
export class Waits {
  #change = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<never>();

  constructor() {
    // Most recorders end while nobody waits.
    this.#end.promise.catch(() => undefined);
  }

  /** Something may be there now that was not before. */
  changed(): void {
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers();
    resolve();
  }

  /** Ends all waits with an error, those that begin later too. */
  end(error: Error): void {
    this.#end.reject(error);
  }

  /**
   * @param check looks for what is waited for; what it throws ends the wait.
   * @param timeout in milliseconds.
   * @param gaveUp makes the error for when the time is up.
   */
  async until<T>(check: () => Found<T> | Promise<Found<T>>, timeout: number, gaveUp: () => Error): Promise<T> {
    const timeUp = Promise.withResolvers<never>();
    timeUp.promise.catch(() => undefined);
    const timer = setTimeout(() => timeUp.reject(gaveUp()), timeout);
    try {
      for (;;) {
        // Before the check, so that no change is missed while it runs.
        const { promise: change } = this.#change;
        const found = await Promise.race([check(), timeUp.promise, this.#end.promise]);
        if (found !== undefined && found !== false) return found;
        await Promise.race([change, timeUp.promise, this.#end.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
