/** The valid values of an option: a description and a test. */
export interface OptionRule {
  /** Completes "must be …". */
  readonly is: string;
  readonly test: (value: unknown) => boolean;
}

/** One rule for each option there is. */
export type OptionRules<TOptions> = { readonly [Name in keyof Required<TOptions>]: OptionRule };

export const aBoolean: OptionRule = { is: "true or false", test: (value) => typeof value === "boolean" };
export const aFunction: OptionRule = { is: "a function", test: (value) => typeof value === "function" };
export const aBooleanOrFunction: OptionRule = {
  is: "true, false or a function",
  test: (value) => typeof value === "boolean" || typeof value === "function",
};
export const aString: OptionRule = { is: "a string", test: (value) => typeof value === "string" };
export const anArray: OptionRule = { is: "an array", test: Array.isArray };
export const anObject: OptionRule = { is: "an object", test: isRecord };
export const aStringArray: OptionRule = {
  is: "an array of strings",
  test: (value) => Array.isArray(value) && value.every((each) => typeof each === "string"),
};

/** One of the strings in `values`. */
export function oneOf(...values: readonly string[]): OptionRule {
  return {
    is: values.map((value) => `"${value}"`).join(" or "),
    test: (value) => typeof value === "string" && values.includes(value),
  };
}

/**
 * Checks options from outside before anything is done with them; `undefined` stands for an option that is not given.
 *
 * @param owner what the options belong to, named in errors.
 * @throws TypeError that names the key and what is allowed.
 */
export function checkOptions<TOptions extends object>(
  owner: string,
  options: unknown,
  rules: OptionRules<TOptions>,
): asserts options is TOptions {
  if (!isRecord(options)) throw new TypeError(`${owner}: the options must be an object.`);
  for (const [key, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, key) ? (rules as Record<string, OptionRule>)[key] : undefined;
    if (rule === undefined) {
      throw new TypeError(`${owner}: unknown option "${key}"; the options are ${Object.keys(rules).join(", ")}.`);
    }
    if (value !== undefined && !rule.test(value)) {
      throw new TypeError(`${owner}: option "${key}" must be ${rule.is}.`);
    }
  }
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
