import { readFileSync } from "node:fs";
import * as rules from "../options.ts";
import type { OptionRule } from "../options.ts";
import type { ResourceAttributes } from "./options.ts";

/** The valid values of a setting: as an option of this package, and in a variable. */
export interface Kind<T> extends OptionRule {
  /**
   * The value of a variable, as an option has it.
   *
   * @param ignore reports an invalid value, in a form without secrets; the reason, if that is not obvious; and which part
   *   of the variable it is, if the other parts are used.
   */
  fromVariable(raw: string, ignore: (shown: string, why?: string, part?: string) => void): unknown;
  /** The value of an option that passes the test. */
  read(given: unknown): T;
  /** The value as diagnostics show it, without secrets. */
  show(value: T): string;
  /** An invalid value of a variable, as it is reported. */
  hide(raw: string): string;
  /** For an option that is an object: its name, and the valid values of its members. */
  readonly object?: { readonly is: string; readonly member: (name: string) => OptionRule };
}

function kind<T>(rule: OptionRule, more: Partial<Kind<T>> = {}): Kind<T> {
  return { fromVariable: (raw) => raw, read: (given) => given as T, show: String, hide: String, ...rule, ...more };
}

const aNumber = (is: string, test: (value: number) => boolean): Kind<number> =>
  kind({ is, test: (value) => typeof value === "number" && test(value) }, { fromVariable: Number });

// A longer setTimeout would fire at once.
const longest = 2 ** 31 - 1;

export const aString: Kind<string> = kind({ is: "a string", test: (value) => typeof value === "string" });
export const aBoolean: Kind<boolean> = kind(rules.aBoolean, {
  fromVariable: (raw) => ({ true: true, false: false })[raw.toLowerCase()],
});
export const milliseconds: Kind<number> = aNumber(
  `a number of milliseconds greater than 0 and at most ${longest}`,
  (value) => value > 0 && value <= longest,
);
export const aCount: Kind<number> = aNumber(
  "a whole number greater than 0",
  (value) => Number.isSafeInteger(value) && value > 0,
);
export const aLimit: Kind<number> = aNumber("a whole number", (value) => Number.isSafeInteger(value) && value >= 0);
export const aLength: Kind<number> = aNumber("a number of characters of at least 1", (value) => value >= 1);
export const aRatio: Kind<number> = aNumber("a number from 0 to 1", (value) => value >= 0 && value <= 1);

/** One of `values`; case-insensitive in a variable. */
export const oneOf = <T extends string>(...values: readonly T[]): Kind<T> =>
  kind(rules.oneOf(...values), { fromVariable: (raw) => raw.toLowerCase() });

/** Several of `values`: separated by commas in a variable, an array or a single one in code. An empty array means `none`. */
export function someOf<T extends string>(...values: readonly (T | "none")[]): Kind<readonly (T | "none")[]> {
  const one = rules.oneOf(...values);
  return kind<readonly (T | "none")[]>(
    { is: `any of ${values.join(", ")}`, test: (value) => [value].flat().every((item) => one.test(item)) },
    {
      show: (value) => value.join(", "),
      read: (given) => (Array.isArray(given) && given.length === 0 ? ["none"] : ([given].flat() as T[])),
      fromVariable: (raw, ignore) => {
        const parts = new Set(partsOf(raw.toLowerCase()));
        for (const part of parts) if (!one.test(part) && parts.delete(part)) ignore(part);
        return parts.size === 0 ? undefined : [...parts];
      },
    },
  );
}

/** The path of a file. A key or certificate that is given instead of a path is not shown. */
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

/** An address as a URL. Without a scheme it is gRPC with TLS. */
const withScheme = (address: string): string => (address.includes("://") ? address : `https://${address}`);

/** An address as it is reported: without credentials and query, or with `mark` in their place. */
export function showAddress(address: string, mark = ""): string {
  const { protocol, host, pathname, username, password, search } = new URL(withScheme(address));
  const credentials = mark !== "" && username + password !== "" ? `${mark}@` : "";
  const query = mark !== "" && search !== "" ? `?${mark}` : "";
  return address.includes("://")
    ? `${protocol}//${credentials}${host}${pathname}${query}`
    : `${credentials}${host}${query}`;
}

const isHttp = /^https?:\/\//i;

// An invalid address may be a key, so it is not shown.
const anAddress = (is: string, test: (raw: string) => boolean): Kind<string> =>
  kind(
    { is, test: (value) => typeof value === "string" && test(value) },
    { show: (address) => showAddress(address, "[redacted]"), hide: () => "[redacted]" },
  );

