const consecutiveFailures = 5;
const firstPause = 1_000;
const longestPause = 30_000;

/** The limit of outstanding operations. With a store that hangs, further operations don't start. */
const mostOutstanding = 4096;

/** The number of outstanding operations, including late ones that nobody waits for any more. */
export interface Outstanding {
  count: number;
}

/**
 * A circuit breaker: after several consecutive failures the cache stops using the store, so that a dead store does not cost
 * its timeout in each activity. It stops for a second, then lets one operation through; each time that this one fails, it
 * stops for twice as long, up to half a minute.
 */
export class Circuit {
  readonly #now: () => number;
  #failures = 0;
  #pause = firstPause;
  /** `Infinity` while the one operation that tries the store again is outstanding. */
  #openUntil = 0;
  #outstanding: Outstanding = { count: 0 };

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The counter of the next operation, which counts from its start until it has really ended. */
  get outstanding(): Outstanding {
    return this.#outstanding;
  }

  /**
   * Whether an operation may start now. If so, `succeeded` or `failed` must follow.
   *
   * @throws Error if too many are outstanding; `failed` must follow then, too.
   */
  admit(): boolean {
    if (this.#failures < consecutiveFailures) {
      if (this.#outstanding.count < mostOutstanding) return true;
      throw new Error(`${mostOutstanding} operations are outstanding`);
    }
    if (this.#now() < this.#openUntil) return false;
    this.#openUntil = Infinity;
    // Treat operations that are still outstanding as lost: clients lose them with their connections.
    this.#outstanding = { count: 0 };
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#pause = firstPause;
  }

  failed(): void {
    // Operations that were outstanding when the circuit opened are no new evidence.
    if (this.#failures >= consecutiveFailures && this.#openUntil !== Infinity) return;
    this.#failures += 1;
    if (this.#failures < consecutiveFailures) return;
    this.#openUntil = this.#now() + this.#pause;
    this.#pause = Math.min(this.#pause * 2, longestPause);
  }
}
