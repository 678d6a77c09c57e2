import { TraceFlags } from "@opentelemetry/api";
import type { RecordedSpan, SpanProcessor } from "./recorded-span.ts";

/** Knows all spans that were started, and those that ended and that an exporter would get. */
export class RecordedSpans implements SpanProcessor {
  #ended: RecordedSpan[] = [];
  readonly #open = new Set<RecordedSpan>();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** In the order in which they ended. */
  get ended(): readonly RecordedSpan[] {
    return this.#ended;
  }

  /** In the order in which they started, with those that an exporter would not get. */
  get open(): readonly RecordedSpan[] {
    return [...this.#open];
  }

  onStart(span: RecordedSpan): void {
    this.#open.add(span);
    this.#changed();
  }

  onEnd(span: RecordedSpan): void {
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
export function isSampled(span: RecordedSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}
