/**
 * The illegal await guard (contract.md D2). Code that only awaits promises which settle without leaving the
 * microtask queue is done before the next macrotask begins; so a run that is still busy in a macrotask waits for
 * something that is not durable. One macrotask serves all runs that are busy when it comes, and nothing waits for
 * it: the guard adds nothing between an event and the orchestrator's next step (D4). That macrotask comes right after
 * the I/O callback which brought the event. An await that ends sooner still (for a message from another port, say, in
 * the same turn of the event loop) can go unnoticed, but no code is accused wrongly.
 */

/** What the guard asks of a run. */
export interface Guarded {
  /** Called in a macrotask of its own; accuses if the run is busy. */
  checkAwait(): void;
}

let watched = new Set<Guarded>();
let scheduled = false;

/** Has `run` checked in the next macrotask. */
export function watch(run: Guarded): void {
  watched.add(run);
  if (scheduled) return;
  scheduled = true;
  setImmediate(check);
}

/**
 * Takes back what {@link watch} did, when the episode of `run` is over. A worker may run any number of episodes before
 * the next macrotask comes; without this all of them would stay in memory until then.
 */
export function unwatch(run: Guarded): void {
  watched.delete(run);
}

function check(): void {
  const runs = watched;
  watched = new Set();
  scheduled = false;
  for (const run of runs) run.checkAwait();
}

/** What to do about an illegal await. */
export type AwaitGuardMode = "fail" | "warn" | "off";

/** What to do about illegal awaits of each kind of code (contract.md D2). */
export interface AwaitGuardOptions {
  /** In orchestration middleware; default `"fail"`. */
  readonly middleware?: AwaitGuardMode | undefined;
  /** In the orchestrator; default `"warn"`, as the SDK tolerates such awaits. */
  readonly orchestrator?: AwaitGuardMode | undefined;
}

/** What to do about illegal awaits of each kind of code, with the defaults filled in. */
export type AwaitGuardModes = Readonly<Record<keyof AwaitGuardOptions, AwaitGuardMode>>;
