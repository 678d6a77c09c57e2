import { validateHeaderName, validateHeaderValue } from "node:http";
import { invalid, kindOf } from "./errors.ts";
import { load } from "./packages.ts";
import type { ResourceAttributes, ResourceAttributeValue } from "./resource.ts";
import type { ValueKind } from "./value-kinds.ts";

export type Headers = Readonly<Record<string, string>>;

/** Headers by name. Their values are often secrets: whatever is told of them names the header at most. */
export const headers: ValueKind<Headers> = headersFor("HTTP", (name, value) => {
  validateHeaderName(name);
  validateHeaderValue(name, value);
});

/** The same for gRPC, which allows less. */
export const grpcHeaders: ValueKind<Headers> = headersFor("gRPC", (name, value) => {
  const { Metadata } = load("@grpc/grpc-js");
  new Metadata().set(name, value);
});

function headersFor(protocol: string, check: (name: string, value: string) => void): ValueKind<Headers> {
  const isHeader = (name: string, value: string): boolean => passes(() => check(name, value));
  return {
    is: `key=value pairs, separated by commas, that make valid ${protocol} headers`,
    fromText: (text, ignore) => {
      const { parseKeyPairsIntoRecord } = load("@opentelemetry/core");
      const found: Record<string, string> = {};
      for (const entry of entriesOf(text)) {
        const pair = parseKeyPairsIntoRecord(entry);
        const isValid = Object.entries(pair).every(([name, value]) => isHeader(name, value));
        if (isValid && Object.keys(pair).length === 1) Object.assign(found, pair);
        else ignore(entry);
      }
      return found;
    },
    fromCode: (option, value) => {
      if (!isPlainObject(value)) throw invalid(`"${option}" must be an object of header names and texts, not ${kindOf(value)}`);
      const checked: Record<string, string> = {};
      for (const [name, text] of Object.entries(value)) {
        if (typeof text !== "string") throw invalid(`"${option}.${name}" must be a string, not ${kindOf(text)}`);
        if (!isHeader(name, "")) throw invalid(`"${option}" has "${name}", which is no valid ${protocol} header name`);
        if (!isHeader(name, text)) {
          throw invalid(`"${option}.${name}" has characters that ${protocol === "HTTP" ? "an" : "a"} ${protocol} header must not have, such as a line break`);
        }
        checked[name] = text;
      }
      return checked;
    },
    show: (value) => Object.keys(value).join(", "),
    showIgnored: () => "[redacted]",
  };
}

/** Attributes of the resource. As the OpenTelemetry specification wants it, one bad pair makes all of a variable void. */
export const attributes: ValueKind<ResourceAttributes> = {
  is: "key=value pairs, separated by commas",
  fromText: (text, ignore) => {
    const pairs = entriesOf(text).map(attributeOf);
    if (pairs.every((pair) => pair !== undefined)) return Object.fromEntries(pairs);
    ignore(text);
    return undefined;
  },
  fromCode: attributesFromCode,
  show: (value) =>
    Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .map(([name, each]) => (isHarmless(name) ? `${name}=${String(each)}` : name))
      .join(", "),
  showIgnored: () => "[redacted]",
};

// A resource is sent with all that is sent, but a bug report goes elsewhere; so of the rest it has the names only.
function isHarmless(name: string): boolean {
  return /^(service\.(name|version|namespace)|deployment\.environment(\.name)?|telemetry\..*)$/.test(name);
}

function entriesOf(text: string): readonly string[] {
  return text.split(",").filter((entry) => entry.trim() !== "");
}

function attributeOf(entry: string): readonly [name: string, value: string] | undefined {
  const [name = "", value, ...more] = entry.split("=").map((part) => part.trim());
  if (name === "" || value === undefined || more.length > 0) return undefined;
  try {
    return [decodeURIComponent(name), decodeURIComponent(value)];
  } catch {
    return undefined; // No valid percent-encoding.
  }
}

function attributesFromCode(option: string, value: unknown): ResourceAttributes {
  if (!isPlainObject(value)) throw invalid(`"${option}" must be an object of names and values, not ${kindOf(value)}`);
  const checked: Record<string, ResourceAttributeValue | undefined> = {};
  for (const [name, attribute] of Object.entries(value)) {
    if (name === "") throw invalid(`"${option}" has an empty name`);
    if (attribute !== undefined && !isResourceAttributeValue(attribute)) {
      throw invalid(
        `"${option}.${name}" must be a string, a finite number, a boolean, or an array of one of these, not ${kindOf(attribute)}`,
      );
    }
    checked[name] = attribute;
  }
  return checked;
}

function isResourceAttributeValue(value: unknown): value is ResourceAttributeValue {
  if (isScalar(value)) return true;
  if (!Array.isArray(value)) return false;
  const values: readonly unknown[] = value;
  return values.every((item) => isScalar(item) && typeof item === typeof values[0]);
}

function isScalar(value: unknown): boolean {
  return typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  // Other objects, such as a Map or Headers, keep what they have elsewhere than in properties.
  return Object.prototype.toString.call(value) === "[object Object]";
}

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
