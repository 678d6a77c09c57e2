import type { TimeMark } from "./time-scale.ts";

/** Makes the HTML page interactive. It runs in the browser, which gets it as text: it uses nothing from outside. */
export function runPage(timeMarks: (from: number, to: number, most: number) => readonly TimeMark[]): void;
