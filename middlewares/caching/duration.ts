import type { StringValue } from "ms";
import { parseDuration } from "../../src/on-demand.ts";

/** A duration: a number of milliseconds, or a string with a unit, such as `"500ms"`, `"5m"` or `"1.5 hours"`. */
export type Duration = number | string;

const form = /^\d+(?:\.\d+)? ?[a-z]+$/i;
const year = 31_557_600_000;

/** The longest valid duration. A longer one is a mistake, and its expiry could exceed what a store can represent. */
const longest = 100 * year;

/**
 * A duration in whole milliseconds; `undefined` if `value` is not a duration from one millisecond to a hundred years. A
 * string needs a unit: `"300"` could mean seconds.
 */
export function milliseconds(value: unknown): number | undefined {
  const parsed = typeof value === "string" && form.test(value) ? parseDuration(value as StringValue) : value;
  if (typeof parsed !== "number" || !(parsed >= 1 && parsed <= longest)) return undefined;
  return Math.round(parsed);
}
