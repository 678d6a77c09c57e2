import { aStringArray, checkOptions, type OptionRules } from "../../src/options.ts";

/** What an orchestration hands to its activities and sub-orchestrations, as tags on their actions. */
export interface PropagateOptions {
  /** The tags that are handed on, by name; none by default. A tag that the code gave a task itself stays. */
  readonly tags?: readonly string[] | undefined;
  /**
   * The entries of the caller's W3C baggage that are handed on, by key; none by default. They travel as tags
   * `baggage.KEY`, which {@link baggageTags} makes where an orchestration is scheduled, and are in the active context's baggage
   * while the code of an orchestration or activity runs.
   */
  readonly baggage?: readonly string[] | undefined;
}

const rules: OptionRules<PropagateOptions> = { tags: aStringArray, baggage: aStringArray };

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkPropagateOptions(options: unknown): asserts options is PropagateOptions {
  checkOptions<PropagateOptions>("withDurableTelemetry: propagate", options, rules);
}
