import { isSpanContextValid, trace, type Context } from "@opentelemetry/api";
import { suppressTracingKey } from "../../src/suppress-tracing.ts";

/** A work item. */
interface Live {
  readonly isLive: boolean;
}

/**
 * A context in which tracing is suppressed except while a work item is live. A whole work item runs in one such context: the
 * SDK's own spans (telemetry.md I9) and all that code does while replaying (S5) are silenced, and what an
 * orchestration does for the first time, or an activity does, is not. Asking at each span, rather than switching contexts at each step,
 * also covers code that was parked at an `await` while replaying and goes on live.
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
    // A span that was started while replaying is none. Were it active, what is opened under it once the orchestration
    // goes on live would begin a trace of its own; so the span around it stays the active one.
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
