import {
  attributesOf,
  bytes,
  decodeRequest,
  hex,
  itemsOf,
  record,
  text,
  valueOf,
  type Attributes,
  type AttributeValue,
  type Origin,
} from "./decode-message.ts";

/** A log record as it arrived over OTLP. */
export interface ReceivedLogRecord extends Origin {
  readonly eventName: string;
  readonly severity: string;
  readonly body: AttributeValue;
  readonly attributes: Attributes;
  readonly timeUnixNano: bigint;
  /** `undefined` for a record outside of any span. */
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
}

/** Decodes the body of an OTLP logs request. @throws Error that names the place in the body that is at fault. */
export function decodeLogsRequest(contentType: string, body: Uint8Array): ReceivedLogRecord[] {
  return itemsOf(decodeRequest("logs", contentType, body), ["resourceLogs", "scopeLogs", "logRecords"]).map(
    ({ item, from }) => {
      const isInSpan = bytes(item, "spanId").length > 0;
      if (text(item, "observedTimeUnixNano") === "0") throw new Error("a log record has no time");
      return {
        eventName: text(item, "eventName"),
        severity: text(item, "severityNumber").replace("SEVERITY_NUMBER_", ""),
        body: item["body"] === null ? undefined : valueOf(record(item, "body")),
        attributes: attributesOf(item),
        timeUnixNano: BigInt(text(item, "timeUnixNano")),
        traceId: isInSpan ? hex(item, "traceId", 16) : undefined,
        spanId: isInSpan ? hex(item, "spanId", 8) : undefined,
        ...from,
      };
    },
  );
}
