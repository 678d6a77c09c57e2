import { readFileSync } from "node:fs";
import { validateHeaderName, validateHeaderValue } from "node:http";
import type { Sampler } from "@opentelemetry/sdk-trace";
import { invalid, kindOf } from "./diagnostics.ts";
import type { ResourceAttributes, SamplerName } from "./options.ts";
import { load } from "./packages.ts";

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

/** In milliseconds. A longer setTimeout would fire at once. */
export const longestTimeout: number = 2 ** 31 - 1;

/** A kind whose values have a text that says the same in a variable. */
function kind<T>(
  is: string,
  type: "string" | "number" | "boolean",
  parse: (text: string) => T | undefined,
  { show = String, hide = (text) => text }: { readonly show?: (value: T) => string; readonly hide?: (text: string) => string } = {},
): Kind<T> {
  return {
    is,
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
    show,
  };
}

const aNumber = (is: string, test: (value: number) => boolean): Kind<number> =>
  kind(is, "number", (text) => (test(Number(text)) ? Number(text) : undefined));

export const aText: Kind<string> = kind("a string", "string", (text) => text);
export const aBoolean: Kind<boolean> = kind("true or false", "boolean", (text) => ({ true: true, false: false })[text.toLowerCase()]);
export const milliseconds: Kind<number> = aNumber(
  `a number of milliseconds greater than 0 and at most ${longestTimeout}`,
  (value) => value > 0 && value <= longestTimeout,
);
export const aCount: Kind<number> = aNumber("a whole number greater than 0", (value) => Number.isSafeInteger(value) && value > 0);
export const aRatio: Kind<number> = aNumber("a number from 0 to 1", (value) => value >= 0 && value <= 1);

