/** What those who wait for a run get of it. */
export type Shared =
  /** A result: a hit if it was there, fresh or stale; else it is what they waited for, here or in another process. */
  | { readonly kind: "result"; readonly outcome: "hit" | "coalesced"; readonly read: () => unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  /** Nothing that could be shared. */
  | { readonly kind: "nothing" };

/**
 * One look-up of an entry, with the run of the activity if there is need of it, which identical calls wait for
 * (telemetry.md C5). The first thing that is shared counts: with a stale entry nobody waits for the run.
 */
export class Flight {
  readonly namespace: string | undefined;
  readonly shared: Promise<Shared>;
  readonly share: (shared: Shared) => void;
  /** Whether the entry was invalidated since: then what comes of the run is out of date and not kept. */
  invalidated = false;

  constructor(namespace: string | undefined) {
    this.namespace = namespace;
    const { promise, resolve } = Promise.withResolvers<Shared>();
    this.shared = promise;
    this.share = resolve;
  }
}
