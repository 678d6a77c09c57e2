import { readFileSync } from "node:fs";
import { isSampler, type SamplerName, samplerNames } from "./samplers.ts";
import type { Sampler } from "@opentelemetry/sdk-trace";
import { invalid, kindOf } from "./errors.ts";

/** Is told of a text, or of a part of one, that a variable has and that makes no sense. */
export type Ignore = (part: string) => void;

/** What a setting may be, in a variable and in code. */
export interface ValueKind<T> {
  /** Completes "must be …". */
  readonly is: string;
  /** What `text` says, which is not blank; `undefined` if nothing of it makes sense. */
  fromText(text: string, ignore: Ignore): T | undefined;
  /**
   * What `value` says, which is not `undefined`; `undefined` if it is the same as not given.
   *
   * @throws TypeError that names the option and what is allowed.
   */
  fromCode(option: string, value: unknown): T | undefined;
  /** How people are told of a value. */
  show(value: T): string;
  /** How people are told of a text that makes no sense; as it is by default. */
  showIgnored?(text: string): string;
}

/** In milliseconds. A longer setTimeout would fire at once. */
export const longestTimeout: number = 2 ** 31 - 1;

export const aText: ValueKind<string> = {
  is: "a string",
  fromText: (text) => text,
  fromCode: textFromCode,
  show: (value) => value,
};

/** A file, and what is in it. */
export interface GivenFile {
  readonly path: string;
  readonly content: Buffer;
}

/** The path of a file. What should be in the file, and stands where the path should, is not shown. */
export const aFile: ValueKind<GivenFile> = {
  is: "the path of a file that can be read",
  fromText: (text, ignore) => {
    const file = readFile(text);
    if (file === undefined) ignore(text);
    return file;
  },
  fromCode: (option, value) => {
    const path = textFromCode(option, value);
    const file = path === undefined ? undefined : readFile(path);
    if (path === undefined || file !== undefined) return file;
    throw invalid(`"${option}" must be ${aFile.is}, not "${showPath(path)}"`);
  },
  show: ({ path }) => path,
  showIgnored: showPath,
};

function readFile(path: string): GivenFile | undefined {
  try {
    return { path, content: readFileSync(path) };
  } catch {
    return undefined;
  }
}

function showPath(path: string): string {
  return /\n|-----BEGIN/.test(path) ? "[redacted]" : path;
}

export const aBoolean: ValueKind<boolean> = {
  is: "true or false",
  fromText: (text, ignore) => {
    const lower = text.toLowerCase();
    if (lower === "true" || lower === "false") return lower === "true";
    ignore(text);
    return undefined;
  },
  fromCode: (option, value) => {
    if (typeof value === "boolean") return value;
    throw invalid(`"${option}" must be true or false, not ${kindOf(value)}`);
  },
  show: String,
};

export const milliseconds: ValueKind<number> = aNumber(
  `a number of milliseconds greater than 0 and at most ${longestTimeout}`,
  (value) => value > 0 && value <= longestTimeout,
);

export const aCount: ValueKind<number> = aNumber("a whole number greater than 0", (value) => Number.isSafeInteger(value) && value > 0);

export const aRatio: ValueKind<number> = aNumber("a number from 0 to 1", (value) => value >= 0 && value <= 1);

function aNumber(is: string, test: (value: number) => boolean): ValueKind<number> {
  return {
    is,
    fromText: (text, ignore) => {
      const value = Number(text);
      if (test(value)) return value;
      ignore(text);
      return undefined;
    },
    fromCode: (option, value) => {
      if (typeof value === "number" && test(value)) return value;
      throw invalid(`"${option}" must be ${is}, not ${kindOf(value)}`);
    },
    show: String,
  };
}

/** One of `values`, in a variable in whatever case. */
export function oneOf<T extends string>(...values: readonly T[]): ValueKind<T> {
  const is = alternatives(values);
  const find = (text: string): T | undefined => values.find((value) => value === text);
  return {
    is,
    fromText: (text, ignore) => {
      const value = find(text.toLowerCase());
      if (value === undefined) ignore(text);
      return value;
    },
    fromCode: (option, value) => {
      const text = textFromCode(option, value);
      const found = text === undefined ? undefined : find(text);
      if (text === undefined || found !== undefined) return found;
      throw invalid(`"${option}" must be ${is}, not "${text}"`);
    },
    show: (value) => value,
  };
}

/** Several of `values`, in a variable separated by commas; in code an array (an empty one says `none`), or one text for just one. */
export function someOf<T extends string>(...values: readonly T[]): ValueKind<readonly (T | "none")[]> {
  const one = oneOf(...values);
  return {
    is: `any of ${values.join(", ")}`,
    fromText: (text, ignore) => {
      const found = text.split(",").flatMap((part) => (part.trim() === "" ? [] : (one.fromText(part.trim(), ignore) ?? [])));
      return found.length === 0 ? undefined : [...new Set(found)];
    },
    fromCode: (option, value) => {
      if (!Array.isArray(value)) {
        const single = one.fromCode(option, value);
        return single === undefined ? undefined : [single];
      }
      const items: readonly unknown[] = value;
      if (items.length === 0) return ["none"];
      return items.flatMap((item, index) => one.fromCode(`${option}[${index}]`, item) ?? []);
    },
    show: (value) => value.join(", "),
  };
}

/** The name of a sampler, or one that was made in code. */
export const aSampler: ValueKind<Sampler | SamplerName> = {
  is: alternatives(samplerNames),
  fromText: (text, ignore) => oneOf(...samplerNames).fromText(text, ignore),
  fromCode: (option, value) => {
    if (isSampler(value)) return value;
    if (typeof value === "string") return oneOf(...samplerNames).fromCode(option, value);
    throw invalid(`"${option}" must be a sampler with shouldSample(), or the name of one (${alternatives(samplerNames)}), not ${kindOf(value)}`);
  },
  show: (value) => (typeof value === "string" ? value : "a sampler made in code"),
};

/** A text in code; one that is blank is not given. */
export function textFromCode(option: string, value: unknown): string | undefined {
  if (typeof value !== "string") throw invalid(`"${option}" must be a string, not ${kindOf(value)}`);
  return value.trim() === "" ? undefined : value;
}

function alternatives(values: readonly string[]): string {
  return `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}
