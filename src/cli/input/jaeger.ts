import { arrayOf, FieldError, objectOf, requiredHexId, shown, stringOf, timeOf } from "./fields.ts";
import type { SpanRecord, SpanScope, SpanSource } from "./file-span.ts";

/**
 * A span of Jaeger's JSON, which its query API returns and its UI downloads. Times are in microseconds. What OpenTelemetry
 * has beyond Jaeger's model is in tags.
 *
 * @throws {FieldError} if a member that identifies the span, or says when it was, can't be read.
 */
export function jaegerSpan(value: unknown, sourceOf: (processId: string) => SpanSource): SpanRecord {
  if (typeof value !== "object" || value === null)
    throw new FieldError(`a span must be an object, not ${shown(value)}`);
  const span = objectOf(value);
  const attributes = jaegerTags(span["tags"]);
  const take = (key: string): unknown => {
    const tag = attributes[key];
    delete attributes[key];
    return tag;
  };
  const traceId = requiredHexId(span["traceID"], "traceID", 32);
  const startTime = timeOf(span["startTime"], "startTime", 6);
  if (startTime === undefined) throw new FieldError("startTime is missing");
  const references = arrayOf(span["references"]).map(referenceOf);
  const referenced = (of: string): Reference | undefined =>
    references.find(({ type, context }) => type === of && context.traceId === traceId);
  // Without CHILD_OF, Jaeger takes the first FOLLOWS_FROM of the same trace for the parent: OpenTracing had both.
  const parent = referenced("CHILD_OF") ?? referenced("FOLLOWS_FROM");
  const statusCode = take("otel.status_code");
  const error = take("error");
  return {
    traceId,
    spanId: requiredHexId(span["spanID"], "spanID", 16),
    parentSpanId: parent?.context.spanId,
    isParentRemote: false,
    name: stringOf(span["operationName"]),
    kind: Math.max(0, kinds.indexOf(stringOf(take("span.kind")))),
    startTime,
    endTime: endOf(startTime, span["duration"]),
    statusCode: statusCode === "ERROR" || error === true || error === "true" ? 2 : statusCode === "OK" ? 1 : 0,
    message: stringOf(take("otel.status_description")) || undefined,
    scope: scopeOf(take("otel.scope.name") ?? take("otel.library.name"), take("otel.scope.version")),
    attributes,
    events: arrayOf(span["logs"]).map((each) => {
      const { timestamp, fields } = objectOf(each);
      const { event, ...others } = jaegerTags(fields);
      return {
        name: stringOf(event) || "log",
        time: timeOf(timestamp, "a log's timestamp", 6) ?? startTime,
        attributes: others,
      };
    }),
    links: references.filter((reference) => reference !== parent),
    source: sourceOf(stringOf(span["processID"])),
  };
}

const kinds = ["internal", "server", "client", "producer", "consumer"];

/** The names of the services, by the IDs of the processes. */
export function jaegerServices(processes: unknown): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(objectOf(processes)).map(([id, process]) => [id, stringOf(objectOf(process)["serviceName"])]),
  );
}

interface Reference {
  readonly type: string;
  readonly context: { readonly traceId: string; readonly spanId: string };
}

function referenceOf(value: unknown): Reference {
  const { refType, traceID, spanID } = objectOf(value);
  const context = {
    traceId: requiredHexId(traceID, "a reference's traceID", 32),
    spanId: requiredHexId(spanID, "a reference's spanID", 16),
  };
  return { type: stringOf(refType), context };
}

function scopeOf(name: unknown, version: unknown): SpanScope | undefined {
  return typeof name === "string" ? { name, version: stringOf(version) || undefined } : undefined;
}

function endOf([seconds, nanoseconds]: readonly [number, number], duration: unknown): [number, number] | undefined {
  if (duration === undefined) return undefined;
  const [wholeSeconds, rest] = timeOf(duration, "duration", 6) ?? [0, 0];
  const sum = nanoseconds + rest;
  return [seconds + wholeSeconds + Math.floor(sum / 1e9), sum % 1e9];
}

function jaegerTags(value: unknown): Record<string, unknown> {
  const tags: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const each of arrayOf(value)) {
    const { key, type, value: tag } = objectOf(each);
    // Jaeger writes 64-bit integers and booleans as such; some of its versions wrote strings.
    tags[stringOf(key)] = (type === "int64" || type === "float64") && isSafe(tag) ? Number(tag) : tag;
  }
  return tags;
}

function isSafe(value: unknown): boolean {
  return typeof value === "number" || (typeof value === "string" && Math.abs(Number(value)) <= Number.MAX_SAFE_INTEGER);
}
