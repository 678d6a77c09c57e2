import type { FinishedSpan } from "../../testing/waterfall/span-tree.ts";

type Time = readonly [seconds: number, nanoseconds: number];
type Attributes = Readonly<Record<string, unknown>>;

/** Where spans come from: a service. It may be known only after its spans. */
export interface SpanSource {
  service: string | undefined;
}

/** What makes spans: a library. */
export interface SpanScope {
  name: string;
  version: string | undefined;
}

/** What a file says of a span. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly kind: number;
  readonly parentSpanId: string | undefined;
  readonly isParentRemote: boolean;
  readonly startTime: Time;
  /** `undefined` if it has not ended. */
  readonly endTime: Time | undefined;
  /** OpenTelemetry's `SpanStatusCode`: 0 is unset, 1 ok, 2 an error. */
  readonly statusCode: number;
  readonly message: string | undefined;
  readonly attributes: Attributes;
  readonly events: NonNullable<FinishedSpan["events"]>;
  readonly links: NonNullable<FinishedSpan["links"]>;
  readonly source: SpanSource;
  readonly scope: SpanScope | undefined;
}

const none = Object.freeze([]);
const notEnded: Time = [0, 0];

/** A span from a file, for the waterfall and the checks. There may be hundreds of thousands: it is small. */
export class FileSpan implements FinishedSpan {
  readonly name: string;
  readonly kind: number;
  readonly attributes: Attributes;
  readonly events: SpanRecord["events"];
  readonly links: SpanRecord["links"];
  readonly instrumentationScope: SpanScope | undefined;
  readonly #traceId: string;
  readonly #spanId: string;
  readonly #parentSpanId: string | undefined;
  readonly #isParentRemote: boolean;
  readonly #startSeconds: number;
  readonly #startNanoseconds: number;
  readonly #endSeconds: number;
  readonly #endNanoseconds: number;
  readonly #statusCode: number;
  readonly #message: string | undefined;
  readonly #source: SpanSource;

  /** @param detailed whether to keep events, links and scopes, which only an HTML page shows. */
  constructor(record: SpanRecord, detailed: boolean) {
    this.name = record.name;
    this.kind = record.kind;
    this.attributes = record.attributes;
    this.events = detailed ? record.events : none;
    this.links = detailed ? record.links : none;
    this.instrumentationScope = record.scope;
    this.#traceId = record.traceId;
    this.#spanId = record.spanId;
    this.#parentSpanId = record.parentSpanId;
    this.#isParentRemote = record.isParentRemote;
    [this.#startSeconds, this.#startNanoseconds] = record.startTime;
    [this.#endSeconds, this.#endNanoseconds] = record.endTime ?? notEnded;
    this.#statusCode = record.statusCode;
    this.#message = record.message;
    this.#source = record.source;
  }

  /** Whether it has an end. */
  get hasEnded(): boolean {
    return this.#endSeconds > 0 || this.#endNanoseconds > 0;
  }

  get startTime(): Time {
    return [this.#startSeconds, this.#startNanoseconds];
  }

  get endTime(): Time {
    return [this.#endSeconds, this.#endNanoseconds];
  }

  get status(): FinishedSpan["status"] {
    return { code: this.#statusCode, message: this.#message };
  }

  get parentSpanContext(): FinishedSpan["parentSpanContext"] {
    return this.#parentSpanId === undefined
      ? undefined
      : { traceId: this.#traceId, spanId: this.#parentSpanId, isRemote: this.#isParentRemote };
  }

  get resource(): FinishedSpan["resource"] {
    const { service } = this.#source;
    return { attributes: service === undefined ? {} : { "service.name": service } };
  }

  spanContext(): { readonly traceId: string; readonly spanId: string } {
    return { traceId: this.#traceId, spanId: this.#spanId };
  }
}
