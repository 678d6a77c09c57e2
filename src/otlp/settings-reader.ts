import { invalid, kindOf } from "./errors.ts";
import { textFromEnv } from "./environment.ts";
import type { ValueKind } from "./value-kinds.ts";

/** Where a setting can be given. */
export interface Place {
  /** The option's path, such as `traces.endpoint`. */
  readonly option: string;
  /** The environment variable; an option for objects has none. */
  readonly variable?: string;
}

/** A setting as it was found. */
export interface Found<T> {
  readonly value: T;
  /** What people are told of the value; never a secret. */
  readonly shown: string;
  /** Who gave it: `code: OPTION`, `env: VARIABLE` or `default`. */
  readonly source: string;
  /** Where it was given. */
  readonly place?: Place;
}

/** Options as they are given. */
export type Options = Readonly<Record<string, unknown>>;

/**
 * Looks settings up in the options, then in the environment. What is wrong in code throws; what is wrong in the
 * environment is noted in `warnings` and ignored.
 */
export class SettingsReader {
  readonly #options: Options;
  readonly #places = new Map<string, Place>();
  readonly #warnings = new Set<string>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** What was wrong in the environment, each problem once. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** All settings that were asked for. */
  get places(): readonly Place[] {
    return [...this.#places.values()];
  }

  /** The setting that is given in the strongest place: code before the environment, and in each the first place. */
  find<T>(places: Place | readonly Place[], kind: ValueKind<T>, otherwise: T): Found<T> {
    return this.findAll(places, kind)[0] ?? { value: otherwise, shown: kind.show(otherwise), source: "default" };
  }

  /** The same for a setting that need not have a value. */
  findOptional<T>(places: Place | readonly Place[], kind: ValueKind<T>): Found<T | undefined> {
    return this.findAll(places, kind)[0] ?? { value: undefined, shown: "not set", source: "default" };
  }

  /** The setting in each place where it is given, the strongest first. */
  findAll<T>(places: Place | readonly Place[], kind: ValueKind<T>): readonly Found<T>[] {
    const all: readonly Place[] = isPlace(places) ? [places] : places;
    for (const place of all) this.#places.set(place.option, place);
    return [...all.map((place) => this.#inCode(place, kind)), ...all.map((place) => this.#inEnvironment(place, kind))].flatMap(
      (found) => found ?? [],
    );
  }

  /** The value of an option that is for code alone, or is looked up in a way of its own. */
  valueOf(option: string): unknown {
    const [name = "", member] = option.split(".");
    const value = this.#options[name];
    if (member === undefined) return value;
    if (value === undefined || value === false) return undefined;
    if (!isOptions(value)) throw invalid(`"${name}" must be false or an object of options, not ${kindOf(value)}`);
    return value[member];
  }

  /** Says that there is such an option, which has no variable. */
  knows(option: string): void {
    this.#places.set(option, { option });
  }

  /** @throws TypeError that names an option that nobody asked for. */
  refuseUnknown(): void {
    this.#refuseUnknownIn(this.#options, "");
    for (const [name, value] of Object.entries(this.#options)) {
      if (isOptions(value) && this.#namesBelow(`${name}.`).length > 0) this.#refuseUnknownIn(value, `${name}.`);
    }
  }

  #refuseUnknownIn(options: Options, prefix: string): void {
    const allowed = this.#namesBelow(prefix);
    const unknown = Object.keys(options).find((name) => !allowed.includes(name));
    if (unknown !== undefined) throw invalid(`unknown option "${prefix}${unknown}"; allowed are ${allowed.join(", ")}`);
  }

  #namesBelow(prefix: string): readonly string[] {
    const paths = [...this.#places.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
    return paths.filter((path) => !path.includes("."));
  }

  #inCode<T>(place: Place, kind: ValueKind<T>): Found<T> | undefined {
    const given = this.valueOf(place.option);
    const value = given === undefined ? undefined : kind.fromCode(place.option, given);
    return value === undefined ? undefined : { value, shown: kind.show(value), source: `code: ${place.option}`, place };
  }

  #inEnvironment<T>(place: Place, kind: ValueKind<T>): Found<T> | undefined {
    const { variable } = place;
    const text = variable === undefined ? undefined : textFromEnv(variable);
    if (variable === undefined || text === undefined) return undefined;
    const value = kind.fromText(text, (part) => {
      const shown = kind.showIgnored?.(part) ?? part;
      this.#warnings.add(`${variable}="${shown}" is ignored: it must be ${kind.is}`);
    });
    return value === undefined ? undefined : { value, shown: kind.show(value), source: `env: ${variable}`, place };
  }
}

/** Whether options could be given this way. */
export function isOptions(value: unknown): value is Options {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPlace(places: Place | readonly Place[]): places is Place {
  return "option" in places;
}
