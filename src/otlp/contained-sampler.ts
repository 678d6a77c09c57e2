import type { Sampler, SamplingDecision, SamplingResult } from "@opentelemetry/sdk-trace";
import type { FailureReport } from "./failure-report.ts";

/** Keeps the faults of a user's sampler away from the code that starts spans (telemetry.md K1): what it can't decide is not recorded. */
export class ContainedSampler implements Sampler {
  readonly #sampler: Sampler;
  readonly #report: FailureReport;

  constructor(sampler: Sampler, report: FailureReport) {
    this.#sampler = sampler;
    this.#report = report;
  }

  shouldSample(...args: Parameters<Sampler["shouldSample"]>): SamplingResult {
    try {
      const result: unknown = this.#sampler.shouldSample(...args);
      if (isResult(result)) return result;
      throw new TypeError("it returned no decision");
    } catch (error) {
      this.#report.memberFailed("sampler", "shouldSample", error);
      return { decision: notRecord };
    }
  }
}

// The SDK's own constants would load it.
const notRecord: SamplingDecision.NOT_RECORD = 0;
const decisions: ReadonlySet<unknown> = new Set([0, 1, 2]);

function isResult(value: unknown): value is SamplingResult {
  return typeof value === "object" && value !== null && "decision" in value && decisions.has(value.decision);
}
