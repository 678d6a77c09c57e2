import { crypto } from "../../src/on-demand.ts";
import type { Entries, EntryKey, Found, Lifetime } from "./entries.ts";
import type { GuardedStore } from "./guarded-store.ts";
import type { Runtime } from "./runtime.ts";
import { trueOrFalse, type LockingStore } from "./store.ts";

/** The result of trying to lock an entry. */
export interface Locked {
  /** The entry now: a result if another process ran the activity meanwhile. */
  readonly found: Found;
  /** Whether another process produced the entry, or holds the lock and is about to: a stale entry can be served then. */
  readonly waited: boolean;
  /** Releases the lock if this process holds it. Returns at once, and never throws. */
  readonly release: () => void;
}

const firstPause = 20;
const longestPause = 250;

/**
 * Locks in the store, for single-flight across processes: the process that holds the lock runs the activity, the others
 * poll for its result. The lock of a crashed holder expires after its time to live, and another process acquires it. A
 * process waits for at most twice that time: enough for one holder to crash and another to run.
 */
export class Locks {
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
   * Acquires the lock of an entry that is absent or stale, or waits until another process has stored a result.
   *
   * @param lockFor the lock's time to live in milliseconds.
   * @param lifetime see {@link Entries.find}; with a stale entry it does not wait.
   */
  async acquire(entry: EntryKey, found: Found, lockFor: number, lifetime: Lifetime): Promise<Locked> {
    const token = crypto.randomUUID();
    const end = this.#runtime.elapsed() + 2 * lockFor;
    let current = found;
    for (let pause = firstPause, waited = false; ; pause = Math.min(pause * 2, longestPause), waited = true) {
      // The key contains the epoch: nobody waits for a run that started before its namespace was invalidated.
      const key = `${entry.key}:${current.epoch}:lock`;
      const release = (): void => {
        void this.#guard.ask("write", "unlock an entry", () => this.#store.deleteIfEqual(key, token), nothing);
      };
      const lock = await this.#guard.ask(
        "write",
        "lock an entry",
        () => this.#store.setIfAbsent(key, token, lockFor),
        trueOrFalse,
      );
      // The lock may be set nevertheless, if the reply was late or lost.
      if (!lock.ok) return { found: { state: "fault", down: lock.down, epoch: current.epoch }, waited: false, release };
      if (lock.value) {
        // The previous holder may have stored its result between the look-up and now.
        current = await this.#entries.find(entry, lifetime);
        return { found: current, waited: waited && current.state === "fresh", release };
      }
      const left = end - this.#runtime.elapsed();
      if (current.state === "stale" || left <= 0) return { found: current, waited: true, release: nothing };
      await this.#sleep(Math.min(pause, left));
      current = await this.#entries.find(entry, lifetime);
      if (current.state === "fresh" || current.state === "fault")
        return { found: current, waited: true, release: nothing };
    }
  }

  #sleep(delay: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#runtime.after(delay, false, resolve);
    return promise;
  }
}

const nothing = (): void => undefined;
