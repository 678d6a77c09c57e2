/**
 * The slot through which tracing hands a span its identity where the tracer of the OpenTelemetry SDK is out of reach, as a
 * provider wraps it (telemetry.md I6).
 *
 * `Tracer.startSpan` takes no IDs, but it asks the SDK's `IdGenerator` for exactly one span ID (and, for a root
 * span, one trace ID) while it runs. So the IDs wait here during that one synchronous call, and
 * `DurableIdGenerator` takes them. All other spans find the slot empty and keep their random IDs.
 */

/** The IDs of the next span; the trace ID only for a root span, as all others have their parent's. */
export interface ChosenIds {
  readonly traceId?: string;
  readonly spanId: string;
}

// What waits; each is taken once, so that a span that a processor starts meanwhile gets none.
interface Slot {
  traceId: string | undefined;
  spanId: string | undefined;
}

// Process-wide, so that an ESM and a CJS copy of this package agree.
const slotKey: unique symbol = Symbol.for("durable-telemetry.chosen-ids");
const holder = globalThis as { [slotKey]?: Slot };
const slot: Slot = (holder[slotKey] ??= { traceId: undefined, spanId: undefined });

/**
 * Runs `start`, which must start one span synchronously, with `ids` in the slot.
 *
 * @returns what `start` returned, and whether an ID generator took the span ID.
 */
export function withChosenIds<T>(ids: ChosenIds, start: () => T): { readonly result: T; readonly taken: boolean } {
  slot.traceId = ids.traceId;
  slot.spanId = ids.spanId;
  try {
    return { result: start(), taken: slot.spanId === undefined };
  } finally {
    slot.traceId = slot.spanId = undefined;
  }
}

/** Takes the span ID that waits in the slot, if any. */
export function takeSpanId(): string | undefined {
  const { spanId } = slot;
  slot.spanId = undefined;
  return spanId;
}

/** Takes the trace ID that waits in the slot, if any. */
export function takeTraceId(): string | undefined {
  const { traceId } = slot;
  slot.traceId = undefined;
  return traceId;
}
