import type { BatchLogRecordProcessorOptions, LogRecordProcessor } from "@opentelemetry/sdk-logs";
import { load } from "./packages.ts";

/**
 * The SDK's batch processor, whose `forceFlush` also delivers what was logged while another flush was under way: the
 * SDK's own returns at once then.
 */
export function createBatchLogRecordProcessor(options: BatchLogRecordProcessorOptions): LogRecordProcessor {
  const { BatchLogRecordProcessor } = load("@opentelemetry/sdk-logs");
  return new (class extends BatchLogRecordProcessor {
    #underWay: Promise<void> = Promise.resolve();
    #next: Promise<void> | undefined;

    // All who ask while one flush is under way wait for the same next one, so that they do not pile up.
    override forceFlush(): Promise<void> {
      this.#next ??= this.#underWay.then(() => {
        this.#next = undefined;
        this.#underWay = super.forceFlush();
        return this.#underWay;
      });
      return this.#next;
    }
  })(options);
}
