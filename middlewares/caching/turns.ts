import { randomUUID } from "node:crypto";
import type { Entries, EntryKey, Found, Lifetime } from "./entries.ts";
import type { GuardedStore } from "./guarded-store.ts";
import type { Runtime } from "./runtime.ts";
import { trueOrFalse, type LockingStore } from "./store.ts";

/** What came of waiting for a turn. */
export interface Turn {
  /** What is there now: a result if another process ran the activity meanwhile. */
  readonly found: Found;
  /** Whether it is the work of another process, or one is at it: then there is no need to run. */
  readonly waited: boolean;
  /** Lets the next one have its turn. Returns at once, and never throws. */
  readonly release: () => void;
}

const firstPause = 20;
const longestPause = 250;

/**
 * Turns between processes, by a lock in the store: who has it runs the activity, the others look again and again whether
 * there is a result. The lock goes with its holder, by its own time to live, so the next process takes its turn. Nobody
 * waits for longer than twice that: time enough for one holder to die and another to run.
 */
export class Turns {
  readonly #store: LockingStore;
  readonly #guard: GuardedStore;
  readonly #entries: Entries;
  readonly #runtime: Runtime;

  constructor(store: LockingStore, guard: GuardedStore, entries: Entries, runtime: Runtime) {
    this.#store = store;
    this.#guard = guard;
    this.#entries = entries;
    this.#runtime = runtime;
  }

  /**
   * Takes a turn at an entry that is not there, or stale.
   *
   * @param lockFor the lock's time to live in milliseconds.
   * @param lifetime see {@link Entries.find}; a stale entry spares the wait.
   */
  async take(entry: EntryKey, found: Found, lockFor: number, lifetime: Lifetime): Promise<Turn> {
    const token = randomUUID();
    const end = this.#runtime.elapsed() + 2 * lockFor;
    let current = found;
    for (let pause = firstPause, waited = false; ; pause = Math.min(pause * 2, longestPause), waited = true) {
      // Nobody waits for a run from before its namespace was invalidated.
      const key = `${entry.key}:${current.generation}:lock`;
      const release = (): void => {
        void this.#guard.ask("write", "unlock an entry", () => this.#store.deleteIfEqual(key, token), nothing);
      };
      const lock = await this.#guard.ask("write", "lock an entry", () => this.#store.setIfAbsent(key, token, lockFor), trueOrFalse);
      // It may be set all the same, if the answer was late or lost.
      if (!lock.ok) return { found: { state: "fault", down: lock.down, generation: current.generation }, waited: false, release };
      if (lock.value) {
        // The last holder may have come to an end after the look-up and before this.
        current = await this.#entries.find(entry, lifetime);
        return { found: current, waited: waited && current.state === "fresh", release };
      }
      const left = end - this.#runtime.elapsed();
      if (current.state === "stale" || left <= 0) return { found: current, waited: true, release: nothing };
      await this.#sleep(Math.min(pause, left));
      current = await this.#entries.find(entry, lifetime);
      if (current.state === "fresh" || current.state === "fault") return { found: current, waited: true, release: nothing };
    }
  }

  #sleep(delay: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#runtime.after(delay, false, resolve);
    return promise;
  }
}

const nothing = (): void => undefined;
