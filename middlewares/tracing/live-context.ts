import { isSpanContextValid, trace, type Context } from "@opentelemetry/api";
import { suppressTracingKey } from "../../src/suppress-tracing.ts";

/** A work item. */
interface Live {
  readonly isLive: boolean;
}

/**
 * A context in which tracing is suppressed except while a work item is live. A whole work item runs in one such context: it
 * silences the SDK's own spans (telemetry.md I9) and spans of replaying code (S5), but not those of live code. It decides
 * at each span instead of switching contexts at each step, so it also covers code that was parked at an `await` during
 * replay and continues live.
 */
export class LiveContext implements Context {
  readonly #base: Context;
  readonly #item: Live;

  constructor(base: Context, item: Live) {
    this.#base = base;
    this.#item = item;
  }

  getValue(key: symbol): unknown {
    const value = this.#base.getValue(key);
    return key === suppressTracingKey ? value === true || !this.#item.isLive : value;
  }

  setValue(key: symbol, value: unknown): Context {
    const base = this.#base.setValue(key, value);
    // A span that was started during replay is not recorded. If it became active, spans that live code starts under it would
    // start another trace, so the span around it stays active.
    const active = trace.getSpanContext(base);
    return active !== undefined && !isSpanContextValid(active) ? this : new LiveContext(base, this.#item);
  }

  deleteValue(key: symbol): Context {
    return new LiveContext(this.#base.deleteValue(key), this.#item);
  }
}

/** `base` with tracing suppressed. */
export function suppressed(base: Context): Context {
  return base.setValue(suppressTracingKey, true);
}
