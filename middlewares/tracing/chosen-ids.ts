/**
 * The slot through which tracing hands a span its identity (telemetry.md I6).
 *
 * `Tracer.startSpan` takes no IDs, but it asks the SDK's `IdGenerator` for exactly one span ID (and, for a root
 * span, one trace ID) while it runs. So the IDs wait here during that one synchronous call, and
 * `DurableIdGenerator` takes them. All other spans find the slot empty and keep their random IDs.
 */

/** The IDs that the next span shall have. */
export interface ChosenIds {
  readonly traceId: string;
  readonly spanId: string;
}

interface Slot {
  ids: ChosenIds | undefined;
  spanIdTaken: boolean;
}

// Process-wide, so that an ESM and a CJS copy of this package agree.
const slotKey: unique symbol = Symbol.for("durable-telemetry.chosen-ids");
const holder = globalThis as { [slotKey]?: Slot };
const slot: Slot = (holder[slotKey] ??= { ids: undefined, spanIdTaken: false });

/**
 * Runs `start`, which must start one span synchronously, with `ids` in the slot.
 *
 * @returns what `start` returned, and whether an ID generator took the span ID.
 */
export function withChosenIds<T>(ids: ChosenIds, start: () => T): { readonly result: T; readonly taken: boolean } {
  slot.ids = ids;
  slot.spanIdTaken = false;
  try {
    return { result: start(), taken: slot.spanIdTaken };
  } finally {
    slot.ids = undefined;
  }
}

/** The span ID that waits in the slot, if any; a second question in the same call gets none. */
export function takeSpanId(): string | undefined {
  if (slot.ids === undefined || slot.spanIdTaken) return undefined;
  slot.spanIdTaken = true;
  return slot.ids.spanId;
}

/** The trace ID that waits in the slot, if any. */
export function takeTraceId(): string | undefined {
  return slot.ids?.traceId;
}
