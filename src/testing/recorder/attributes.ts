import { diag, type Attributes, type Exception } from "@opentelemetry/api";

/** Says whether a value can be an attribute's. */
type Check = (value: unknown) => boolean;

/** Puts a copy of the attribute into `attributes`, unless it is none that OpenTelemetry knows. `undefined` stands for none. */
export function addAttribute(attributes: Attributes, key: string, value: unknown, isAllowed: Check = isAnyValue): void {
  if (value === undefined) return;
  if (key === "") diag.warn("Invalid attribute: its key is empty");
  else if (!isAllowed(value)) diag.warn(`Invalid attribute value set for key: ${key}`);
  else attributes[key] = copied(value);
}

/** A copy of the attributes, without those that OpenTelemetry does not know. */
export function copyAttributes(from: Attributes | undefined, isAllowed: Check = isAnyValue): Attributes {
  const attributes: Attributes = {};
  for (const [key, value] of Object.entries(from ?? {})) addAttribute(attributes, key, value, isAllowed);
  return attributes;
}

/** The attributes of an exception, by the semantic conventions; none if it is unknown what it is. */
export function exceptionAttributes(exception: unknown): Attributes {
  if (typeof exception === "string" || typeof exception === "number") return { "exception.message": String(exception) };
  if (typeof exception !== "object" || exception === null) return {};
  const { code, name, message, stack }: Partial<Exclude<Exception, string>> = exception;
  const type = code ? String(code) : name;
  return {
    ...(type ? { "exception.type": type } : {}),
    ...(message ? { "exception.message": message } : {}),
    ...(stack ? { "exception.stacktrace": stack } : {}),
  };
}

/** What events have: a string, a number, a boolean, or an array of one of these. */
export function isSimpleValue(value: unknown): boolean {
  if (!Array.isArray(value)) return isPrimitive(value);
  const elements = value.filter((each) => each !== null && each !== undefined);
  return elements.every((each) => isPrimitive(each) && typeof each === typeof elements[0]);
}

/** What spans and log records have: also bytes, null, and arrays and plain objects of any of these. */
function isAnyValue(value: unknown, above: readonly unknown[] = []): boolean {
  if (isPrimitive(value) || value === null || value instanceof Uint8Array) return true;
  if (typeof value !== "object" || above.includes(value)) return false;
  const isPlain = Array.isArray(value) || value.constructor === Object || value.constructor === undefined;
  return isPlain && Object.values(value).every((each) => each === undefined || isAnyValue(each, [...above, value]));
}

function isPrimitive(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

// So that a program which writes to its object later does not write to what is recorded.
function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copied);
  if (value instanceof Uint8Array) return value.slice();
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, copied(each)]));
}
