import {
  diag,
  SpanStatusCode,
  type Attributes,
  type Context,
  type Exception,
  type HrTime,
  type Link,
  type Span,
  type SpanContext,
  type SpanKind,
  type SpanStatus,
  type TimeInput,
} from "@opentelemetry/api";
import { addAttribute, copyAttributes, exceptionAttributes, isSimpleValue } from "./attributes.ts";
import type {
  InstrumentationScope,
  RecordedEvent,
  RecordedResource,
  RecordedSpan,
  SpanProcessor,
} from "./recorded-span.ts";
import { resource } from "./resource.ts";
import { between, hrTime, isTime, plus, readTime } from "./time.ts";

/** What a span starts with. */
interface Start {
  readonly name: string;
  readonly kind: SpanKind;
  readonly spanContext: SpanContext;
  readonly parentSpanContext: SpanContext | undefined;
  readonly attributes: Attributes;
  readonly links: Link[];
  readonly startTime: TimeInput | undefined;
  readonly instrumentationScope: InstrumentationScope;
  /** The context that it was started in. */
  readonly context: Context;
}

/** A span that is recorded: what a program writes to, and what tests and processors read. */
export class RecordingSpan implements Span, RecordedSpan {
  name: string;
  readonly kind: SpanKind;
  declare parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  endTime: HrTime = [0, 0];
  duration: HrTime = [-1, -1];
  ended = false;
  status: SpanStatus = { code: SpanStatusCode.UNSET };
  readonly attributes: Attributes;
  readonly events: RecordedEvent[] = [];
  readonly links: Link[] = [];
  readonly instrumentationScope: InstrumentationScope;
  readonly resource: RecordedResource = resource;
  readonly droppedAttributesCount: number = 0;
  readonly droppedEventsCount: number = 0;
  readonly droppedLinksCount: number = 0;
  readonly #spanContext: SpanContext;
  readonly #observers: readonly SpanProcessor[];
  // The span's later times follow a monotonic clock from its start on. A start that the program gives has no such reading.
  readonly #steadyStart: number | undefined;

  /** @param observers are called in their order; what one throws reaches the program, and the rest are not called. */
  constructor(start: Start, observers: readonly SpanProcessor[]) {
    this.name = start.name;
    this.kind = start.kind;
    this.#spanContext = start.spanContext;
    if (start.parentSpanContext !== undefined) this.parentSpanContext = start.parentSpanContext;
    this.#steadyStart = start.startTime === undefined ? performance.now() : undefined;
    this.startTime = readTime(start.startTime ?? Date.now());
    this.attributes = start.attributes;
    this.links.push(...start.links);
    this.instrumentationScope = start.instrumentationScope;
    this.#observers = observers;
    for (const observer of observers) observer.onStart(this, start.context);
  }

  spanContext(): SpanContext {
    return this.#spanContext;
  }

  isRecording(): boolean {
    return !this.ended;
  }

  setAttribute(key: string, value: unknown): this {
    if (this.#isWritable()) addAttribute(this.attributes, key, value);
    return this;
  }

  setAttributes(attributes: Attributes): this {
    for (const [key, value] of Object.entries(attributes)) this.setAttribute(key, value);
    return this;
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (!this.#isWritable()) return this;
    const [attributes, at] = isTime(attributesOrTime)
      ? [undefined, time ?? attributesOrTime]
      : [attributesOrTime, time];
    this.events.push({ name, attributes: copyAttributes(attributes, isSimpleValue), time: this.#time(at) });
    return this;
  }

  addLink(link: Link): this {
    if (this.#isWritable()) this.links.push({ ...link, attributes: copyAttributes(link.attributes) });
    return this;
  }

  addLinks(links: Link[]): this {
    for (const link of links) this.addLink(link);
    return this;
  }

  setStatus({ code, message }: SpanStatus): this {
    // OK is a program's last word.
    if (!this.#isWritable() || code === SpanStatusCode.UNSET || this.status.code === SpanStatusCode.OK) return this;
    this.status = code === SpanStatusCode.ERROR && typeof message === "string" ? { code, message } : { code };
    return this;
  }

  updateName(name: string): this {
    if (this.#isWritable()) this.name = name;
    return this;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    const attributes = exceptionAttributes(exception);
    if (Object.keys(attributes).length > 0) this.addEvent("exception", attributes, time);
    else diag.warn("Failed to record an exception that has no type and no message", exception);
  }

  end(time?: TimeInput): void {
    if (!this.#isWritable()) return;
    this.endTime = this.#time(time);
    this.duration = between(this.startTime, this.endTime);
    if (this.duration[0] < 0) {
      diag.warn(`The span ${this.name} ends before it starts; its duration is set to 0.`);
      this.endTime = this.startTime;
      this.duration = [0, 0];
    }
    for (const observer of this.#observers) observer.onEnding?.(this);
    this.ended = true;
    for (const observer of this.#observers) observer.onEnd(this);
  }

  #time(given: TimeInput | undefined): HrTime {
    if (given !== undefined) return readTime(given);
    return this.#steadyStart === undefined
      ? hrTime(Date.now())
      : plus(this.startTime, hrTime(performance.now() - this.#steadyStart));
  }

  #isWritable(): boolean {
    if (this.ended)
      diag.warn(`The span ${this.name} ${this.#spanContext.spanId} has ended: nothing can be written to it.`);
    return !this.ended;
  }
}
