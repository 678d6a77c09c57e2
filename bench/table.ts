import type { Figure } from "./group.ts";
import type { Target, Unit } from "./targets.ts";

/** One row of the table. */
export interface Row extends Target, Figure {
  readonly verdict: "ok" | "above" | "not measured: give --base";
}

export function rowOf(target: Target, figure: Figure): Row {
  const { value } = figure;
  return {
    ...target,
    ...figure,
    verdict: value === undefined ? "not measured: give --base" : value.median <= target.atMost ? "ok" : "above",
  };
}

const formats: Readonly<Record<Unit, (value: number) => string>> = {
  x: (value) => `x${value.toFixed(value < 2 ? 3 : 2)}`,
  difference: (value) => `${value < 0 ? "" : "+"}${value.toFixed(3)}`,
  µs: (value) => `${value.toFixed(1)} µs`,
  ms: (value) => `${value.toFixed(1)} ms`,
};

const line = (name: string, before: string, now: string, quartiles: string, atMost: string, verdict: string): string =>
  `${name.padEnd(82)} ${before.padEnd(13)} ${now.padStart(9)}  ${quartiles.padEnd(19)} ${atMost.padStart(8)}  ${verdict}`.trimEnd();

export const headerLine: string = line("target", "822e0e4", "median", "quartiles", "at most", "");

/** A row as a line of text, and what its figure is made of as a second one. */
export function textOf({ name, unit, before, atMost, value, note, verdict }: Row): string {
  const format = formats[unit];
  const now = value === undefined ? "" : format(value.median);
  const quartiles = value === undefined ? "" : `${format(value.lower)} to ${format(value.upper)}`;
  return `${line(name, before, now, quartiles, format(atMost), verdict)}${note === undefined ? "" : `\n    ${note}`}`;
}
