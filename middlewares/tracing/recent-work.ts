import { TraceFlags, type SpanContext } from "@opentelemetry/api";

/**
 * What this process remembers of work that is done, for links alone (telemetry.md S4, S8): spans follow from durable
 * facts, which say neither what an execution continues nor who sent an event. It has a fixed size (K2).
 */
export interface RecentWork {
  /** By instance ID: the execution that continued as new last. */
  readonly continued: RecentEntries<ContinuedExecution>;
  /** The events that orchestrations in this process sent. */
  readonly sent: SentEvents;
}

/** An execution that continued as new. */
export interface ContinuedExecution {
  readonly span: SpanContext;
  /** The trace context that started it. */
  readonly traceparent: string | undefined;
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
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size > this.#limit) this.#entries.delete(oldest);
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
    const senders = this.#senders.get(keyOf(target, name)) ?? [];
    // What is sent again, as nobody knew whether it had left, is the same span; what is not sampled is none.
    if (!isSampled(sender) || senders.some(({ spanId }) => spanId === sender.spanId)) return;
    this.#senders.set(keyOf(target, name), [...senders, sender].slice(-this.#limit));
  }

  /** The senders of `count` events that `target` received, first come first. */
  first(target: string, name: string, count: number): readonly SpanContext[] {
    return (this.#senders.get(keyOf(target, name)) ?? []).slice(0, count);
  }

  /** Forgets those. */
  forget(target: string, name: string, count: number): void {
    const rest = (this.#senders.get(keyOf(target, name)) ?? []).slice(count);
    if (rest.length > 0) this.#senders.set(keyOf(target, name), rest);
    else this.#senders.delete(keyOf(target, name));
  }
}

/** Whether there is a span to link to. */
export function isSampled({ traceFlags }: Pick<SpanContext, "traceFlags">): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

// Names of events have no case.
const keyOf = (target: string, name: string): string => `${target.length}:${target}${name.toLowerCase()}`;

const slot: unique symbol = Symbol.for("durable-telemetry.recent-work");

/** The process's own: all workers in it, and all copies of this package, share it. */
export function recentWork(): RecentWork {
  const shared = globalThis as { [slot]?: RecentWork };
  return (shared[slot] ??= { continued: new RecentEntries(1000), sent: new SentEvents(1000, 16) });
}
