import {
  attributesOf,
  bytes,
  decodeRequest,
  hex,
  itemsOf,
  list,
  oneOf,
  record,
  text,
  type Attributes,
  type Origin,
  type PlainMessage,
} from "./decode-message.ts";

/** A span as it arrived over OTLP. IDs are lowercase hex. */
export interface ReceivedSpan extends Origin {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** `undefined` for a root span. */
  readonly parentSpanId: string | undefined;
  readonly traceState: string;
  readonly kind: "INTERNAL" | "SERVER" | "CLIENT" | "PRODUCER" | "CONSUMER";
  readonly status: { readonly code: "UNSET" | "OK" | "ERROR"; readonly message: string };
  readonly startTimeUnixNano: bigint;
  readonly endTimeUnixNano: bigint;
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string; readonly timeUnixNano: bigint; readonly attributes: Attributes }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string; readonly attributes: Attributes }[];
}

/**
 * Decodes the body of an OTLP trace request, and refuses whatever the `.proto` files don't allow: unknown fields,
 * wrong types, IDs of a wrong length or all zero, spans that end before they start.
 *
 * @throws Error that names the place in the body that is at fault.
 */
export function decodeTraceRequest(contentType: string, body: Uint8Array): ReceivedSpan[] {
  return itemsOf(decodeRequest("traces", contentType, body), ["resourceSpans", "scopeSpans", "spans"]).map(
    ({ item, from }) => ({
      ...spanOf(item),
      ...from,
    }),
  );
}

function spanOf(span: PlainMessage): Omit<ReceivedSpan, keyof Origin> {
  const name = text(span, "name");
  const startTimeUnixNano = BigInt(text(span, "startTimeUnixNano"));
  const endTimeUnixNano = BigInt(text(span, "endTimeUnixNano"));
  if (name === "") throw new Error("a span has no name");
  if (startTimeUnixNano === 0n || endTimeUnixNano < startTimeUnixNano)
    throw new Error(`span "${name}" ends before it starts`);
  const status = record(span, "status");
  return {
    name,
    traceId: hex(span, "traceId", 16),
    spanId: hex(span, "spanId", 8),
    parentSpanId: bytes(span, "parentSpanId").length === 0 ? undefined : hex(span, "parentSpanId", 8),
    traceState: text(span, "traceState"),
    kind: oneOf(text(span, "kind"), "SPAN_KIND_", ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]),
    status: {
      code: oneOf(text(status, "code"), "STATUS_CODE_", ["UNSET", "OK", "ERROR"]),
      message: text(status, "message"),
    },
    startTimeUnixNano,
    endTimeUnixNano,
    attributes: attributesOf(span),
    events: list(span, "events").map((event) => ({
      name: text(event, "name"),
      timeUnixNano: BigInt(text(event, "timeUnixNano")),
      attributes: attributesOf(event),
    })),
    links: list(span, "links").map((link) => ({
      traceId: hex(link, "traceId", 16),
      spanId: hex(link, "spanId", 8),
      attributes: attributesOf(link),
    })),
  };
}
