import {
  arrayOf,
  FieldError,
  hexId,
  objectOf,
  requiredHexId,
  shown,
  stringOf,
  timeOf,
  type JsonObject,
} from "./fields.ts";
import type { SpanRecord, SpanScope, SpanSource } from "./file-span.ts";

/**
 * A span of OTLP JSON: IDs are hex, 64-bit integers are strings or numbers, enumerations are numbers (some exporters
 * write their names).
 *
 * @throws {FieldError} if a member that identifies the span, or says when it was, can't be read.
 */
export function otlpSpan(value: unknown, source: SpanSource, scope: SpanScope): SpanRecord {
  if (typeof value !== "object" || value === null)
    throw new FieldError(`a span must be an object, not ${shown(value)}`);
  const span = objectOf(value);
  const status = objectOf(span["status"]);
  const startTime = timeOf(span["startTimeUnixNano"], "startTimeUnixNano", 9);
  if (startTime === undefined) throw new FieldError("startTimeUnixNano is missing");
  return {
    traceId: requiredHexId(span["traceId"], "traceId", 32),
    spanId: requiredHexId(span["spanId"], "spanId", 16),
    parentSpanId: hexId(span["parentSpanId"], "parentSpanId", 16),
    isParentRemote: isRemote(span["flags"]),
    name: stringOf(span["name"]),
    kind: Math.max(0, enumOf(span["kind"], kinds) - 1),
    startTime,
    endTime: timeOf(span["endTimeUnixNano"], "endTimeUnixNano", 9),
    statusCode: enumOf(status["code"], statusCodes),
    message: stringOf(status["message"]) || undefined,
    attributes: otlpAttributes(span["attributes"]),
    events: arrayOf(span["events"]).map((each) => {
      const { name, timeUnixNano, attributes } = objectOf(each);
      return {
        name: stringOf(name),
        time: timeOf(timeUnixNano, "an event's timeUnixNano", 9) ?? startTime,
        attributes: otlpAttributes(attributes),
      };
    }),
    links: arrayOf(span["links"]).map((each) => {
      const { traceId, spanId, attributes } = objectOf(each);
      return {
        context: { traceId: stringOf(traceId).toLowerCase(), spanId: stringOf(spanId).toLowerCase() },
        attributes: otlpAttributes(attributes),
      };
    }),
    source,
    scope,
  };
}

/** The name of a resource's service. */
export function otlpService(resource: unknown): string | undefined {
  const name = otlpAttributes(objectOf(resource)["attributes"])["service.name"];
  return typeof name === "string" ? name : undefined;
}

export function otlpAttributes(value: unknown): Readonly<Record<string, unknown>> {
  const attributes: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const each of arrayOf(value)) {
    const { key, value: given } = objectOf(each);
    attributes[stringOf(key)] = anyValue(objectOf(given));
  }
  return attributes;
}

function anyValue(value: JsonObject): unknown {
  const { stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue, bytesValue } = value;
  if (stringValue !== undefined) return stringValue;
  if (boolValue !== undefined) return boolValue;
  if (intValue !== undefined) return integer(intValue);
  // JSON has no number for these three, so OTLP writes "NaN", "Infinity" and "-Infinity".
  if (doubleValue !== undefined) return Number(doubleValue);
  if (arrayValue !== undefined) return arrayOf(objectOf(arrayValue)["values"]).map((each) => anyValue(objectOf(each)));
  if (kvlistValue !== undefined) return { ...otlpAttributes(objectOf(kvlistValue)["values"]) };
  return bytesValue ?? null;
}

/** A number, or the digits where a number would not be exact. */
function integer(value: unknown): unknown {
  const number = Number(value);
  return typeof value === "string" && !Number.isSafeInteger(number) ? value : number;
}

function enumOf(value: unknown, names: readonly string[]): number {
  if (typeof value === "number") return value;
  return typeof value === "string" ? Math.max(0, names.indexOf(value)) : 0;
}

const kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"].map(
  (name) => `SPAN_KIND_${name}`,
);
const statusCodes = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/** Whether the flags of a span say that its parent is remote: bit 9, if bit 8 says that this is known. */
function isRemote(flags: unknown): boolean {
  return typeof flags === "number" && (flags & 0x300) === 0x300;
}
