import { readFileSync } from "node:fs";
import { invalid, kindOf } from "./diagnostics.ts";
import type { ResourceAttributes } from "./options.ts";

/** Notes a part of a variable that makes no sense, as it may be shown, and why if that is not clear. */
export type Ignore = (shown: string, why?: string) => void;

/** What a setting may be, in a variable and in code. */
export interface Kind<T> {
  /** Completes "must be …". */
  readonly is: string;
  /** What a variable says that is not blank; `undefined` if nothing of it makes sense. */
  fromText(text: string, ignore: Ignore): T | undefined;
  /** @throws TypeError that names the option and what is allowed. */
  fromCode(option: string, value: unknown): T;
  /** The value as diagnostics show it: never a secret. */
  show(value: T): string;
}

const redacted = (): string => "[redacted]";

/** A kind whose values have a text that says the same in a variable; `hide` is what is shown of a wrong text. */
function kind<T>(is: string, type: string, parse: (text: string) => T | undefined, hide: (text: string) => string = String, show: (value: T) => string = String): Kind<T> {
  return {
    is,
    show,
    fromText: (text, ignore) => {
      const value = parse(text);
      if (value === undefined) ignore(hide(text));
      return value;
    },
    fromCode: (option, given) => {
      const value = typeof given === type ? parse(String(given)) : undefined;
      if (value !== undefined) return value;
      throw invalid(`"${option}" must be ${is}, not ${typeof given === "string" ? `"${hide(given)}"` : kindOf(given)}`);
    },
  };
}

const aNumber = (is: string, test: (value: number) => boolean): Kind<number> =>
  kind(is, "number", (text) => (test(Number(text)) ? Number(text) : undefined));

// A longer setTimeout would fire at once.
const longest = 2 ** 31 - 1;

export const aText: Kind<string> = kind("a string", "string", String);
export const aBoolean: Kind<boolean> = kind("true or false", "boolean", (text) => ({ true: true, false: false })[text.toLowerCase()]);
export const milliseconds: Kind<number> = aNumber(`a number of milliseconds greater than 0 and at most ${longest}`, (value) => value > 0 && value <= longest);
export const aCount: Kind<number> = aNumber("a whole number greater than 0", (value) => Number.isSafeInteger(value) && value > 0);
export const aRatio: Kind<number> = aNumber("a number from 0 to 1", (value) => value >= 0 && value <= 1);

/** One of `values`, in a variable in whatever case. */
export function oneOf<T extends string>(...values: readonly T[]): Kind<T> {
  return kind(`${values.slice(0, -1).join(", ")} or ${values.at(-1)}`, "string", (text) => values.find((value) => value === text.toLowerCase()));
}

/** Several of `values`: separated by commas in a variable, an array or just one in code. An empty array says `none`. */
export function someOf<T extends string>(...values: readonly (T | "none")[]): Kind<readonly (T | "none")[]> {
  const one = oneOf(...values);
  return {
    is: `any of ${values.join(", ")}`,
    show: (value) => value.join(", "),
    fromText: (text, ignore) => {
      const found = partsOf(text).flatMap((part) => one.fromText(part, ignore) ?? []);
      return found.length === 0 ? undefined : [...new Set(found)];
    },
    fromCode: (option, value) => {
      if (!Array.isArray(value)) return [one.fromCode(option, value)];
      return value.length === 0 ? ["none"] : value.map((item: unknown, index) => one.fromCode(`${option}[${index}]`, item));
    },
  };
}

/** The path of a file. What should be in the file, and stands where the path should, is not shown. */
export const aFile: Kind<string> = kind(
  "the path of a file that can be read",
  "string",
  (path) => {
    try {
      readFileSync(path);
      return path;
    } catch {
      return undefined;
    }
  },
  (path) => (/\n|-----BEGIN/.test(path) ? "[redacted]" : path),
);

/** An address as a URL; one without a scheme is that of gRPC with TLS. */
const withScheme = (address: string): string => (address.includes("://") ? address : `https://${address}`);

/** An address as lines show it: without credentials and query, or with `mark` in their place. */
export function showAddress(address: string, mark = ""): string {
  const { protocol, host, pathname, username, password, search } = new URL(withScheme(address));
  const credentials = mark !== "" && username + password !== "" ? `${mark}@` : "";
  const query = mark !== "" && search !== "" ? `?${mark}` : "";
  return address.includes("://") ? `${protocol}//${credentials}${host}${pathname}${query}` : `${credentials}${host}${query}`;
}

const anAddress = (is: string, parse: (text: string) => string | undefined): Kind<string> =>
  kind(is, "string", parse, redacted, (address) => showAddress(address, "[redacted]"));

/** Where OTLP goes: over HTTP, and over gRPC, where the scheme may be left out. What is no address may be a key, and is not shown. */
export const endpointFor: Readonly<Record<"HTTP" | "gRPC", Kind<string>>> = {
  HTTP: anAddress('an http or https URL such as "http://localhost:4318"', (text) => (/^https?:/i.test(text) && URL.canParse(text) ? new URL(text).href : undefined)),
  gRPC: anAddress('an address such as "http://localhost:4317"', (text) => (URL.canParse(withScheme(text)) ? text : undefined)),
};

