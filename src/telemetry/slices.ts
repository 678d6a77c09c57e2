/** How long work may hold the event loop at a time, in milliseconds. Some works of one episode come one after the other. */
const slice = 4;
/** How many steps are taken between two looks at the clock. */
const stepsPerLook = 4;

const waiting = new Set<() => void>();

/**
 * Calls `step` for each item, and `then`; what would hold the event loop for too long, in turns of their own: an episode may
 * have tens of thousands of spans and measurements (telemetry.md K1).
 *
 * @param onFault gets what `step` or `then` throws; there are no more steps then.
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
    // It may have been finished meanwhile.
    if (waiting.delete(goOn)) goOn();
  });
}

/** Does all that still waits for its turn, before a flush. */
export function finishSlices(): void {
  // What goes on may wait again.
  for (const goOn of waiting) if (waiting.delete(goOn)) goOn();
}
