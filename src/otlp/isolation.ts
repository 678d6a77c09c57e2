import type { Sampler, SamplingDecision, SamplingResult, SpanProcessor } from "@opentelemetry/sdk-trace";
import { type LossReport, messageOf } from "./diagnostics.ts";

// The SDK's own constants would load it.
const notRecord: SamplingDecision.NOT_RECORD = 0;

function failed(report: LossReport, method: string, error: unknown): void {
  report.failed(method, `${method}() failed (${messageOf(error)}); workflows go on without it`);
}

/** Isolates the faults of a user's span processor, which `name` names, from the code that starts and ends spans (telemetry.md K1). */
export function isolatedSpanProcessor(processor: SpanProcessor, name: string, report: LossReport): SpanProcessor {
  let isShutDown = false;
  const call = async (method: string, fn: () => unknown): Promise<void> => {
    try {
      // A method that is written as an async function must not end in an unhandled rejection either.
      await fn();
    } catch (error) {
      failed(report, `${name}.${method}`, error);
    }
  };
  const whileItRuns = (method: string, fn: () => unknown): void => void (isShutDown || call(method, fn));
  return {
    onStart: (span, parent) => whileItRuns("onStart", () => processor.onStart(span, parent)),
    onEnding: (span) => whileItRuns("onEnding", () => processor.onEnding?.(span)),
    onEnd: (span) => whileItRuns("onEnd", () => processor.onEnd(span)),
    forceFlush: () => call("forceFlush", () => processor.forceFlush()),
    shutdown: () => {
      isShutDown = true;
      return call("shutdown", () => processor.shutdown());
    },
  };
}

/** Isolates the faults of a user's sampler in the same way: what it can't decide is not recorded. */
export function isolatedSampler(sampler: Sampler, report: LossReport): Sampler {
  return {
    shouldSample: (...args) => {
      try {
        const result: unknown = sampler.shouldSample(...args);
        if (typeof result === "object" && result !== null && "decision" in result && [0, 1, 2].includes(Number(result.decision))) return result as SamplingResult;
        throw new TypeError("it returned no decision");
      } catch (error) {
        failed(report, "sampler.shouldSample", error);
        return { decision: notRecord };
      }
    },
    toString: () => String(sampler),
  };
}