/** The URL of a signal below the base URL of a collector. A base URL that names a signal by mistake works too. */
export function urlOfSignal(base: string, signal: string): string {
  const url = new URL(base);
  let end = url.pathname.length;
  while (url.pathname[end - 1] === "/") end -= 1;
  url.pathname = `${url.pathname.slice(0, end).replace(/\/v1\/(?:traces|metrics|logs)$/, "")}/v1/${signal}`;
  return url.href;
}

export type Headers = Readonly<Record<string, string>>;

const headerRules = {
  HTTP: { name: /^[\w!#$%&'*+.^`|~-]+$/, value: /^[\t\u0020-\u007E\u0080-\u00FF]*$/ },
  gRPC: { name: /^[\w.-]+(?<!-bin)$/i, value: /^[\u0020-\u007E]*$/ },
} as const;

/** Headers by name. Their values are often secrets: whatever is said of them names the header at most. */
export function headersFor(protocol: "HTTP" | "gRPC"): Kind<Headers> {
  const rules = headerRules[protocol];
  const article = protocol === "HTTP" ? "an" : "a";
  return {
    is: `key=value pairs, separated by commas, that make valid ${protocol} headers`,
    show: (value) => Object.keys(value).join(", "),
    fromText: (text, ignore) => {
      const pairs = text.split(",").map((entry, index): readonly [string, string] | undefined => {
        const pair = entry.includes(";") ? undefined : pairOf(entry);
        if (pair !== undefined && rules.name.test(pair[0]) && rules.value.test(pair[1])) return pair;
        const hint = entry.includes(";") ? "; a semicolon in a value is written %3B" : entry.includes("=") ? "" : "; a comma in a value is written %2C";
        if (entry.trim() !== "") ignore("[redacted]", `pair ${index + 1} is left out${hint}`);
        return undefined;
      });
      return Object.fromEntries(pairs.filter((pair) => pair !== undefined));
    },
    fromCode: (option, value) => {
      for (const [name, text] of entriesOf(option, value, "header names and texts")) {
        if (typeof text !== "string") throw invalid(`"${option}.${name}" must be a string, not ${kindOf(text)}`);
        if (!rules.name.test(name)) throw invalid(`"${option}" has "${name}", which is no valid ${protocol} header name`);
        if (!rules.value.test(text)) throw invalid(`"${option}.${name}" has characters that ${article} ${protocol} header must not have, such as a line break`);
      }
      return value as Headers;
    },
  };
}

// A resource goes where telemetry goes, but diagnostics go into bug reports; so those have the names only of the rest.
const harmless = /^(service\.(name|version|namespace)|deployment\.environment(\.name)?|telemetry\..*)$/;

/** Attributes of the resource. As the OpenTelemetry specification wants it, one bad pair makes all of a variable void. */
export const attributes: Kind<ResourceAttributes> = {
  is: "key=value pairs, separated by commas",
  show: (value) => Object.entries(value).map(([name, each]) => (harmless.test(name) ? `${name}=${String(each)}` : name)).join(", "),
  fromText: (text, ignore) => {
    const pairs = partsOf(text).map((entry) => (entry.split("=").length === 2 ? pairOf(entry) : undefined));
    if (pairs.every((pair) => pair !== undefined)) return Object.fromEntries(pairs);
    ignore("[redacted]", `pair ${pairs.indexOf(undefined) + 1} is none; a comma in a value is written %2C, and "=" is %3D`);
    return undefined;
  },
  fromCode: (option, value) => {
    const given = entriesOf(option, value, "names and values").filter(([, each]) => each !== undefined);
    for (const [name, each] of given) {
      if (name === "") throw invalid(`"${option}" has an empty name`);
      if (!isAttributeValue(each)) throw invalid(`"${option}.${name}" must be a string, a finite number, a boolean, or an array of one of these, not ${kindOf(each)}`);
    }
    return Object.fromEntries(given) as ResourceAttributes;
  },
};

const partsOf = (text: string): readonly string[] => text.split(",").map((part) => part.trim()).filter((part) => part !== "");

function pairOf(entry: string): readonly [name: string, value: string] | undefined {
  const at = entry.indexOf("=");
  const name = entry.slice(0, Math.max(at, 0)).trim();
  try {
    return name === "" ? undefined : [decodeURIComponent(name), decodeURIComponent(entry.slice(at + 1).trim())];
  } catch {
    return undefined; // No valid percent-encoding.
  }
}

function entriesOf(option: string, value: unknown, of: string): readonly (readonly [string, unknown])[] {
  // Other objects, such as a Map or Headers, keep what they have elsewhere than in properties.
  if (Object.prototype.toString.call(value) === "[object Object]") return Object.entries(value as object);
  throw invalid(`"${option}" must be an object of ${of}, not ${kindOf(value)}`);
}

function isAttributeValue(value: unknown): boolean {
  const isScalar = (each: unknown): boolean => typeof each === "string" || typeof each === "boolean" || Number.isFinite(each);
  return Array.isArray(value) ? value.every((item: unknown) => isScalar(item) && typeof item === typeof value[0]) : isScalar(value);
}
