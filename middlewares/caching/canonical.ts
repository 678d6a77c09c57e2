import { isDate } from "node:util/types";

/** Says that a value has no canonical form. */
export class NoCanonicalForm extends TypeError {
  override readonly name = "NoCanonicalForm";
}

// Far above what anybody sends; what is deeper may have no end, and what stands beside it is read again at each level.
const deepest = 1_000;
const fewKeys = 16;

/**
 * The canonical form of `value`: two values have the same one exactly if `JSON.stringify` makes the same value of them
 * (telemetry.md C2). It is JSON with sorted members, but for its texts. JSON makes `{}` of a Map, a Set and any object that
 * keeps its state to itself, `null` of a date that is none, and nothing of what has an empty `toJSON`, so that what
 * differs would become the same: such values are refused.
 *
 * Each look-up needs one, so it is written in one go: with a serializer for all cases and a check beside it, it was most
 * of what a hit costs.
 *
 * @throws NoCanonicalForm for what JSON can't hold, or can't tell apart.
 */
export function canonical(value: unknown): string {
  let text: string | undefined;
  try {
    text = write(value, "", 0);
  } catch (error) {
    // Also what `toJSON` and getters throw.
    throw new NoCanonicalForm("The value has no canonical form.", { cause: error });
  }
  if (text === undefined) throw new NoCanonicalForm("There is no JSON of undefined.");
  return text;
}

/** `undefined` for what JSON leaves out. */
function write(value: unknown, key: string | number, depth: number): string | undefined {
  if (typeof value !== "object" || value === null) return writePrimitive(value);
  if (depth > deepest) throw new TypeError("It is nested too deeply, or has a cycle.");
  const { toJSON } = value as { toJSON?: unknown };
  const own = typeof toJSON === "function" ? said(value, Reflect.apply(toJSON, value, [String(key)])) : value;
  if (typeof own !== "object" || own === null) return writePrimitive(own);
  return Array.isArray(own) ? writeArray(own, depth) : writeObject(own, depth);
}

function writePrimitive(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`There is no JSON of ${value}.`);
      return String(value);
    case "boolean":
      return value ? "true" : "false";
    case "undefined":
      return undefined;
    case "object":
      return "null";
    default:
      throw new TypeError(`There is no JSON of a value of type ${typeof value}.`);
  }
}

function writeArray(value: readonly unknown[], depth: number): string {
  let text = "";
  for (let index = 0; index < value.length; index += 1) {
    text += `${index === 0 ? "[" : ","}${write(value[index], index, depth + 1) ?? "null"}`;
  }
  return text === "" ? "[]" : `${text}]`;
}

function writeObject(value: object, depth: number): string {
  if (!isPlainObject(value)) throw new TypeError(`${Object.prototype.toString.call(value)} is no plain object.`);
  let text = "";
  for (const key of sortedKeys(value)) {
    const member = write((value as Readonly<Record<string, unknown>>)[key], key, depth + 1);
    if (member !== undefined) text += `${text === "" ? "{" : ","}${quoted(key)}:${member}`;
  }
  return text === "" ? "{}" : `${text}}`;
}

// With its length in front nothing in a text needs to be escaped, and to look for that takes longer than all the rest.
// UTF-8 has no lone surrogates: all of them would be the same.
function quoted(text: string): string {
  return text.isWellFormed() ? `${text.length}"${text}"` : JSON.stringify(text);
}

// By their UTF-16 code units. Inserting is faster than `toSorted` for as few members as most objects have.
function sortedKeys(value: object): readonly string[] {
  const keys = Object.keys(value);
  if (keys.length > fewKeys) return keys.toSorted();
  for (let end = 1; end < keys.length; end += 1) {
    const key = keys[end] as string;
    let at = end;
    for (let before = keys[at - 1] as string; at > 0 && before > key; before = keys[at - 1] as string) {
      keys[at] = before;
      at -= 1;
    }
    keys[at] = key;
  }
  return keys;
}

/** What `toJSON` said, unless others would say the same. */
function said(value: object, json: unknown): unknown {
  if (json === undefined) throw new TypeError("toJSON said nothing.");
  if (isDate(value) && Number.isNaN(value.getTime())) throw new TypeError("There is no JSON of an invalid date.");
  return json;
}

// Also of another realm: a prototype without one of its own is an Object.prototype. What `JSON.rawJSON` makes has none,
// and is not the object that it looks like.
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) return !(Object.isFrozen(value) && "rawJSON" in value);
  return prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
