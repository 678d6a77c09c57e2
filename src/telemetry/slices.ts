/** How long work may block the event loop in one turn, in milliseconds. */
const slice = 8;
/** The number of steps between two readings of the clock. */
const stepsPerLook = 4;
/** Work of so few steps is done at once. */
const few = 16;

/** What waits for the work that was started by something. */
interface Group {
  unfinished: number;
  /** Called once, when all of it is done; `undefined` while more may start. */
  done: (() => void) | undefined;
}

/** What all copies of the package in a process share, so that together they keep to the time, and a flush finds the work of all. */
interface Turns {
  readonly waiting: Set<Work>;
  /** When the share of this turn of the event loop is over; `undefined` if it has not started. */
  end: number | undefined;
}
const key: unique symbol = Symbol.for("durable-telemetry.slices");
const holder = globalThis as { [key]?: Turns };
const turns: Turns = (holder[key] ??= { waiting: new Set(), end: undefined });

let group: Group | undefined;

/** Steps that are taken one after the other, over several turns of the event loop. */
class Work {
  readonly #count: number;
  readonly #step: (index: number) => void;
  readonly #then: () => void;
  readonly #onFault: (error: unknown) => void;
  readonly #group: Group | undefined = group;
  #next = 0;
  isRunning = false;

  constructor(count: number, step: (index: number) => void, then: () => void, onFault: (error: unknown) => void) {
    this.#count = count;
    this.#step = step;
    this.#then = then;
    this.#onFault = onFault;
    if (this.#group !== undefined) this.#group.unfinished += 1;
  }

  /** Takes steps until `end`. Tells whether all are taken. */
  takeUntil(end: number): boolean {
    const outer = group;
    group = this.#group;
    this.isRunning = true;
    try {
      while (this.#next < this.#count) {
        this.#next += 1;
        this.#step(this.#next - 1);
        if (this.#next % stepsPerLook === 0 && performance.now() >= end) return false;
      }
      this.#then();
    } catch (error) {
      this.#next = this.#count;
      this.#onFault(error);
    } finally {
      this.isRunning = false;
      group = outer;
    }
    if (this.#group !== undefined) finishOne(this.#group);
    return true;
  }
}

/**
 * Calls `step` for each item, then `then`. It spreads work that would block the event loop over several turns of it: an
 * episode can have tens of thousands of spans and measurements, and hundreds of episodes can end at once (telemetry.md K1).
 *
 * @param onFault gets an error of `step` or `then`; no step follows.
 */
export function inSlices<T>(
  items: readonly T[],
  step: (item: T) => void,
  then: () => void,
  onFault: (error: unknown) => void,
): void {
  if (items.length <= few) {
    try {
      for (const item of items) step(item);
      then();
    } catch (error) {
      onFault(error);
    }
    return;
  }
  const work = new Work(items.length, (index) => step(items[index] as T), then, onFault);
  if (turns.waiting.size > 0) return wait(work);
  if (turns.end === undefined) {
    turns.end = performance.now() + slice;
    setImmediate(() => (turns.end = undefined));
  }
  if (performance.now() >= turns.end || !work.takeUntil(turns.end)) wait(work);
}

function wait(work: Work): void {
  turns.waiting.add(work);
  if (turns.waiting.size === 1) setImmediate(takeTurn);
}

function takeTurn(): void {
  const end = performance.now() + slice;
  for (const work of turns.waiting) {
    if (work.takeUntil(end)) turns.waiting.delete(work);
    if (performance.now() >= end) break;
  }
  if (turns.waiting.size > 0) setImmediate(takeTurn);
}

/**
 * Calls `run`, and `then` when all work is done that `run` has started: at once, if there is none left.
 *
 * @param then is not called if `run` throws.
 */
export function afterSlices(run: () => void, then: () => void): void {
  const own: Group = { unfinished: 0, done: undefined };
  const outer = group;
  group = own;
  try {
    run();
  } finally {
    group = outer;
  }
  if (own.unfinished === 0) then();
  else own.done = then;
}

function finishOne(finished: Group): void {
  finished.unfinished -= 1;
  if (finished.unfinished === 0) finished.done?.();
}

/** Does all that still waits for its turn, before a flush. */
export function finishSlices(): void {
  // What is done may start more. A step that flushes belongs to work that goes on after it.
  for (const work of turns.waiting) {
    if (work.isRunning) continue;
    turns.waiting.delete(work);
    work.takeUntil(Number.POSITIVE_INFINITY);
  }
}
