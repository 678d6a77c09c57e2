/** A result that can be kept and shared. */
export interface StoredResult {
  /** Its JSON; `undefined` for a result that has none, which is what the SDK then sends. */
  readonly json: string | undefined;
  /** The length of the JSON, in bytes of UTF-8. */
  readonly size: number;
  /** Makes the result of a hit: a new value each time. */
  readonly read: () => unknown;
}

/**
 * What the SDK makes of an activity's result, and the result that a hit has (telemetry.md C3). `undefined` if JSON can't
 * hold it (then the SDK will fail the activity), or if a hit would not have the same JSON again, byte for byte.
 */
export function resultOf(value: unknown): StoredResult | undefined {
  try {
    const json = JSON.stringify(value) as string | undefined;
    if (json === undefined) return { json, size: 0, read: () => undefined };
    // `JSON.rawJSON` writes numbers that no value has.
    if (JSON.stringify(JSON.parse(json)) !== json) return undefined;
    return { json, size: Buffer.byteLength(json), read: () => JSON.parse(json) as unknown };
  } catch {
    return undefined;
  }
}
