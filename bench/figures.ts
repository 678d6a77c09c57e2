import { paired, ratio, type Sample } from "./alternate.ts";
import type { Figure } from "./group.ts";
import { median, spread } from "./spread.ts";

const times = (samples: readonly Sample[]): string => `x${median(samples.map(ratio)).toFixed(3)}`;

/** A variant beside the baseline, and the baseline beside itself, which shows the noise. */
export function besideBare(variant: readonly Sample[], again: readonly Sample[]): Figure {
  const baseline = median(variant.map((sample) => sample.baseline));
  return {
    value: spread(variant.map(ratio)),
    note: `the bare SDK takes ${baseline.toFixed(0)} µs; measured again, ${times(again)}`,
  };
}

/** How far a variant is from four no-op middlewares, both beside the baseline; `others` are for the note. */
export function beyondNoop(
  variant: readonly Sample[],
  noop: readonly Sample[],
  others: Readonly<Record<string, readonly Sample[]>> = {},
): Figure {
  const notes = Object.entries(others).map(([name, samples]) => `; ${name} ${times(samples)}`);
  return {
    value: spread(paired(variant, noop, (one, other) => ratio(one) - ratio(other))),
    note: `${times(variant)}, four no-op middlewares ${times(noop)}${notes.join("")}`,
  };
}
