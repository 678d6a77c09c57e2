/** What the cache needs of the world that changes by itself; tests have one of their own. */
export interface Runtime {
  /** The time of day in milliseconds: entries travel between machines. */
  now(): number;
  /** A clock in milliseconds that nobody sets, for waits. */
  elapsed(): number;
  /** A number from 0 to 1. */
  random(): number;
  /**
   * Calls `callback` in `delay` milliseconds, and after what has come in by then: a process that was busy for longer
   * than that has answers waiting, which are not late. What is returned calls it off, until the delay is over.
   *
   * @param waits whether the process has to stay alive for it.
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