/** One of `values`, in a variable in whatever case. */
export function oneOf<T extends string>(...values: readonly T[]): Kind<T> {
  const is = `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
  return kind(is, "string", (text) => values.find((value) => value === text.toLowerCase()));
}

/** Several of `values`: separated by commas in a variable, an array or just one in code. An empty array says `none`. */
export function someOf<T extends string>(...values: readonly T[]): Kind<readonly (T | "none")[]> {
  const one = oneOf(...values);
  return {
    is: `any of ${values.join(", ")}`,
    fromText: (text, ignore) => {
      const found = text.split(",").flatMap((part) => (part.trim() === "" ? [] : (one.fromText(part.trim(), ignore) ?? [])));
      return found.length === 0 ? undefined : [...new Set(found)];
    },
    fromCode: (option, value) => {
      if (!Array.isArray(value)) return [one.fromCode(option, value)];
      return value.length === 0 ? ["none"] : value.map((item: unknown, index) => one.fromCode(`${option}[${index}]`, item));
    },
    show: (value) => value.join(", "),
  };
}

const named = oneOf<SamplerName>(
  ...(["always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"] as const),
);

/** The name of a sampler, or one that was made in code. */
export const aSampler: Kind<Sampler | SamplerName> = {
  ...named,
  fromCode: (option, value) => {
    if (typeof value === "string") return named.fromCode(option, value);
    if (hasMethods(value, ["shouldSample"])) return value as Sampler;
    throw invalid(`"${option}" must be a sampler with shouldSample(), or the name of one (${named.is}), not ${kindOf(value)}`);
  },
  show: (value) => (typeof value === "string" ? value : "a sampler made in code"),
};

/** A file, and what is in it. */
export interface GivenFile {
  readonly path: string;
  readonly content: Buffer;
}

function readFile(path: string): GivenFile | undefined {
  try {
    return { path, content: readFileSync(path) };
  } catch {
    return undefined;
  }
}

/** The path of a file. What should be in the file, and stands where the path should, is not shown. */
export const aFile: Kind<GivenFile> = kind("the path of a file that can be read", "string", readFile, {
  show: ({ path }) => path,
  hide: (path) => (/\n|-----BEGIN/.test(path) ? "[redacted]" : path),
});

const withScheme = (address: string): string => (address.includes("://") ? address : `https://${address}`);
const httpUrl = (text: string): string | undefined => (/^https?:/i.test(text) && URL.canParse(text) ? new URL(text).href : undefined);

/** An address as lines show it: without credentials and query. What is no address may be a key, and is not shown. */
export function showAddress(address: string, mark = ""): string {
  if (!URL.canParse(withScheme(address))) return "[redacted]";
  const { protocol, host, pathname, username, password, search } = new URL(withScheme(address));
  const credentials = mark !== "" && username + password !== "" ? `${mark}@` : "";
  const query = mark !== "" && search !== "" ? `?${mark}` : "";
  return address.includes("://") ? `${protocol}//${credentials}${host}${pathname}${query}` : `${credentials}${host}${query}`;
}

const address = { show: (value: string) => showAddress(value, "[redacted]"), hide: () => "[redacted]" };

/** Where OTLP over HTTP goes. */
export const httpEndpoint: Kind<string> = kind('an http or https URL such as "http://localhost:4318"', "string", httpUrl, address);

/** Where OTLP over gRPC goes; in a variable it may lack its scheme. */
export const grpcEndpoint: Kind<string> = {
  ...kind('an address such as "http://localhost:4317"', "string", (text) => (URL.canParse(withScheme(text)) ? text : undefined), address),
  fromCode: (option, value) => httpEndpoint.fromCode(option, value),
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

/** Headers by name. Their values are often secrets: whatever is said of them names the header at most. */
export function headersFor(protocol: "HTTP" | "gRPC"): Kind<Headers> {
  const isHeader = (name: string, value: string): boolean => {
    try {
      if (protocol === "gRPC") new (load("@grpc/grpc-js").Metadata)().set(name, value);
      validateHeaderName(name);
      validateHeaderValue(name, value);
      return true;
    } catch {
      return false;
    }
  };
  return {
    is: `key=value pairs, separated by commas, that make valid ${protocol} headers`,
    fromText: (text, ignore) => {
      const found: Record<string, string> = {};
      for (const [index, entry] of text.split(",").entries()) {
        const [name, value] = pairOf(entry) ?? [];
        if (name !== undefined && value !== undefined && !entry.includes(";") && isHeader(name, value)) found[name] = value;
        else if (entry.trim() !== "") {
          const hint = entry.includes(";") ? "; a semicolon in a value is written %3B" : entry.includes("=") ? "" : "; a comma in a value is written %2C";
          ignore("[redacted]", `pair ${index + 1} is left out${hint}`);
        }
      }
      return found;
    },
    fromCode: (option, value) => {
      if (!isPlainObject(value)) throw invalid(`"${option}" must be an object of header names and texts, not ${kindOf(value)}`);
      for (const [name, text] of Object.entries(value)) {
        if (typeof text !== "string") throw invalid(`"${option}.${name}" must be a string, not ${kindOf(text)}`);
        if (!isHeader(name, "")) throw invalid(`"${option}" has "${name}", which is no valid ${protocol} header name`);
        const article = protocol === "HTTP" ? "an" : "a";
        if (!isHeader(name, text)) throw invalid(`"${option}.${name}" has characters that ${article} ${protocol} header must not have, such as a line break`);
      }
      return value as Headers;
    },
    show: (value) => Object.keys(value).join(", "),
  };
}

// A resource goes where telemetry goes, but diagnostics go into bug reports; so those have the names only of the rest.
const harmless = /^(service\.(name|version|namespace)|deployment\.environment(\.name)?|telemetry\..*)$/;

/** Attributes of the resource. As the OpenTelemetry specification wants it, one bad pair makes all of a variable void. */
export const attributes: Kind<ResourceAttributes> = {
  is: "key=value pairs, separated by commas",
  fromText: (text, ignore) => {
    const pairs = text.split(",").flatMap((entry) => (entry.trim() === "" ? [] : [entry.split("=").length === 2 ? pairOf(entry) : undefined]));
    if (pairs.every((pair) => pair !== undefined)) return Object.fromEntries(pairs);
    ignore("[redacted]", `pair ${pairs.indexOf(undefined) + 1} is none; a comma in a value is written %2C, and "=" is %3D`);
    return undefined;
  },
  fromCode: (option, value) => {
    if (!isPlainObject(value)) throw invalid(`"${option}" must be an object of names and values, not ${kindOf(value)}`);
    for (const [name, attribute] of Object.entries(value)) {
      if (name === "") throw invalid(`"${option}" has an empty name`);
      if (attribute === undefined || isAttributeValue(attribute)) continue;
      throw invalid(`"${option}.${name}" must be a string, a finite number, a boolean, or an array of one of these, not ${kindOf(attribute)}`);
    }
    return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as ResourceAttributes;
  },
  show: (value) => Object.entries(value).map(([name, each]) => (harmless.test(name) ? `${name}=${String(each)}` : name)).join(", "),
};

function pairOf(entry: string): readonly [name: string, value: string] | undefined {
  const at = entry.indexOf("=");
  const name = entry.slice(0, Math.max(at, 0)).trim();
  try {
    return name === "" ? undefined : [decodeURIComponent(name), decodeURIComponent(entry.slice(at + 1).trim())];
  } catch {
    return undefined; // No valid percent-encoding.
  }
}

function isAttributeValue(value: unknown): boolean {
  const isScalar = (each: unknown): boolean => typeof each === "string" || typeof each === "boolean" || Number.isFinite(each);
  return Array.isArray(value) ? value.every((item: unknown) => isScalar(item) && typeof item === typeof value[0]) : isScalar(value);
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  // Other objects, such as a Map or Headers, keep what they have elsewhere than in properties.
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** Whether an object has all of these methods, which is what a thing of code is known by. */
export function hasMethods(value: unknown, methods: readonly string[]): value is object {
  return typeof value === "object" && value !== null && methods.every((method) => typeof Reflect.get(value, method) === "function");
}
