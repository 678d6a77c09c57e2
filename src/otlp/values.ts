import { readFileSync } from "node:fs";
import * as rules from "../options.ts";
import type { OptionRule } from "../options.ts";
import type { ResourceAttributes } from "./options.ts";

/** What a setting may be: in code, as any option of this package, and in a variable. */
export interface Kind<T> extends OptionRule {
  /**
   * What a variable says, as code would say it.
   *
   * @param ignore notes a part that makes no sense, as it may be shown, and why if that is not clear.
   */
  fromText(text: string, ignore: (shown: string, why?: string) => void): unknown;
  /** The value, of what passes the test. */
  read(given: unknown): T;
  /** The value as diagnostics show it: never a secret. */
  show(value: T): string;
  /** A wrong text of a variable, as lines show it. */
  hide(text: string): string;
  /** Of what is an object in code: what to call it there, and what each of its members must be. */
  readonly object?: { readonly is: string; readonly member: (name: string) => OptionRule };
}

function kind<T>(rule: OptionRule, more: Partial<Kind<T>> = {}): Kind<T> {
  return { fromText: (text) => text, read: (given) => given as T, show: String, hide: String, ...rule, ...more };
}

const aNumber = (is: string, test: (value: number) => boolean): Kind<number> =>
  kind({ is, test: (value) => typeof value === "number" && test(value) }, { fromText: Number });

// A longer setTimeout would fire at once.
const longest = 2 ** 31 - 1;

export const aText: Kind<string> = kind({ is: "a string", test: (value) => typeof value === "string" });
export const aBoolean: Kind<boolean> = kind(rules.aBoolean, { fromText: (text) => ({ true: true, false: false })[text.toLowerCase()] });
export const milliseconds: Kind<number> = aNumber(`a number of milliseconds greater than 0 and at most ${longest}`, (value) => value > 0 && value <= longest);
export const aCount: Kind<number> = aNumber("a whole number greater than 0", (value) => Number.isSafeInteger(value) && value > 0);
export const aRatio: Kind<number> = aNumber("a number from 0 to 1", (value) => value >= 0 && value <= 1);

/** One of `values`, in a variable in whatever case. */
export const oneOf = <T extends string>(...values: readonly T[]): Kind<T> => kind(rules.oneOf(...values), { fromText: (text) => text.toLowerCase() });

/** Several of `values`: separated by commas in a variable, an array or just one in code. An empty array says `none`. */
export function someOf<T extends string>(...values: readonly (T | "none")[]): Kind<readonly (T | "none")[]> {
  const one = rules.oneOf(...values);
  return kind<readonly (T | "none")[]>(
    { is: `any of ${values.join(", ")}`, test: (value) => [value].flat().every((item) => one.test(item)) },
    {
      show: (value) => value.join(", "),
      read: (given) => (Array.isArray(given) && given.length === 0 ? ["none"] : ([given].flat() as T[])),
      fromText: (text, ignore) => {
        const parts = new Set(partsOf(text.toLowerCase()));
        for (const part of parts) if (!one.test(part) && parts.delete(part)) ignore(part);
        return parts.size === 0 ? undefined : [...parts];
      },
    },
  );
}

/** The path of a file. What should be in the file, and stands where the path should, is not shown. */
export const aFile: Kind<string> = kind(
  { is: "the path of a file that can be read", test: (value) => typeof value === "string" && isReadable(value) },
  { hide: (path) => (/\n|-----BEGIN/.test(path) ? "[redacted]" : path) },
);

function isReadable(path: string): boolean {
  try {
    return readFileSync(path).length >= 0;
  } catch {
    return false;
  }
}

/** An address as a URL; one without a scheme is that of gRPC with TLS. */
const withScheme = (address: string): string => (address.includes("://") ? address : `https://${address}`);

/** An address as lines show it: without credentials and query, or with `mark` in their place. */
export function showAddress(address: string, mark = ""): string {
  const { protocol, host, pathname, username, password, search } = new URL(withScheme(address));
  const credentials = mark !== "" && username + password !== "" ? `${mark}@` : "";
  const query = mark !== "" && search !== "" ? `?${mark}` : "";
  return address.includes("://") ? `${protocol}//${credentials}${host}${pathname}${query}` : `${credentials}${host}${query}`;
}

