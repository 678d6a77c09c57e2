/** The version of the format of entries. An entry of another version is a miss. */
const format = "durable-telemetry.cache/1";

/** The members of an entry beside its value. */
export interface EntryHeader {
  /** The key that it was stored under. */
  readonly key: string;
  /** The epoch of its namespace; `""` without a namespace. The member's name in a store is `generation`, as in version 0.1. */
  readonly epoch: string;
  /** When it expires, in milliseconds since 1970. */
  readonly expires: number;
}

/** What a string from a store contains. */
export type Decoded =
  | { readonly kind: "entry"; readonly value: unknown; readonly epoch: string; readonly expires: number }
  /** The value of another application, version or key, or a truncated entry. The cache takes it as absent. */
  | { readonly kind: "foreign" }
  /** It is marked as an entry but has another shape. */
  | { readonly kind: "malformed" };

/**
 * Encodes an entry for a store.
 *
 * @param json the value's JSON; `undefined` for the value `undefined`, which has none.
 */
export function encode({ key, epoch, expires }: EntryHeader, json: string | undefined): string {
  const header = `"format":"${format}","key":${JSON.stringify(key)},"generation":${JSON.stringify(epoch)},"expires":${expires}`;
  // The value's JSON is nested in the entry's JSON: an entry that is truncated anywhere can't be parsed.
  return json === undefined ? `{${header},"void":true}` : `{${header},"value":${json}}`;
}

/** Decodes a string that a store has under `key`. Each call creates a new value. */
export function decode(stored: string, key: string): Decoded {
  let parsed: unknown;
  try {
    parsed = JSON.parse(stored);
  } catch {
    return { kind: "foreign" };
  }
  if (typeof parsed !== "object" || parsed === null || !("format" in parsed) || parsed.format !== format)
    return { kind: "foreign" };
  const { key: own, generation: epoch, expires, void: isVoid, value } = parsed as Record<string, unknown>;
  if (typeof own !== "string" || typeof epoch !== "string" || typeof expires !== "number") return { kind: "malformed" };
  if (Object.hasOwn(parsed, "value") === (isVoid === true)) return { kind: "malformed" };
  if (own !== key) return { kind: "foreign" };
  if (!canBeWritten(value, stored)) return { kind: "malformed" };
  return { kind: "entry", epoch, expires, value };
}

// The SDK can always write this many levels.
const harmlessDepth = 1_000;

/** Whether the SDK can write `value`, which was parsed from `json`: JSON can be parsed at any depth, but written to some thousand levels only. */
function canBeWritten(value: unknown, json: string): boolean {
  if (!hasManyLevels(json)) return true;
  try {
    JSON.stringify(value);
    return true;
  } catch {
    return false;
  }
}

// Each level needs an opening bracket. Counting brackets is far cheaper than writing the value, and rules most values out.
function hasManyLevels(json: string): boolean {
  if (json.length < 2 * harmlessDepth) return false;
  let count = 0;
  for (const bracket of ["[", "{"]) {
    for (let at = json.indexOf(bracket); at !== -1; at = json.indexOf(bracket, at + 1)) {
      count += 1;
      if (count > harmlessDepth) return true;
    }
  }
  return false;
}
