/** What the followers of a run get. */
export type Shared =
  /** A result: `hit` if the store had it, fresh or stale; `coalesced` if a call produced it, here or in another process. */
  | { readonly kind: "result"; readonly outcome: "hit" | "coalesced"; readonly read: () => unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  /** A middleware outside, a time limit say, ended before the activity could run (contract.md A5): another call runs it. */
  | { readonly kind: "givenUp" }
  /** There is no result to share: each follower runs the activity. */
  | { readonly kind: "nothing" };

/**
 * One look-up of an entry, and the run of the activity if it is needed. The call that starts it is the leader; identical
 * calls are its followers and share its result (telemetry.md C5). If there is a stale entry, followers get that as long as
 * it is valid, and don't wait.
 */
export class SingleFlight {
  readonly namespace: string | undefined;
  /** The epoch of the namespace at the look-up, as soon as that is done; `""` if it is not known. */
  readonly epoch: Promise<string>;
  /** Sets the epoch. Only the first call has an effect, as with `serve` and `end`. */
  readonly setEpoch: (epoch: string) => void;
  /** Releases the lock that the leader holds. */
  release: () => void = () => undefined;
  /** The entry was invalidated during the run: its result is not stored. */
  invalidated = false;
  readonly #serving: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #end: PromiseWithResolvers<Shared> = Promise.withResolvers();
  #stale: { readonly shared: Shared; readonly until: number } | undefined;
  #validUntil = Infinity;

  constructor(namespace: string | undefined) {
    this.namespace = namespace;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.epoch = promise;
    this.setEpoch = resolve;
  }

  /** Gives followers a stale result instead of making them wait, until the time `until`. */
  serve(shared: Shared, until: number): void {
    this.#stale = { shared, until };
    this.#serving.resolve();
  }

  /** Shares the outcome with the followers that wait, and with calls that arrive before the time `validUntil`. */
  end(shared: Shared, validUntil: number = 0): void {
    this.#validUntil = validUntil;
    this.#end.resolve(shared);
    this.#serving.resolve();
  }

  /** Marks the entry as invalidated since the look-up: later calls wait neither for the run nor for its lock. */
  invalidate(): void {
    this.invalidated = true;
    this.release();
  }

  /** Whether a call can follow. */
  isValid(now: number): boolean {
    return now < this.#validUntil;
  }

  /** Waits for what a follower gets. */
  async follow(now: () => number): Promise<Shared> {
    await this.#serving.promise;
    return this.#stale !== undefined && now() < this.#stale.until ? this.#stale.shared : this.#end.promise;
  }
}
