import { aStringArray, checkOptions, type OptionRules } from "../../src/options.ts";

/** Options of {@link metrics}. */
export interface MetricsOptions {
  /**
   * The number of distinct task names per instrument, 1 or more; 200 by default. Further names are recorded as `_other`:
   * names from outside can't create an unlimited number of time series. Versions and error types have the same limit.
   */
  readonly nameLimit?: number | undefined;
  /**
   * Tags, by name, that become attributes `durabletask.tag.NAME` of the measurements of orchestrations and activities that
   * have them; none by default. Each has `nameLimit` distinct values, further ones are recorded as `_other`. Activities have
   * tags only if they get some, for example from `propagate`.
   */
  readonly tags?: readonly string[] | undefined;
}

const rules: OptionRules<MetricsOptions> = {
  nameLimit: { is: "a whole number, 1 or more", test: (value) => Number.isSafeInteger(value) && Number(value) >= 1 },
  tags: aStringArray,
};

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkMetricsOptions(options: unknown): asserts options is MetricsOptions {
  checkOptions<MetricsOptions>("metrics", options, rules);
}
