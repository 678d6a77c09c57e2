// Taken when this is loaded: fake timers would stop the clock that gives up.
const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
const now = performance.now.bind(performance);

// Looking through thousands of spans after each of them would leave no time for the work that is waited for: checks get
// this part of the time, but for the first of it, all in milliseconds.
const checksShare = 0.2;
const freeTime = 20;
const pollEvery = 50;

/** What a check has found; `undefined` and `false` mean nothing yet. */
export type Found<T> = T | undefined | false;

/** Waits for changes: a check runs again only when there is something new. */
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
    const giveUp = async (): Promise<Error> => gaveUp();
    const timer = setTimeout(() => void giveUp().then(timeUp.reject, timeUp.reject), timeout);
    let pause: NodeJS.Timeout | undefined;
    const began = now();
    let checking = 0;
    try {
      for (;;) {
        // Before the check, so that no change is missed while it runs.
        const { promise: change } = this.#change;
        const looked = now();
        const checked = check();
        checking += now() - looked;
        const found = await Promise.race([checked, timeUp.promise, this.#end.promise]);
        if (found !== undefined && found !== false) return found;
        await Promise.race([change, timeUp.promise, this.#end.promise]);
        const ahead = (checking - freeTime) / checksShare - (now() - began);
        if (ahead <= 0) continue;
        const rested = new Promise((resolve) => (pause = setTimeout(resolve, ahead)));
        await Promise.race([rested, timeUp.promise, this.#end.promise]);
      }
    } finally {
      clearTimeout(timer);
      clearTimeout(pause);
    }
  }

  /** Runs the checks at intervals, for changes that give no sign, until the result is called. */
  poll(): () => void {
    const interval = setInterval(() => this.changed(), pollEvery);
    return () => clearInterval(interval);
  }
}
