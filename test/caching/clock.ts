import type { Runtime } from "../../middlewares/caching/runtime.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Time that passes when a test says so. */
export class TestRuntime implements Runtime {
  /** What `random` returns. */
  chance = 0;
  /** By how much the time of day was set back. */
  setBack = 0;
  #time = 1_800_000_000_000;
  readonly #timers = new Set<Timer>();
  #changed: () => void = () => undefined;

  now(): number {
    return this.#time - this.setBack;
  }

  elapsed(): number {
    return this.#time;
  }

  random(): number {
    return this.chance;
  }

  after(delay: number, _: boolean, callback: () => void): () => void {
    const timer = { at: this.#time + delay, callback };
    this.#timers.add(timer);
    this.#changed();
    return () => void this.#timers.delete(timer);
  }

  /** The timers that run. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Resolves when at least `count` timers run. */
  async waiting(count = 1): Promise<void> {
    while (this.#timers.size < count) await new Promise<void>((resolve) => (this.#changed = resolve));
  }

  /** Lets time pass; what is due happens in order, with what follows from it in between. */
  async advance(duration: number): Promise<void> {
    const end = this.#time + duration;
    for (;;) {
      const next = Math.min(...[...this.#timers].map(({ at }) => at));
      if (next > end) break;
      this.#time = Math.max(this.#time, next);
      for (const timer of this.#timers) {
        if (timer.at > next) continue;
        this.#timers.delete(timer);
        timer.callback();
      }
      await new Promise(setImmediate);
    }
    this.#time = end;
  }
}
