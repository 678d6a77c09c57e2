import { configure } from "safe-stable-stringify";

// Refuses cycles, NaN, infinities, BigInts, functions and symbols; sorts the members of objects.
const stringify = configure({ strict: true });

/** Says that a value has no canonical form. */
export class NoCanonicalForm extends TypeError {
  override readonly name = "NoCanonicalForm";
}

/**
 * The canonical JSON of `value`: two values have the same one exactly if `JSON.stringify` makes the same value of them
 * (telemetry.md C2). JSON makes `{}` of a Map, a Set and any object that keeps its state to itself, so that what differs
 * would become the same: such objects are refused, unless they say with `toJSON` what they are.
 *
 * @throws NoCanonicalForm for what JSON can't hold, or can't tell apart.
 */
export function canonical(value: unknown): string {
  let text: string | undefined;
  try {
    text = stringify(value, refuseOpaque);
  } catch (error) {
    // Also what `toJSON` and getters throw, and what is nested too deeply.
    throw new NoCanonicalForm(error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (text === undefined) throw new NoCanonicalForm(`There is no JSON of a value of type ${typeof value}.`);
  return text;
}

// Comes after toJSON, and sees each value on its way into the text.
function refuseOpaque(_: string, value: unknown): object {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !isPlainObject(value)) {
    throw new TypeError(`${Object.prototype.toString.call(value)} is no plain object.`);
  }
  // Any value; the serializer's type does not say so.
  return value as object;
}

// Also of another realm: a prototype without one of its own is an Object.prototype.
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
