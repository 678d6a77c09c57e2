import { TraceFlags, type SpanContext } from "@opentelemetry/api";
import { crypto } from "../../src/on-demand.ts";

/**
 * What this process remembers of finished work, only for links (telemetry.md S4, S8): history events record neither what an
 * execution continues nor who sent an event. Its size is limited to less than 4 MiB, because long strings are kept as
 * digests (K2, K4).
 */
export interface RecentWork {
  /** The last execution that continued as new, by instance ID ({@link keyOf}). */
  readonly continued: RecentEntries<ContinuedExecution>;
  /** The events that orchestrations in this process sent. */
  readonly sent: SentEvents;
  /** What this process scheduled, by {@link keyOfTask}, where the backend may not tell a task who scheduled it. */
  readonly scheduled: RecentEntries<ScheduledSpan>;
  /** The derived span IDs of ended activities that the backend sent without an execution ID and a trace context. */
  readonly ended: RecentEntries<true>;
}

/** The span of a scheduled task. */
export interface ScheduledSpan extends SpanContext {
  /** The span of the execution, if it is the backend's, and nobody emits the task's. */
  readonly parentSpanId?: string;
}

export function keyOfTask(instanceId: string, taskId: number): string {
  return keyOf(`${taskId}:${instanceId}`);
}

/** An execution that continued as new. */
export interface ContinuedExecution {
  readonly span: SpanContext;
  /** The trace context that started it, as a {@link keyOf}. */
  readonly traceparent: string | undefined;
}

const longestKey = 64;

/** `value`, or a digest of it if it is long. */
export function keyOf(value: string): string {
  return value.length <= longestKey ? value : crypto.hash("sha256", value);
}

/** A copy of a span context to keep. Its IDs may be slices of a message, which they would keep in memory. */
export function kept({ traceId, spanId, traceFlags }: SpanContext): SpanContext {
  return { traceId: Buffer.from(traceId).toString(), spanId: Buffer.from(spanId).toString(), traceFlags };
}

/** A map that keeps the entries that were set last. */
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

/** The senders of events, by recipient. */
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
    // An event that is sent again, because it was unknown whether it was sent, has the same span.
    if (senders.some(({ spanId }) => spanId === sender.spanId)) return;
    this.#senders.set(key, [...senders, kept(sender)].slice(-this.#limit));
  }

  /** The senders of `count` events that `target` received, first come first. */
  first(target: string, name: string, count: number): readonly SpanContext[] {
    return (this.#senders.get(keyOfEvent(target, name)) ?? []).slice(0, count);
  }

  /** Removes those. */
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

// Names of events are case-insensitive.
const keyOfEvent = (target: string, name: string): string => keyOf(`${target.length}:${target}${name.toLowerCase()}`);

const slot: unique symbol = Symbol.for("durable-telemetry.recent-work");

/** The process's own: all workers in it, and all copies of this package, share it. */
export function recentWork(): RecentWork {
  const shared = globalThis as { [slot]?: RecentWork };
  return (shared[slot] ??= {
    continued: new RecentEntries(1000),
    sent: new SentEvents(1000, 16),
    scheduled: new RecentEntries(4096),
    ended: new RecentEntries(4096),
  });
}
