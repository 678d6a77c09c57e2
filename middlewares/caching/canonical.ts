import { isDate } from "node:util/types";

/** Thrown for a value that has no canonical form. */
export class NoCanonicalForm extends TypeError {
  override readonly name = "NoCanonicalForm";
}

// Far deeper than any real input. A deeper value may be endless, as a getter or `toJSON` can create a new level each time.
const deepest = 1_000;
const fewKeys = 16;

/**
 * The canonical form of `value`: two values have the same one if and only if `JSON.stringify` produces the same value for
 * them (telemetry.md C2). It is JSON with sorted members and another notation of strings. JSON turns a Map, a Set and any
 * object with private state into `{}`, an invalid date into `null`, and an object with an empty `toJSON` into nothing, so
 * that different values become equal: such values have no canonical form.
 *
 * Each look-up needs one, so one pass both checks and writes: a general serializer with a separate check took most of the
 * time of a hit.
 *
 * @throws NoCanonicalForm for values that JSON can't represent, or can't distinguish.
 */
export function canonical(value: unknown): string {
  let form: string | undefined;
  try {
    form = write(value, "", 0);
  } catch (error) {
    // Includes errors of `toJSON` and getters.
    throw new NoCanonicalForm("The value has no canonical form.", { cause: error });
  }
  if (form === undefined) throw new NoCanonicalForm("There is no JSON of undefined.");
  return form;
}

/** `undefined` for values that JSON omits. */
function write(value: unknown, key: string | number, depth: number): string | undefined {
  if (typeof value !== "object" || value === null) return writePrimitive(value);
  if (depth > deepest) throw new TypeError("It is nested too deeply, or has a cycle.");
  const { toJSON } = value as { toJSON?: unknown };
  const own = typeof toJSON === "function" ? checkedJson(value, Reflect.apply(toJSON, value, [String(key)])) : value;
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
  let items = "";
  for (let index = 0; index < value.length; index += 1) {
    items += `${index === 0 ? "[" : ","}${write(value[index], index, depth + 1) ?? "null"}`;
  }
  return items === "" ? "[]" : `${items}]`;
}

function writeObject(value: object, depth: number): string {
  if (!isPlainObject(value)) throw new TypeError(`${Object.prototype.toString.call(value)} is not a plain object.`);
  let members = "";
  for (const key of sortedKeys(value)) {
    const member = write((value as Readonly<Record<string, unknown>>)[key], key, depth + 1);
    if (member !== undefined) members += `${members === "" ? "{" : ","}${quoted(key)}:${member}`;
  }
  return members === "" ? "{}" : `${members}}`;
}

// The length in front makes escapes unnecessary; searching for characters to escape takes longer than everything else.
// UTF-8 has no lone surrogates: the digest would not distinguish them, so those are escaped.
function quoted(value: string): string {
  return value.isWellFormed() ? `${value.length}"${value}"` : JSON.stringify(value);
}

// Sorted by UTF-16 code units. An insertion sort is faster than `toSorted` for the few members that most objects have.
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

/** The result of `toJSON`, if it distinguishes the value from others. */
function checkedJson(value: object, json: unknown): unknown {
  if (json === undefined) throw new TypeError("toJSON returned undefined.");
  if (isDate(value) && Number.isNaN(value.getTime())) throw new TypeError("There is no JSON of an invalid date.");
  return json;
}

// An object of another realm is plain too: a prototype that has no prototype is an Object.prototype. A result of
// `JSON.rawJSON` has no prototype, and stands for another value than the object that it looks like.
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) return !(Object.isFrozen(value) && "rawJSON" in value);
  return prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
