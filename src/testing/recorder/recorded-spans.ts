import { TraceFlags } from "@opentelemetry/api";
import type { ReadableSpan, Span, SpanProcessor } from "@opentelemetry/sdk-trace";

/** Knows all spans that were started, and those that ended and that an exporter would get. */
export class RecordedSpans implements SpanProcessor {
  #ended: ReadableSpan[] = [];
  readonly #open = new Set<ReadableSpan>();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** In the order in which they ended. */
  get ended(): readonly ReadableSpan[] {
    return this.#ended;
  }

  /** In the order in which they started, with those that an exporter would not get. */
  get open(): readonly ReadableSpan[] {
    return [...this.#open];
  }

  onStart(span: Span): void {
    this.#open.add(span);
    this.#changed();
  }

  onEnd(span: ReadableSpan): void {
    // One that started before a reset is not known any more.
    if (!this.#open.delete(span)) return;
    if (isSampled(span)) this.#ended.push(span);
    this.#changed();
  }

  reset(): void {
    this.#ended = [];
    this.#open.clear();
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

// Asked late: tracing gives up a span whose work item became another worker's.
/** Whether an exporter would get a span. */
export function isSampled(span: ReadableSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}
