import { checkOptions, type OptionRules } from "../../src/options.ts";

/** Options of {@link metrics}. */
export interface MetricsOptions {
  /**
   * The number of distinct task names per instrument, 1 or more; 200 by default. Further names are recorded as `_other`:
   * names from outside can't create an unlimited number of time series. Versions and error types have the same limit.
   */
  readonly nameLimit?: number | undefined;
}

const rules: OptionRules<MetricsOptions> = {
  nameLimit: { is: "a whole number, 1 or more", test: (value) => Number.isSafeInteger(value) && Number(value) >= 1 },
};

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkMetricsOptions(options: unknown): asserts options is MetricsOptions {
  checkOptions<MetricsOptions>("metrics", options, rules);
}
