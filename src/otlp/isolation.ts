import type { ReadableSpan, Sampler, SamplingDecision, SamplingResult, SpanProcessor } from "@opentelemetry/sdk-trace";
import { type LossReport, messageOf } from "./diagnostics.ts";

// The SDK's own constants would load it.
const notRecord: SamplingDecision.NOT_RECORD = 0;

function failed(report: LossReport, method: string, error: unknown): void {
  report.failed(method, `${method}() failed (${messageOf(error)}); workflows go on without it`);
}

/** Isolates the faults of a user's span processor, which `name` names, from the code that starts and ends spans (telemetry.md K1). */
export function isolatedSpanProcessor(processor: SpanProcessor, name: string, report: LossReport): SpanProcessor {
  let isShutDown = false;
  const call = (method: string, fn: () => unknown): void => {
    if (isShutDown) return;
    try {
      // A processor written as an async function must not end in an unhandled rejection either.
      void Promise.resolve(fn()).catch((error: unknown) => failed(report, `${name}.${method}`, error));
    } catch (error) {
      failed(report, `${name}.${method}`, error);
    }
  };
  const wait = async (method: string, fn: () => Promise<void>): Promise<void> => {
    try {
      await fn();
    } catch (error) {
      failed(report, `${name}.${method}`, error);
    }
  };
  return {
    onStart: (...args: Parameters<SpanProcessor["onStart"]>) => call("onStart", () => processor.onStart(...args)),
    onEnding: (...args: Parameters<NonNullable<SpanProcessor["onEnding"]>>) => call("onEnding", () => processor.onEnding?.(...args)),
    onEnd: (span: ReadableSpan) => call("onEnd", () => processor.onEnd(span)),
    forceFlush: () => wait("forceFlush", () => processor.forceFlush()),
    shutdown: () => {
      isShutDown = true;
      return wait("shutdown", () => processor.shutdown());
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
