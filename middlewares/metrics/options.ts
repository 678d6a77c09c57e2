import { checkOptions, type OptionRules } from "../../src/options.ts";

/** Options of {@link metrics}. */
export interface MetricsOptions {
  /**
   * How many distinct task names one instrument takes, 1 or more; 200 by default. What comes after them is recorded
   * under the name `_other`, so that names from outside can't make any number of time series. Versions and error types
   * are limited alike.
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
