import { createRequire } from "node:module";
import { fs, path } from "../on-demand.ts";

/** A package that has workers, and the range of its versions that an adapter was written and tested for. */
export interface SupportedSdk {
  readonly name: string;
  readonly range: string;
  readonly major: number;
  /** The first minor version of that major one. */
  readonly minor: number;
}

export const durableTaskSdk: SupportedSdk = {
  name: "@microsoft/durabletask-js",
  range: ">=0.4.0 <1",
  major: 0,
  minor: 4,
};
export const daprSdk: SupportedSdk = { name: "@dapr/dapr", range: ">=3.18.0 <4", major: 3, minor: 18 };
export const daprDurableTaskSdk: SupportedSdk = {
  name: "@dapr/durabletask-js",
  range: ">=1.0.0 <2",
  major: 1,
  minor: 0,
};

/** The version of a package. */
export interface SdkVersion {
  readonly sdk: SupportedSdk;
  readonly version: string;
}

/**
 * The version of the copy of one of `sdks` that the class of `worker` comes from: a process can load several copies
 * of different versions. `undefined` if it can't be determined, as in a bundle or for a fork; then the worker's members decide.
 */
export function sdkVersionOf(worker: object, sdks: readonly SupportedSdk[]): SdkVersion | undefined {
  const classes = classesOf(worker);
  // The SDK is CommonJS: the file that defines a class is among the loaded modules, and has it among its exports. The cache is
  // one for the process, whatever file asks for it; a bundle has no path of this one.
  for (const [file, module] of Object.entries(createRequire(process.execPath).cache)) {
    const exports: unknown = module?.exports;
    if (!classes.some((each) => isOwnExport(exports, each))) continue;
    // An application may export the class too.
    const { name, version } = packageAround(file);
    const sdk = sdks.find((each) => each.name === name);
    if (sdk !== undefined && typeof version === "string") return { sdk, version };
  }
  return undefined;
}

/** Whether `version` lies in the range of the SDK; a prerelease counts as its release. */
export function isSupported({ sdk, version }: SdkVersion): boolean {
  const match = /^(\d+)\.(\d+)\.\d+/.exec(version);
  return match !== null && Number(match[1]) === sdk.major && Number(match[2]) >= sdk.minor;
}

type NamedFunction = (...args: never[]) => unknown;

// Its own class and those that it extends.
function classesOf(worker: object): readonly NamedFunction[] {
  const classes: NamedFunction[] = [];
  for (
    let prototype: unknown = Object.getPrototypeOf(worker);
    isObject(prototype);
    prototype = Object.getPrototypeOf(prototype)
  ) {
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
  for (
    let directory = path().dirname(file);
    directory !== path().dirname(directory);
    directory = path().dirname(directory)
  ) {
    const manifest = manifestIn(directory);
    if (manifest["name"] !== undefined) return manifest;
  }
  return {};
}

function manifestIn(directory: string): Readonly<Record<string, unknown>> {
  try {
    const manifest: unknown = JSON.parse(fs().readFileSync(path().join(directory, "package.json"), "utf8"));
    return isObject(manifest) ? (manifest as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
