import { setImmediate as nextTurn } from "node:timers/promises";
import type { BatchSpanProcessorOptions, ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";
import { load } from "./packages.ts";

/**
 * The SDK's batch span processor, whose `forceFlush` also waits for a batch that was under way when it was called:
 * one that waits for the resource to be detected, or one that the exporter is sending.
 */
export function createBatchSpanProcessor(options: BatchSpanProcessorOptions): SpanProcessor {
  const { BatchSpanProcessor } = load("@opentelemetry/sdk-trace");
  return new (class extends BatchSpanProcessor {
    #resource: ReadableSpan["resource"] | undefined;

    override onEnd(span: ReadableSpan): void {
      this.#resource = span.resource;
      super.onEnd(span);
    }

    override async forceFlush(): Promise<void> {
      await super.forceFlush();
      await this.#resource?.waitForAsyncAttributes?.();
      await nextTurn(); // By then the batches that waited for the resource as well are with the exporter.
      await options.exporter.forceFlush?.();
    }
  })(options);
}
