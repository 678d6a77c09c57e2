import { diag } from "@opentelemetry/api";

/** How long a recorded string may be, in bytes of UTF-8 or in characters (UTF-16 code units). */
export interface ValueLimit {
  readonly size: number;
  readonly unit: "bytes" | "characters";
}

/** The limit where the environment sets none: far below the size of a request, so that one value costs its neighbours nothing. */
export const defaultValueLimit: ValueLimit = { size: 32 * 1024, unit: "bytes" };

const variables = {
  span: "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
  log: "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
} as const;
const variableOfAll = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT";

/**
 * The limit for every string that a signal records: names, attributes, status messages, exception fields, log bodies.
 * The signal's own variable wins over `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`. Both count UTF-16 code units, as the
 * OpenTelemetry SDK does; a value that is no positive number is ignored and reported through `diag`.
 */
export function readValueLimit(signal: "span" | "log", environment: NodeJS.ProcessEnv = process.env): ValueLimit {
  for (const name of [variables[signal], variableOfAll]) {
    const value = environment[name]?.trim();
    if (value === undefined || value === "") continue;
    const size = Math.floor(Number(value));
    if (size > 0) return { size, unit: "characters" };
    diag.warn(`durable-telemetry: ${name} is ignored: it must be a positive number.`);
  }
  return defaultValueLimit;
}

let spanLimit: ValueLimit | undefined;
let logLimit: ValueLimit | undefined;

/** The limit for what spans record. The environment is read once, at the first use. */
export function spanValueLimit(): ValueLimit {
  return (spanLimit ??= readValueLimit("span"));
}

/** The limit for what log records hold. The environment is read once, at the first use. */
export function logValueLimit(): ValueLimit {
  return (logLimit ??= readValueLimit("log"));
}

const encoder = new TextEncoder();

/**
 * Returns `value` if it is within the limit, else its beginning and a mark that says how many characters are missing,
 * both together within the limit; where the limit leaves no room for the mark, the beginning alone. A surrogate pair is
 * never split. The result does not keep the original string in memory.
 */
export function cut(value: string, limit: ValueLimit): string {
  const { size, unit } = limit;
  if (value.length <= (unit === "bytes" ? size / 3 : size)) return value;
  if (unit === "bytes" && value.length <= size && Buffer.byteLength(value) <= size) return value;
  const longestMark = markOf(value.length);
  const hasMark = longestMark.length < size;
  const beginning = beginningOf(value, hasMark ? size - longestMark.length : size, unit);
  return hasMark ? beginning + markOf(value.length - beginning.length) : beginning;
}

// ASCII, so that it has as many bytes as characters.
function markOf(missing: number): string {
  return `... [${missing} characters cut]`;
}

// Goes through UTF-8 in both cases: a slice of a string keeps the whole string alive.
function beginningOf(value: string, size: number, unit: ValueLimit["unit"]): string {
  if (unit === "bytes") {
    const bytes = Buffer.allocUnsafe(size);
    const { written } = encoder.encodeInto(value.slice(0, size), bytes);
    return bytes.toString("utf8", 0, written);
  }
  const splitsPair = isHighSurrogate(value.charCodeAt(size - 1)) && isLowSurrogate(value.charCodeAt(size));
  return Buffer.from(value.slice(0, splitsPair ? size - 1 : size)).toString();
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;
