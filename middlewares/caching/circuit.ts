const faultsInARow = 5;
const firstPause = 1_000;
const longestPause = 30_000;

/**
 * Leaves a store alone that has failed several times in a row, so that it does not cost its timeout in each activity:
 * for a second at first, then, each time that a single try fails again, for twice as long, up to half a minute.
 */
export class Circuit {
  readonly #now: () => number;
  #faults = 0;
  #pause = firstPause;
  #closedUntil = 0;
  #trying = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether the store may be asked now; if it does, `succeeded` or `failed` must follow. */
  admit(): boolean {
    if (this.#faults < faultsInARow) return true;
    if (this.#trying || this.#now() < this.#closedUntil) return false;
    this.#trying = true;
    return true;
  }

  succeeded(): void {
    this.#faults = 0;
    this.#pause = firstPause;
    this.#trying = false;
  }

  failed(): void {
    const wasClosed = this.#faults >= faultsInARow;
    // Those that were under way when it closed say nothing new.
    if (wasClosed && !this.#trying) return;
    this.#trying = false;
    this.#faults += 1;
    if (this.#faults < faultsInARow) return;
    this.#closedUntil = this.#now() + this.#pause;
    this.#pause = Math.min(this.#pause * 2, longestPause);
  }
}
