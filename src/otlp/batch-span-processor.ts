import { setImmediate as nextTurn } from "node:timers/promises";
import { BatchSpanProcessor, type BatchSpanProcessorOptions, type ReadableSpan } from "@opentelemetry/sdk-trace";

/**
 * The SDK's batch span processor, whose `forceFlush` also waits for a batch that was under way when it was called:
 * one that waits for the resource to be detected, or one that the exporter is sending.
 */
export class WaitingBatchSpanProcessor extends BatchSpanProcessor {
  readonly #waitForExports: () => Promise<void>;
  #resource: ReadableSpan["resource"] | undefined;

  constructor(options: BatchSpanProcessorOptions) {
    super(options);
    this.#waitForExports = async () => options.exporter.forceFlush?.();
  }

  override onEnd(span: ReadableSpan): void {
    this.#resource = span.resource;
    super.onEnd(span);
  }

  override async forceFlush(): Promise<void> {
    await super.forceFlush();
    await this.#resource?.waitForAsyncAttributes?.();
    await nextTurn(); // By then the batches that waited for the resource as well are with the exporter.
    await this.#waitForExports();
  }
}
