import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The range of SDK versions that the adapters were written and tested for. */
export const supportedSdkRange = ">=0.4.0 <1";

/** The package of the SDK. */
const sdkName = "@microsoft/durabletask-js";

/**
 * The version of the copy of the SDK that the class of `worker` comes from: a process can load several copies of different
 * versions. `undefined` if it can't be determined, as in a bundle or for a fork; then the worker's members decide.
 */
export function sdkVersionOf(worker: object): string | undefined {
  const classes = classesOf(worker);
  // The SDK is CommonJS: the file that defines a class is among the loaded modules, and has it among its exports. The cache is
  // one for the process, whatever file asks for it; a bundle has no path of this one.
  for (const [path, module] of Object.entries(createRequire(process.execPath).cache)) {
    const exports: unknown = module?.exports;
    if (!classes.some((each) => isOwnExport(exports, each))) continue;
    // An application may export the class too.
    const { name, version } = packageAround(path);
    if (name === sdkName && typeof version === "string") return version;
  }
  return undefined;
}

/** Whether `version` lies in {@link supportedSdkRange}; a prerelease counts as its release. */
export function isSupportedSdk(version: string): boolean {
  const match = /^(\d+)\.(\d+)\.\d+/.exec(version);
  return match !== null && Number(match[1]) === 0 && Number(match[2]) >= 4;
}

type NamedFunction = (...args: never[]) => unknown;

// Its own class and those that it extends.
function classesOf(worker: object): readonly NamedFunction[] {
  const classes: NamedFunction[] = [];
  for (let prototype: unknown = Object.getPrototypeOf(worker); isObject(prototype); prototype = Object.getPrototypeOf(prototype)) {
    const constructor: unknown = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
    if (typeof constructor === "function" && constructor !== Object) classes.push(constructor as NamedFunction);
  }
  return classes;
}

// Getters are not called: they are re-exports, or might be anybody's.
function isOwnExport(exports: unknown, value: NamedFunction): boolean {
  return isObject(exports) && Object.getOwnPropertyDescriptor(exports, value.name)?.value === value;
}

// The manifest of the package that `file` belongs to. One without a name only says what kind of modules a directory has.
function packageAround(file: string): Readonly<Record<string, unknown>> {
  for (let directory = dirname(file); directory !== dirname(directory); directory = dirname(directory)) {
    const manifest = manifestIn(directory);
    if (manifest["name"] !== undefined) return manifest;
  }
  return {};
}

function manifestIn(directory: string): Readonly<Record<string, unknown>> {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return isObject(manifest) ? (manifest as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
