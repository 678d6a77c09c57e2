/** The version of the format of entries: what has another one is not read. */
const format = "durable-telemetry.cache/1";

/** What is to be known of an entry beside its value. */
export interface EntryFacts {
  /** The key that it was stored under. */
  readonly key: string;
  /** The generation of its namespace; `""` without a namespace. */
  readonly generation: string;
  /** When it expires, in milliseconds since 1970. */
  readonly expires: number;
}

/** What a text from a store turned out to be. */
export type Opened =
  | { readonly kind: "entry"; readonly value: unknown; readonly generation: string; readonly expires: number }
  /** Another application's, another version's, another key's, or half-written: not there, as far as this cache goes. */
  | { readonly kind: "foreign" }
  /** It says that it is an entry, and is none. */
  | { readonly kind: "broken" };

/**
 * Puts a value into what a store keeps.
 *
 * @param json the value's JSON; `undefined` for the value `undefined`, which has none.
 */
export function seal({ key, generation, expires }: EntryFacts, json: string | undefined): string {
  const facts = `"format":"${format}","key":${JSON.stringify(key)},"generation":${JSON.stringify(generation)},"expires":${expires}`;
  // One JSON text around the other: what is cut off anywhere can't be parsed.
  return json === undefined ? `{${facts},"void":true}` : `{${facts},"value":${json}}`;
}

/** Opens what a store has under `key`; each time with a value of its own. */
export function open(text: string, key: string): Opened {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { kind: "foreign" };
  }
  if (typeof parsed !== "object" || parsed === null || !("format" in parsed) || parsed.format !== format) return { kind: "foreign" };
  const { key: own, generation, expires, void: isVoid, value } = parsed as Record<string, unknown>;
  if (typeof own !== "string" || typeof generation !== "string" || typeof expires !== "number") return { kind: "broken" };
  if (Object.hasOwn(parsed, "value") === (isVoid === true)) return { kind: "broken" };
  if (own !== key) return { kind: "foreign" };
  if (!canBeWritten(value, text)) return { kind: "broken" };
  return { kind: "entry", generation, expires, value };
}

// So few levels can always be written.
const harmlessDepth = 1_000;

/** Whether the SDK can write `value`, which was read from `text`: JSON can be read at any depth, and written to some thousand levels. */
function canBeWritten(value: unknown, text: string): boolean {
  if (!hasManyLevels(text)) return true;
  try {
    JSON.stringify(value);
    return true;
  } catch {
    return false;
  }
}

// Each level takes an opening bracket. Counting those is far cheaper than writing the value, which most need not.
function hasManyLevels(text: string): boolean {
  if (text.length < 2 * harmlessDepth) return false;
  let count = 0;
  for (const bracket of ["[", "{"]) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count += 1;
      if (count > harmlessDepth) return true;
    }
  }
  return false;
}
