import { aBoolean, aStringArray, checkOptions, type OptionRules } from "../../src/options.ts";

/**
 * What an orchestration hands to its activities, its sub-orchestrations, and the execution that continues it as new, as tags on
 * their actions. Nothing that is not named goes on (contract.md P1). A name or value of more than 256 bytes, or with control
 * characters, is left out and reported (P3).
 */
export interface PropagateOptions {
  /** The tags that are handed on, by name; none by default. A tag that the code gave a task itself stays. */
  readonly tags?: readonly string[] | undefined;
  /**
   * The entries of the caller's W3C baggage that are handed on, by key; none by default. They travel as tags
   * `baggage.KEY`, which {@link baggageTags} makes where an orchestration is scheduled, and are in the active context's baggage
   * while the code of an orchestration or activity runs.
   */
  readonly baggage?: readonly string[] | undefined;
  /**
   * Whether the number of the attempt and the instance ID of the root orchestration are handed on, in the tag
   * `durable-telemetry.origin`, so that every worker has them on its spans and log records (telemetry.md S10); `false` by default.
   */
  readonly origin?: boolean | undefined;
}

/** Carries what the task's own messages do not contain (telemetry.md S10). */
export const originTag = "durable-telemetry.origin";

const rules: OptionRules<PropagateOptions> = {
  tags: {
    is: `${aStringArray.is}, without "${originTag}", which the option "origin" hands on`,
    test: (value) => aStringArray.test(value) && !(value as readonly string[]).includes(originTag),
  },
  baggage: aStringArray,
  origin: aBoolean,
};

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkPropagateOptions(options: unknown): asserts options is PropagateOptions {
  checkOptions<PropagateOptions>("withDurableTelemetry: propagate", options, rules);
}
