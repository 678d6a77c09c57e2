const faultsInARow = 5;
const firstPause = 1_000;
const longestPause = 30_000;

/** How many operations may be under way at once; with a store that hangs, the others don't even start. */
const mostUnderWay = 4096;

/** How many operations have not come to an end yet: late ones, which nobody waits for any more, too. */
export interface UnderWay {
  count: number;
}

/**
 * Leaves a store alone that has failed several times in a row, so that it does not cost its timeout in each activity:
 * for a second at first, then, each time that a single try fails again, for twice as long, up to half a minute. That
 * too many operations don't come to an end is a fault like any other.
 */
export class Circuit {
  readonly #now: () => number;
  #faults = 0;
  #pause = firstPause;
  /** While one tries, for good. */
  #closedUntil = 0;
  #underWay: UnderWay = { count: 0 };

  constructor(now: () => number) {
    this.#now = now;
  }

  /** What the next operation counts in, from its start until it has truly come to an end. */
  get underWay(): UnderWay {
    return this.#underWay;
  }

  /** Whether the store may be asked now; if it does, `succeeded` or `failed` must follow. */
  admit(): boolean {
    if (this.#faults < faultsInARow) {
      if (this.#underWay.count < mostUnderWay) return true;
      this.failed();
      return false;
    }
    if (this.#now() < this.#closedUntil) return false;
    this.#closedUntil = Infinity;
    // What has not come to an end by now never will: clients lose operations with their connections.
    this.#underWay = { count: 0 };
    return true;
  }

  succeeded(): void {
    this.#faults = 0;
    this.#pause = firstPause;
  }

  failed(): void {
    // Those that were under way when it closed say nothing new.
    if (this.#faults >= faultsInARow && this.#closedUntil !== Infinity) return;
    this.#faults += 1;
    if (this.#faults < faultsInARow) return;
    this.#closedUntil = this.#now() + this.#pause;
    this.#pause = Math.min(this.#pause * 2, longestPause);
  }
}
