/** An attribute's value for people: strings and numbers as they are, everything else as JSON. */
export function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  try {
    return JSON.stringify(value, withNames) ?? String(value);
  } catch {
    // A cycle, or a getter that threw.
    return String(value);
  }
}

/** JSON would throw at a bigint, and write `null` for `NaN` and `Infinity`. */
function withNames(_key: string, part: unknown): unknown {
  return typeof part === "bigint" || (typeof part === "number" && !Number.isFinite(part)) ? String(part) : part;
}