/** The address of OTLP over HTTP, and of any protocol in code. */
export const aUrl: Kind<string> = anAddress(
  'an http or https URL such as "http://localhost:4318"',
  (raw) => isHttp.test(raw) && URL.canParse(raw),
);
/** The address of OTLP over gRPC. In a variable the scheme may be omitted. */
export const aGrpcAddress: Kind<string> = anAddress(
  'an address such as "http://localhost:4317"',
  (raw) => isHttp.test(withScheme(raw)) && URL.canParse(withScheme(raw)),
);

/** The URL of a signal below the base URL of a collector. A base URL that names a signal by mistake works too. */
export function urlOfSignal(base: string, signal: string): string {
  const url = new URL(base);
  let end = url.pathname.length;
  while (url.pathname[end - 1] === "/") end -= 1;
  url.pathname = `${url.pathname.slice(0, end).replace(/\/v1\/(?:traces|metrics|logs)$/, "")}/v1/${signal}`;
  return url.href;
}

const isHeader = (name: string, value: unknown): boolean =>
  /^[\w.-]+(?<!-bin)$/i.test(name) && typeof value === "string" && /^[\u0020-\u007E]*$/.test(value);

/** Headers by name, with names and values that both HTTP and gRPC allow. Values are often secrets, so reports contain at most the name. */
export const headers: Kind<Readonly<Record<string, string>>> = kind(
  { is: "key=value pairs, separated by commas, that make valid headers", test: isPlainObject },
  {
    show: (value) => Object.keys(value).join(", "),
    hide: () => "[redacted]",
    object: {
      is: "an object of header names and strings",
      member: (name) => ({
        is: 'a string of printable ASCII characters, with a name of letters, digits, ".", "-" and "_" that does not end in "-bin"',
        test: (value) => isHeader(name, value),
      }),
    },
    fromVariable: (raw, ignore) => {
      const found = raw.split(",").map((entry, index): readonly (readonly [string, string])[] => {
        const pair = entry.includes(";") ? undefined : pairOf(entry);
        if (pair !== undefined && isHeader(...pair)) return [pair];
        const hint = entry.includes(";")
          ? "a semicolon in a value is written %3B"
          : entry.includes("=")
            ? ""
            : "a comma in a value is written %2C";
        if (entry.trim() !== "") ignore("[redacted]", hint, `pair ${index + 1}`);
        return [];
      });
      return Object.fromEntries(found.flat());
    },
  },
);

// Diagnostics go into bug reports, so they show only the names of the other attributes.
const harmless = /^(service\.(name|version|namespace)|deployment\.environment(\.name)?|telemetry\..*)$/;

/** Attributes of the resource. As the OpenTelemetry specification requires, one invalid pair invalidates the whole variable. */
export const attributes: Kind<ResourceAttributes> = kind(
  { is: "key=value pairs, separated by commas", test: isPlainObject },
  {
    show: (value) =>
      Object.entries(value)
        .map(([name, each]) => (harmless.test(name) ? `${name}=${String(each)}` : name))
        .join(", "),
    hide: () => "[redacted]",
    object: {
      is: "an object of names and values",
      member: (name) => ({
        is: "a string, a finite number, a boolean, or an array of one of these, with a name",
        test: (value) => name !== "" && isAttributeValue(value),
      }),
    },
    fromVariable: (raw, ignore) => {
      const pairs = partsOf(raw).map((entry) => (entry.split("=").length === 2 ? pairOf(entry) : undefined));
      if (pairs.every((pair) => pair !== undefined)) return Object.fromEntries(pairs);
      ignore(
        "[redacted]",
        `pair ${pairs.indexOf(undefined) + 1} is none; a comma in a value is written %2C, and "=" is %3D`,
      );
      return undefined;
    },
  },
);

function partsOf(raw: string): readonly string[] {
  return raw
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
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
  const isScalar = (each: unknown): boolean =>
    typeof each === "string" || typeof each === "boolean" || Number.isFinite(each);
  return Array.isArray(value)
    ? value.every((item: unknown) => isScalar(item) && typeof item === typeof value[0])
    : isScalar(value);
}

/** Other objects, such as a Map or Headers, do not have their entries as properties. */
function isPlainObject(value: unknown): boolean {
  return Object.prototype.toString.call(value) === "[object Object]";
}
