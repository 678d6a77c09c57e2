/** How long work may hold the event loop at a time, in milliseconds. */
const slice = 8;
/** How many steps are taken between two looks at the clock. */
const stepsPerLook = 32;

/** Work that is done in steps. */
interface Work {
  readonly steps: Iterator<unknown>;
  readonly onFault: (error: unknown) => void;
}

const waiting = new Set<Work>();

/**
 * Takes all steps, those that would hold the event loop for too long in turns of their own: an episode may have tens of
 * thousands of spans and measurements (telemetry.md K1).
 *
 * @param onFault gets what a step throws; there are no more steps then.
 */
export function inSlices(steps: Iterator<unknown>, onFault: (error: unknown) => void): void {
  run({ steps, onFault });
}

function run(work: Work): void {
  const end = performance.now() + slice;
  for (let count = 1; takeStep(work); count += 1) {
    if (count % stepsPerLook !== 0 || performance.now() < end) continue;
    waiting.add(work);
    setImmediate(goOn, work);
    return;
  }
}

function takeStep({ steps, onFault }: Work): boolean {
  try {
    return steps.next().done !== true;
  } catch (error) {
    onFault(error);
    return false;
  }
}

function goOn(work: Work): void {
  // It may have been finished meanwhile.
  if (waiting.delete(work)) run(work);
}

/** Takes the steps that still wait for their turn, before a flush. */
export function finishSlices(): void {
  for (const work of waiting) while (takeStep(work));
  waiting.clear();
}
