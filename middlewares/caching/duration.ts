import ms from "ms";

/** A length of time: a number of milliseconds, or a string with a unit, such as `"500ms"`, `"5m"` or `"1.5 hours"`. */
export type Duration = number | string;

const form = /^\d+(?:\.\d+)? ?[a-z]+$/i;
const year = 31_557_600_000;

/** The longest duration there is; what is longer is a slip of the pen, and no store could keep the date. */
const longest = 100 * year;

/**
 * The whole milliseconds that `value` stands for; `undefined` if it is no duration from one millisecond to a hundred years.
 * A text needs a unit: `"300"` may be meant as seconds.
 */
export function milliseconds(value: unknown): number | undefined {
  const parsed = typeof value === "string" && form.test(value) ? ms(value as ms.StringValue) : value;
  if (typeof parsed !== "number" || !(parsed >= 1 && parsed <= longest)) return undefined;
  return Math.round(parsed);
}
