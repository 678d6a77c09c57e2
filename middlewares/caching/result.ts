import { isPromised } from "../../src/pipeline/thenable.ts";

/** A result that can be stored and shared. */
export interface StoredResult {
  /** Its JSON; `undefined` for a result without JSON, which the SDK sends as no result. */
  readonly json: string | undefined;
  /** The length of the JSON, in bytes of UTF-8. */
  readonly size: number;
  /** Returns the result of a hit. Each call returns a new value. */
  readonly read: () => unknown;
}

/**
 * An activity's result as the SDK serializes it, and the result of a hit (telemetry.md C3). `undefined` if JSON can't
 * represent it (the SDK then fails the activity), or if a hit would not have the same JSON again, byte for byte.
 */
export function resultOf(value: unknown): StoredResult | undefined {
  try {
    // Middleware set it.
    if (isPromised(value)) return undefined;
    const json = JSON.stringify(value) as string | undefined;
    if (json === undefined) return { json, size: 0, read: () => undefined };
    // `JSON.rawJSON` can produce numbers that parsing changes.
    if (JSON.stringify(JSON.parse(json)) !== json) return undefined;
    return { json, size: Buffer.byteLength(json), read: () => JSON.parse(json) as unknown };
  } catch {
    return undefined;
  }
}
