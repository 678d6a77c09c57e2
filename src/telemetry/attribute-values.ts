import { isAnyArrayBuffer, isDate, isMap, isNativeError, isSet, isTypedArray, isUint8Array } from "node:util/types";
import { recordedString } from "./recorded-string.ts";
import type { ValueLimit } from "./value-limits.ts";

/** What every exporter and every logger takes: JSON. */
export type AttributeValue = string | number | boolean | null | readonly AttributeValue[] | AttributeMembers;

/** Attributes by name, or the members of a value. */
export interface AttributeMembers {
  [name: string]: AttributeValue;
}

/**
 * From here on a number is a string, as are those that JSON has not: OpenTelemetry's exporter (0.301) of OTLP's JSON writes
 * it as an `intValue`, which collectors refuse with all records beside it.
 */
const int64 = 2 ** 63;
/** How many levels of objects and arrays are kept. */
const deepest = 8;
/** How many members of one object or array are kept. */
const widest = 128;
/** What a value counts beside its own characters, so that the number of values is bounded too. */
const valueCost = 8;
/** How many values of the longest length all attributes together may be long. */
const mostLengths = 8;

/**
 * The members of `source` as attributes (telemetry.md L4). Values that JSON has no place for get a form that people can
 * read; what is too long, wide or deep is cut, with a mark in its place. `undefined` is left out.
 *
 * It runs code of the user's: getters, proxies, `toJSON`. What that throws costs its own value, whose place a mark takes.
 *
 * @param onFault gets what was thrown, once for each value.
 */
export function attributesOf(source: object, limit: ValueLimit, onFault: (error: unknown) => void): AttributeMembers {
  return new Conversion(limit, onFault).attributes(source);
}

class Conversion {
  readonly #limit: ValueLimit;
  readonly #onFault: (error: unknown) => void;
  /** The objects that the current value is in, to find cycles. */
  readonly #ancestors: object[] = [];
  /** How much longer all strings together may get. */
  #left: number;

  constructor(limit: ValueLimit, onFault: (error: unknown) => void) {
    this.#limit = limit;
    this.#onFault = onFault;
    this.#left = mostLengths * limit.size;
  }

  attributes(source: object): AttributeMembers {
    const attributes: AttributeMembers = {};
    try {
      // The log record takes as many as its own limit says, and counts the others.
      for (const key of Object.keys(source)) this.#add(attributes, source, key);
    } catch (error) {
      this.#onFault(error);
    }
    return attributes;
  }

  #value(value: unknown, key: string): AttributeValue | undefined {
    this.#left -= valueCost;
    switch (typeof value) {
      case "string":
        return this.#string(value);
      case "number":
        return Math.abs(value) < int64 ? value : String(value);
      case "boolean":
        return value;
      case "bigint":
      case "symbol":
        return this.#string(String(value));
      case "function":
        return this.#string(`[Function ${value.name || "(anonymous)"}]`);
      case "object":
        return value === null ? null : this.#object(value, key);
      default:
        return undefined;
    }
  }

  #string(value: string): string {
    const kept = recordedString(value, this.#limit);
    this.#left -= kept.length;
    return kept;
  }

  #object(value: object, key: string): AttributeValue | undefined {
    if (this.#ancestors.includes(value)) return "[Circular]";
    if (this.#ancestors.length >= deepest) return Array.isArray(value) ? "[Array]" : "[Object]";
    this.#ancestors.push(value);
    try {
      return this.#converted(value, key);
    } finally {
      this.#ancestors.pop();
    }
  }

  #converted(value: object, key: string): AttributeValue | undefined {
    if (Array.isArray(value)) return this.#array(value, value.length);
    if (isError(value)) return this.#members(errorMembers(value));
    if (isMap(value)) return this.#map(value);
    if (isSet(value)) return this.#array(value, value.size);
    if (isTypedArray(value) && !isUint8Array(value)) return this.#array(value, value.length);
    if (ArrayBuffer.isView(value)) return this.#bytes(value.buffer, value.byteOffset, value.byteLength);
    if (isAnyArrayBuffer(value)) return this.#bytes(value, 0, value.byteLength);
    if (isDate(value) && Number.isNaN(value.getTime())) return "Invalid Date";
    const { toJSON } = value as { readonly toJSON?: unknown };
    if (typeof toJSON === "function") {
      const json: unknown = Reflect.apply(toJSON, value, [key]);
      return json === value ? this.#members(value) : this.#value(json, key);
    }
    return this.#members(value);
  }

  #array(values: Iterable<unknown>, length: number): AttributeValue[] {
    const kept: AttributeValue[] = [];
    for (const value of values) {
      if (kept.length === widest) {
        kept.push(`... [${length - widest} more]`);
        break;
      }
      kept.push(this.#element(value));
    }
    return kept;
  }

  #map(map: ReadonlyMap<unknown, unknown>): AttributeValue | undefined {
    for (const key of map.keys()) if (typeof key !== "string") return this.#array(map, map.size);
    return this.#members(Object.fromEntries(map));
  }

  // Base64, as in OTLP's JSON.
  #bytes(buffer: ArrayBufferLike, offset: number, length: number): string {
    // Whole groups of three bytes, each four characters, and room for the mark.
    const most = 3 * Math.floor(this.#limit.size / 4.3);
    const encoded = Buffer.from(buffer, offset, Math.min(length, most)).toString("base64");
    return this.#string(length > most ? `${encoded}... [${length - most} bytes cut]` : encoded);
  }

  #members(value: object): AttributeValue {
    const keys = Object.keys(value);
    if (keys.length === 0) return isPlain(value) ? {} : this.#string(textOf(value));
    const members: AttributeMembers = {};
    for (const key of keys.slice(0, widest)) this.#add(members, value, key);
    if (keys.length > widest) members["..."] = `[${keys.length - widest} more]`;
    // OpenTelemetry's SDK takes an object with such a member for the instance of a class, and drops it.
    return Object.hasOwn(members, "constructor") ? this.#string(JSON.stringify(members)) : members;
  }

  #add(members: AttributeMembers, source: object, key: string): void {
    const value = this.#isFull ? "[cut]" : this.#member(source, key);
    if (value === undefined) return;
    const name = key === "" ? "(empty)" : this.#string(key);
    // Assigning to `__proto__` would replace the prototype.
    if (name === "__proto__")
      Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
    else members[name] = value;
  }

  #member(source: object, key: string): AttributeValue | undefined {
    try {
      return this.#value((source as Readonly<Record<string, unknown>>)[key], key);
    } catch (error) {
      this.#onFault(error);
      return "[threw]";
    }
  }

  #element(value: unknown): AttributeValue {
    if (this.#isFull) return "[cut]";
    try {
      return this.#value(value, "") ?? null;
    } catch (error) {
      this.#onFault(error);
      return "[threw]";
    }
  }

  get #isFull(): boolean {
    return this.#left <= 0;
  }
}

/** Whether `value` is an error, of this realm or another. */
export function isError(value: unknown): value is Error {
  return isNativeError(value) || value instanceof Error;
}

function errorMembers(error: Error): object {
  const { name: type, message, stack, cause, errors } = error as Error & { readonly errors?: unknown };
  return Object.assign({}, error, { type, message, stack, cause, errors });
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

// An object without members of its own: what it says of itself, as a `RegExp` does, else what it is, as of a `Promise`.
function textOf(value: object): string {
  const own: unknown = Reflect.get(value, "toString");
  if (typeof own === "function" && own !== Object.prototype.toString) return String(Reflect.apply(own, value, []));
  return `[${value.constructor.name || "Object"}]`;
}
