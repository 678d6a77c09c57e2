import { ATTR_ERROR_TYPE, ATTR_TASK_NAME, ATTR_TASK_VERSION, OTHER, OTHER_ERROR_TYPE } from "./semconv.ts";

// The attributes whose values come from outside, so that there may be any number of them, and what stands for the rest.
const open: Readonly<Record<string, string>> = {
  [ATTR_TASK_NAME]: OTHER,
  [ATTR_TASK_VERSION]: OTHER,
  [ATTR_ERROR_TYPE]: OTHER_ERROR_TYPE,
};

/** The attributes of a measurement; `undefined` for one that it does not have. */
export type Labels = Readonly<Record<string, string | undefined>>;

/** The values that one instrument has seen; no more of them are kept than its limit. */
export class BoundedValues {
  readonly #seen = new Map<string, Set<string>>();

  /** `labels` with what comes after the first `limit` values of a key folded into one, and without `undefined`. */
  fold(labels: Labels, limit: number): Record<string, string> {
    const folded: Record<string, string> = {};
    for (const [key, value] of Object.entries(labels)) {
      if (value === undefined) continue;
      const rest = open[key];
      folded[key] = rest === undefined || this.#admits(key, value, limit) ? value : rest;
    }
    return folded;
  }

  #admits(key: string, value: string, limit: number): boolean {
    let seen = this.#seen.get(key);
    if (seen === undefined) this.#seen.set(key, (seen = new Set()));
    if (seen.size < limit) seen.add(value);
    return seen.has(value);
  }
}