// What is no address may be a key.
const anAddress = (is: string, test: (text: string) => boolean): Kind<string> =>
  kind({ is, test: (value) => typeof value === "string" && test(value) }, { show: (address) => showAddress(address, "[redacted]"), hide: () => "[redacted]" });

/** Where OTLP goes over HTTP, and in code. */
export const aUrl: Kind<string> = anAddress('an http or https URL such as "http://localhost:4318"', (text) => /^https?:/i.test(text) && URL.canParse(text));
/** Where OTLP goes over gRPC: in a variable the scheme may be left out. */
export const aGrpcAddress: Kind<string> = anAddress('an address such as "http://localhost:4317"', (text) => URL.canParse(withScheme(text)));

/** The URL of a signal below the base URL of a collector. A base URL that names a signal by mistake works too. */
export function urlOfSignal(base: string, signal: string): string {
  const url = new URL(base);
  let end = url.pathname.length;
  while (url.pathname[end - 1] === "/") end -= 1;
  url.pathname = `${url.pathname.slice(0, end).replace(/\/v1\/(?:traces|metrics|logs)$/, "")}/v1/${signal}`;
  return url.href;
}

const isHeader = (name: string, value: unknown): boolean => /^[\w.-]+(?<!-bin)$/i.test(name) && typeof value === "string" && /^[\u0020-\u007E]*$/.test(value);

/** Headers by name, as HTTP and gRPC can carry them. Their values are often secrets: whatever is said of them names the header at most. */
export const headers: Kind<Readonly<Record<string, string>>> = kind(
  { is: "key=value pairs, separated by commas, that make valid headers", test: isPlainObject },
  {
    show: (value) => Object.keys(value).join(", "),
    hide: () => "[redacted]",
    object: {
      is: "an object of header names and texts",
      member: (name) => ({
        is: 'a string of printable ASCII characters, with a name of letters, digits, ".", "-" and "_" that does not end in "-bin"',
        test: (value) => isHeader(name, value),
      }),
    },
    fromText: (text, ignore) => {
      const found = text.split(",").map((entry, index): readonly (readonly [string, string])[] => {
        const pair = entry.includes(";") ? undefined : pairOf(entry);
        if (pair !== undefined && isHeader(...pair)) return [pair];
        const hint = entry.includes(";") ? "; a semicolon in a value is written %3B" : entry.includes("=") ? "" : "; a comma in a value is written %2C";
        if (entry.trim() !== "") ignore("[redacted]", `pair ${index + 1} is left out${hint}`);
        return [];
      });
      return Object.fromEntries(found.flat());
    },
  },
);

// A resource goes where telemetry goes, but diagnostics go into bug reports; so those have the names only of the rest.
const harmless = /^(service\.(name|version|namespace)|deployment\.environment(\.name)?|telemetry\..*)$/;

/** Attributes of the resource. As the OpenTelemetry specification wants it, one bad pair makes all of a variable void. */
export const attributes: Kind<ResourceAttributes> = kind(
  { is: "key=value pairs, separated by commas", test: isPlainObject },
  {
    show: (value) => Object.entries(value).map(([name, each]) => (harmless.test(name) ? `${name}=${String(each)}` : name)).join(", "),
    hide: () => "[redacted]",
    object: {
      is: "an object of names and values",
      member: (name) => ({ is: "a string, a finite number, a boolean, or an array of one of these, with a name", test: (value) => name !== "" && isAttributeValue(value) }),
    },
    fromText: (text, ignore) => {
      const pairs = partsOf(text).map((entry) => (entry.split("=").length === 2 ? pairOf(entry) : undefined));
      if (pairs.every((pair) => pair !== undefined)) return Object.fromEntries(pairs);
      ignore("[redacted]", `pair ${pairs.indexOf(undefined) + 1} is none; a comma in a value is written %2C, and "=" is %3D`);
      return undefined;
    },
  },
);

function partsOf(text: string): readonly string[] {
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

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

/** Other objects, such as a Map or Headers, keep what they have elsewhere than in properties. */
function isPlainObject(value: unknown): boolean {
  return Object.prototype.toString.call(value) === "[object Object]";
}
