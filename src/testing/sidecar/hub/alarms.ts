// Node fires a longer timeout after 1 ms.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** Calls that are due at a time of the wall clock, however far away, and never before it. */
export class Alarms<Owner extends object> {
  readonly #timeouts = new Map<Owner, Set<NodeJS.Timeout>>();

  /**
   * Calls `ring` at a time, or as soon as possible when that has passed. Never within this call.
   *
   * @param dueAt - Milliseconds since 1970.
   */
  set(owner: Owner, dueAt: number, ring: () => void): void {
    const own = this.#timeouts.get(owner) ?? new Set();
    this.#timeouts.set(owner, own);
    const arm = (): void => {
      const timeout = setTimeout(
        () => {
          own.delete(timeout);
          // Far away, or the timeout came up to a millisecond early, as they do.
          if (Date.now() < dueAt) return arm();
          if (own.size === 0) this.#timeouts.delete(owner);
          ring();
        },
        Math.min(Math.max(dueAt - Date.now(), 0), LONGEST_TIMEOUT_MS),
      );
      own.add(timeout);
    };
    arm();
  }

  clear(owner: Owner): void {
    for (const timeout of this.#timeouts.get(owner) ?? []) clearTimeout(timeout);
    this.#timeouts.delete(owner);
  }

  clearAll(): void {
    for (const owner of this.#timeouts.keys()) this.clear(owner);
  }
}
