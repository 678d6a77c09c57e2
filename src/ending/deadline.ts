/** If nothing waited for this long, the process continues: the budget is restored. In milliseconds. */
const rest = 60_000;

// The fraction of the time for exports. The rest is for reporting what was lost.
const forExports = 0.9;

/**
 * Limits the time for exports. Usually each export has its own timeout. While a process ends, which may take several steps
 * (a signal, workers that stop, an empty event loop), all waits for telemetry together take at most `budget` milliseconds
 * (telemetry.md K3), and no export takes longer than the rest of the budget.
 */
export class Deadline {
  readonly #budget: number;
  readonly #listeners = new Set<() => void>();
  #left: number;
  #waits = 0;
  #since = 0;
  #rest: NodeJS.Timeout | undefined;
  #most = Number.POSITIVE_INFINITY;
  #end = Number.POSITIVE_INFINITY;

  constructor(budget: number) {
    this.#budget = budget;
    this.#left = budget;
  }

  /** Whether the last wait has no time left for an export. A timer can fire a fraction of a millisecond early. */
  get isOver(): boolean {
    return performance.now() > this.#end - 1;
  }

  /** Waits for `work` for at most the rest of the budget. @returns whether it ended. Never rejects. */
  async spend(work: () => Promise<unknown>): Promise<boolean> {
    return this.#remaining() > 0 && this.#spend(work, false);
  }

  /** The same for the last time, which always has a minimum of time. */
  async spendLast(work: () => Promise<unknown>): Promise<boolean> {
    return this.#spend(work, true);
  }

  /** Runs `work`. Its signal aborts after `most` milliseconds, or sooner if the process ends and the budget is smaller. */
  async run<T>(most: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    const end = performance.now() + most;
    let timer: NodeJS.Timeout | undefined;
    const arm = (): void => {
      clearTimeout(timer);
      const now = performance.now();
      const wait = Math.max(0, Math.min(end, now + this.#most, this.#end) - now);
      timer = setTimeout(() => abort.abort(), wait).unref();
    };
    this.#listeners.add(arm);
    arm();
    try {
      return await work(abort.signal);
    } finally {
      this.#listeners.delete(arm);
      clearTimeout(timer);
    }
  }

  /** Waits `milliseconds`, or until the signal aborts or the limit changes. */
  async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds).unref();
    this.#listeners.add(resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
    this.#listeners.delete(resolve);
  }

  async #spend(work: () => Promise<unknown>, isLast: boolean): Promise<boolean> {
    clearTimeout(this.#rest);
    if (this.#waits === 0) this.#since = performance.now();
    this.#waits += 1;
    const time = this.#time();
    if (isLast) this.#end = performance.now() + time * forExports;
    this.#limit(time * forExports);
    const isDone = await settledWithin(time, work());
    this.#left = this.#remaining();
    this.#since = performance.now();
    this.#waits -= 1;
    if (this.#waits > 0) return isDone;
    // Further exports keep the process waiting too.
    this.#limit(this.#time() * forExports);
    this.#rest = setTimeout(() => {
      this.#left = this.#budget;
      this.#limit(Number.POSITIVE_INFINITY);
    }, rest).unref();
    return isDone;
  }

  #limit(most: number): void {
    this.#most = most;
    for (const listener of this.#listeners) listener();
  }

  #time(): number {
    return Math.max(this.#remaining(), this.#budget / 10);
  }

  #remaining(): number {
    return this.#waits === 0 ? this.#left : Math.max(0, this.#left - (performance.now() - this.#since));
  }
}

/** Waits until `work` settles, for at most `timeout` milliseconds. @returns whether it settled. Never rejects. */
export async function settledWithin(timeout: number, work: Promise<unknown>): Promise<boolean> {
  const { promise: deadline, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, timeout, false);
  const settled = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
