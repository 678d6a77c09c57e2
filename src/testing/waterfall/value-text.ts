/** An attribute's value for people: strings as they are, everything else as JSON. */
export function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return (
      JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part)) ??
      String(value)
    );
  } catch {
    // A cycle, or a getter that threw.
    return String(value);
  }
}
