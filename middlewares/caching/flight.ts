/** What those who wait for a run get of it. */
export type Shared =
  /** A result: a hit if it was there, fresh or stale; else it is what they waited for, here or in another process. */
  | { readonly kind: "result"; readonly outcome: "hit" | "coalesced"; readonly read: () => unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  /** Nothing that could be shared. */
  | { readonly kind: "nothing" };

/**
 * One look-up of an entry, with the run of the activity if there is need of it, which identical calls wait for
 * (telemetry.md C5). With a stale entry nobody has to wait for the run, as long as that is good.
 */
export class Flight {
  readonly namespace: string | undefined;
  /** The generation of the namespace at the look-up, when that is over; `""` without one. */
  readonly generation: Promise<string>;
  /** Says what the generation is. The first time counts, as in the members below. */
  readonly looked: (generation: string) => void;
  /** Gives back the lock that the run holds. */
  release: () => void = () => undefined;
  /** What comes of the run is out of date, and not kept. */
  invalidated = false;
  readonly #serving: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #end: PromiseWithResolvers<Shared> = Promise.withResolvers();
  #stale: { readonly shared: Shared; readonly until: number } | undefined;
  #goodUntil = Infinity;

  constructor(namespace: string | undefined) {
    this.namespace = namespace;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.generation = promise;
    this.looked = resolve;
  }

  /** Serves a stale result to those who wait, and who come while the run goes on: before the time `until`. */
  serve(shared: Shared, until: number): void {
    this.#stale = { shared, until };
    this.#serving.resolve();
  }

  /** Shares what it came to with those that wait, and with who comes before the time `goodUntil`. */
  end(shared: Shared, goodUntil: number = 0): void {
    this.#goodUntil = goodUntil;
    this.#end.resolve(shared);
    this.#serving.resolve();
  }

  /** The entry was invalidated since the look-up: later calls don't wait for the run, here or in its lock. */
  invalidate(): void {
    this.invalidated = true;
    this.release();
  }

  isGood(now: number): boolean {
    return now < this.#goodUntil;
  }

  /** What there is for a call that waits. */
  async share(now: () => number): Promise<Shared> {
    await this.#serving.promise;
    return this.#stale !== undefined && now() < this.#stale.until ? this.#stale.shared : this.#end.promise;
  }
}
