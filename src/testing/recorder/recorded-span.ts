import type {
  Attributes,
  Context,
  HrTime,
  Link,
  Span,
  SpanContext,
  SpanKind,
  SpanStatus,
  TraceState,
} from "@opentelemetry/api";

/** The library or part of a program that a span or log record comes from. */
export interface InstrumentationScope {
  readonly name: string;
  readonly version?: string;
  readonly schemaUrl?: string;
}

/** The source of the telemetry: this process. */
export interface RecordedResource {
  readonly attributes: Attributes;
  merge(other: RecordedResource | null): RecordedResource;
  getRawAttributes(): [string, Attributes[string]][];
}

/** An event of a span. */
export interface RecordedEvent {
  readonly name: string;
  readonly time: HrTime;
  readonly attributes?: Attributes;
}

/** A span, as exporters get it. You can use it as a `ReadableSpan` of the OpenTelemetry SDK 2.x or 3.x. */
export interface RecordedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  spanContext(): SpanContext;
  /** The parent; a root has none. */
  readonly parentSpanContext?: SpanContext;
  /** Seconds since the epoch, and nanoseconds; so are all times and durations. */
  readonly startTime: HrTime;
  /** `[0, 0]` until the span has ended. */
  readonly endTime: HrTime;
  /** `[-1, -1]` until the span has ended. */
  readonly duration: HrTime;
  readonly ended: boolean;
  readonly status: SpanStatus;
  readonly attributes: Attributes;
  readonly events: RecordedEvent[];
  readonly links: Link[];
  readonly resource: RecordedResource;
  readonly instrumentationScope: InstrumentationScope;
  /** A recorder has no limits: this and the other two are 0. */
  readonly droppedAttributesCount: number;
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
}

// These are by shape what the SDKs 2.x and 3.x have, so that theirs fit.

/** Decides which spans are recorded; a `Sampler` of the OpenTelemetry SDK is one. */
export interface Sampler {
  /** @returns the `decision` is an OpenTelemetry `SamplingDecision`. */
  shouldSample(
    context: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): {
    readonly decision: number;
    readonly attributes?: Readonly<Attributes> | undefined;
    readonly traceState?: TraceState | undefined;
  };
}

/** Gives spans their IDs; an `IdGenerator` of the OpenTelemetry SDK is one. */
export interface IdGenerator {
  /** @returns 32 lowercase hex characters, not all zero. */
  generateTraceId(): string;
  /** @returns 16 lowercase hex characters, not all zero. */
  generateSpanId(): string;
}

/** Gets every span that is recorded; a `SpanProcessor` of the OpenTelemetry SDK is one. */
export interface SpanProcessor {
  onStart(span: Span & RecordedSpan, parent: Context): void;
  onEnding?(span: Span & RecordedSpan): void;
  onEnd(span: RecordedSpan): void;
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}
