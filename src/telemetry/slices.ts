/** How long work may block the event loop at a time, in milliseconds. An episode can have several such pieces of work in a row. */
const slice = 4;
/** The number of steps between two readings of the clock. */
const stepsPerLook = 4;

const waiting = new Set<() => void>();

/**
 * Calls `step` for each item, then `then`. It spreads work that would block the event loop over several turns of it: an
 * episode can have tens of thousands of spans and measurements (telemetry.md K1).
 *
 * @param onFault gets an error of `step` or `then`; no step follows.
 */
export function inSlices<T>(items: readonly T[], step: (item: T) => void, then: () => void, onFault: (error: unknown) => void): void {
  takeFrom(0, items, step, then, onFault);
}

function takeFrom<T>(first: number, items: readonly T[], step: (item: T) => void, then: () => void, onFault: (error: unknown) => void): void {
  try {
    const isLong = items.length - first > stepsPerLook;
    const end = isLong ? performance.now() + slice : 0;
    for (let index = first; index < items.length; index += 1) {
      step(items[index] as T);
      const isLookDue = isLong && (index - first) % stepsPerLook === stepsPerLook - 1;
      if (isLookDue && performance.now() >= end) return later(() => takeFrom(index + 1, items, step, then, onFault));
    }
    then();
  } catch (error) {
    onFault(error);
  }
}

function later(goOn: () => void): void {
  waiting.add(goOn);
  setImmediate(() => {
    // `finishSlices` may have run it meanwhile.
    if (waiting.delete(goOn)) goOn();
  });
}

/** Finishes all work that is still waiting, before a flush. */
export function finishSlices(): void {
  // A continuation may wait again.
  for (const goOn of waiting) if (waiting.delete(goOn)) goOn();
}
