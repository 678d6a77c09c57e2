import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";
import type { FailureReport } from "./failure-report.ts";

/** Keeps the faults of a user's span processor away from the code that starts and ends spans (telemetry.md K1). */
export class ContainedSpanProcessor implements SpanProcessor {
  readonly #processor: SpanProcessor;
  readonly #name: string;
  readonly #report: FailureReport;
  #isShutDown = false;

  /** @param name is what the processor is called in reports. */
  constructor(processor: SpanProcessor, name: string, report: FailureReport) {
    this.#processor = processor;
    this.#name = name;
    this.#report = report;
  }

  onStart(...args: Parameters<SpanProcessor["onStart"]>): void {
    this.#call("onStart", () => this.#processor.onStart(...args));
  }

  onEnding(...args: Parameters<NonNullable<SpanProcessor["onEnding"]>>): void {
    this.#call("onEnding", () => this.#processor.onEnding?.(...args));
  }

  onEnd(span: ReadableSpan): void {
    this.#call("onEnd", () => this.#processor.onEnd(span));
  }

  async forceFlush(): Promise<void> {
    await this.#await("forceFlush", () => this.#processor.forceFlush());
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true;
    await this.#await("shutdown", () => this.#processor.shutdown());
  }

  #call(method: string, fn: () => void): void {
    if (this.#isShutDown) return;
    try {
      // A processor written as an async function must not end in an unhandled rejection either.
      const result: unknown = fn();
      if (result instanceof Promise) result.catch((error: unknown) => this.#failed(method, error));
    } catch (error) {
      this.#failed(method, error);
    }
  }

  async #await(method: string, fn: () => Promise<void>): Promise<void> {
    try {
      await fn();
    } catch (error) {
      this.#failed(method, error);
    }
  }

  #failed(method: string, error: unknown): void {
    this.#report.memberFailed(this.#name, method, error);
  }
}
