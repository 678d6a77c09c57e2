import crypto from "node:crypto";
import { TraceFlags, type SpanContext } from "@opentelemetry/api";

/**
 * What this process remembers of work that is done, for links alone (telemetry.md S4, S8): spans follow from history
 * events, which say neither what an execution continues nor who sent an event. It has a fixed size, in bytes too, as
 * texts of any length are kept as digests (K2, K4): less than 4 MiB.
 */
export interface RecentWork {
  /** By instance ID, as {@link keyOf} has it: the execution that continued as new last. */
  readonly continued: RecentEntries<ContinuedExecution>;
  /** The events that orchestrations in this process sent. */
  readonly sent: SentEvents;
}

/** An execution that continued as new. */
export interface ContinuedExecution {
  readonly span: SpanContext;
  /** The trace context that started it, as {@link keyOf} has it. */
  readonly traceparent: string | undefined;
}

const longestKey = 64;

/** `text`, or a digest of it if it is long. */
export function keyOf(text: string): string {
  return text.length <= longestKey ? text : crypto.hash("sha256", text);
}

/** A span context to keep. Its IDs may be parts of a message, all of which they would keep. */
export function kept({ traceId, spanId, traceFlags }: SpanContext): SpanContext {
  return { traceId: Buffer.from(traceId).toString(), spanId: Buffer.from(spanId).toString(), traceFlags };
}

/** A map of the entries that were set last. */
class RecentEntries<T> {
  readonly #entries = new Map<string, T>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key);
  }

  set(key: string, entry: T): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size <= this.#limit) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}

/** Who sent which event to whom. */
class SentEvents {
  readonly #senders: RecentEntries<readonly SpanContext[]>;
  readonly #limit: number;

  constructor(limit: number, perEvent: number) {
    this.#senders = new RecentEntries(limit);
    this.#limit = perEvent;
  }

  add(target: string, name: string, sender: SpanContext): void {
    if (!isSampled(sender)) return;
    const key = keyOfEvent(target, name);
    const senders = this.#senders.get(key) ?? [];
    // What is sent again, as nobody knew whether it had left, is the same span.
    if (senders.some(({ spanId }) => spanId === sender.spanId)) return;
    this.#senders.set(key, [...senders, kept(sender)].slice(-this.#limit));
  }

  /** The senders of `count` events that `target` received, first come first. */
  first(target: string, name: string, count: number): readonly SpanContext[] {
    return (this.#senders.get(keyOfEvent(target, name)) ?? []).slice(0, count);
  }

  /** Forgets those. */
  forget(target: string, name: string, count: number): void {
    const key = keyOfEvent(target, name);
    const rest = (this.#senders.get(key) ?? []).slice(count);
    if (rest.length > 0) this.#senders.set(key, rest);
    else this.#senders.delete(key);
  }
}

/** Whether there is a span to link to. */
export function isSampled({ traceFlags }: Pick<SpanContext, "traceFlags">): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

// Names of events have no case.
const keyOfEvent = (target: string, name: string): string => keyOf(`${target.length}:${target}${name.toLowerCase()}`);

const slot: unique symbol = Symbol.for("durable-telemetry.recent-work");

/** The process's own: all workers in it, and all copies of this package, share it. */
export function recentWork(): RecentWork {
  const shared = globalThis as { [slot]?: RecentWork };
  return (shared[slot] ??= { continued: new RecentEntries(1000), sent: new SentEvents(1000, 16) });
}
