/** Clocks, chance and timers. Tests use their own. */
export interface Runtime {
  /** The wall clock in milliseconds, which machines share; for expiry. */
  now(): number;
  /** A monotonic clock in milliseconds; for waits. */
  elapsed(): number;
  /** A number from 0 to 1. */
  random(): number;
  /**
   * Calls `callback` after `delay` milliseconds, and after the events that are pending then: replies that waited for a busy
   * process are not late.
   *
   * @param waits whether the timer keeps the process alive.
   * @returns cancels the timer, until the delay is over.
   */
  after(delay: number, waits: boolean, callback: () => void): () => void;
}

export const realRuntime: Runtime = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  random: () => Math.random(),
  after(delay, waits, callback) {
    const timer = setTimeout(() => setImmediate(callback), delay);
    if (!waits) timer.unref();
    return () => clearTimeout(timer);
  },
};
