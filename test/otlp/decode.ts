import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";

/** A value of an attribute, as a JavaScript value. */
export type AttributeValue = string | number | bigint | boolean | Uint8Array | undefined | readonly AttributeValue[] | Attributes;
/** Attributes by name. */
export interface Attributes {
  readonly [name: string]: AttributeValue;
}

/** A span as it arrived over OTLP. IDs are lowercase hex. */
export interface ReceivedSpan {
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
  /** The attributes of the resource: `service.name` and so on. */
  readonly resource: Attributes;
  /** The instrumentation scope: the name and version of the tracer. */
  readonly scope: { readonly name: string; readonly version: string };
}

/**
 * Decodes the body of an OTLP trace request, and refuses whatever the `.proto` files don't allow: unknown fields,
 * wrong types, IDs of a wrong length or all zero, spans that end before they start.
 *
 * @throws Error that names the place in the body that is at fault.
 */
export function decodeTraceRequest(contentType: string, body: Uint8Array): ReceivedSpan[] {
  const request = contentType === "application/json" ? messageFromJson(body) : messageFromProtobuf(body);
  return spansOf(request);
}

const protoDirectory = dirname(createRequire(import.meta.url).resolve("@elastic/mockotlpserver/package.json"));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => join(protoDirectory, target);
root.loadSync("opentelemetry/proto/collector/trace/v1/trace_service.proto").resolveAll();
const requestType = root.lookupType("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest");

function messageFromProtobuf(body: Uint8Array): protobuf.Message {
  const reader = protobuf.Reader.create(body);
  reader.discardUnknown = false;
  const message = requestType.decode(reader);
  refuseUnknownFields(message, "request");
  return message;
}

function refuseUnknownFields(value: unknown, place: string): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if ("$unknowns" in value && value.$unknowns !== undefined) throw new Error(`${place} has unknown fields`);
  for (const [name, child] of Object.entries(value)) refuseUnknownFields(child, `${place}.${name}`);
}

// OTLP/JSON is protobuf's JSON mapping, but IDs are hex and enums are numbers.
function messageFromJson(body: Uint8Array): protobuf.Message {
  const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  const message = requestType.fromObject(fromJson(json, requestType, "request"));
  const problem = requestType.verify(message);
  if (problem !== null) throw new Error(`request: ${problem}`);
  return requestType.decode(requestType.encode(message).finish());
}

function fromJson(json: unknown, type: protobuf.Type, place: string): Record<string, unknown> {
  if (!isRecord(json)) throw new Error(`${place} must be an object`);
  const result: Record<string, unknown> = {};
  const oneofs = new Set<string>();
  for (const [name, value] of Object.entries(json)) {
    const field = type.fields[name];
    if (field === undefined) throw new Error(`${place} has the unknown field "${name}"`);
    if (field.partOf !== null) {
      if (oneofs.has(field.partOf.name)) throw new Error(`${place} has more than one of "${field.partOf.name}"`);
      oneofs.add(field.partOf.name);
    }
    const at = `${place}.${name}`;
    if (!field.repeated) {
      result[name] = fieldFromJson(value, field, at);
    } else if (Array.isArray(value)) {
      const items: readonly unknown[] = value;
      result[name] = items.map((item, index) => fieldFromJson(item, field, `${at}[${index}]`));
    } else {
      throw new Error(`${at} must be an array`);
    }
  }
  return result;
}

const hexFields = new Set(["traceId", "spanId", "parentSpanId"]);

function fieldFromJson(value: unknown, field: protobuf.Field, place: string): unknown {
  if (field.resolvedType instanceof protobuf.Type) return fromJson(value, field.resolvedType, place);
  if (field.resolvedType instanceof protobuf.Enum) {
    if (typeof value === "number" && field.resolvedType.valuesById[value] !== undefined) return value;
  } else if (field.type === "bytes") {
    if (typeof value === "string" && hexFields.has(field.name) && /^([0-9a-f]{2})*$/.test(value)) return Buffer.from(value, "hex");
    if (typeof value === "string" && !hexFields.has(field.name) && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) return Buffer.from(value, "base64");
  } else if (field.type === "string") {
    if (typeof value === "string") return value;
  } else if (field.type === "bool") {
    if (typeof value === "boolean") return value;
  } else if (field.type === "double") {
    if (typeof value === "number") return value;
  } else if (field.type === "uint32" || field.type === "fixed32") {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  } else if (field.type === "int64" || field.type === "fixed64") {
    if (Number.isSafeInteger(value) || (typeof value === "string" && /^-?\d{1,19}$/.test(value))) return value;
  }
  throw new Error(`${place} is no ${field.type}: ${JSON.stringify(value)}`);
}

function spansOf(request: protobuf.Message): ReceivedSpan[] {
  const plain = requestType.toObject(request, { longs: String, enums: String, defaults: true, arrays: true, oneofs: true });
  const spans: ReceivedSpan[] = [];
  for (const resourceSpans of list(plain, "resourceSpans")) {
    const resource = attributesOf(record(resourceSpans, "resource"));
    for (const scopeSpans of list(resourceSpans, "scopeSpans")) {
      const scope = record(scopeSpans, "scope");
      const from = { resource, scope: { name: text(scope, "name"), version: text(scope, "version") } };
      for (const span of list(scopeSpans, "spans")) spans.push({ ...spanOf(span), ...from });
    }
  }
  return spans;
}

function spanOf(span: PlainMessage): Omit<ReceivedSpan, "resource" | "scope"> {
  const name = text(span, "name");
  const startTimeUnixNano = BigInt(text(span, "startTimeUnixNano"));
  const endTimeUnixNano = BigInt(text(span, "endTimeUnixNano"));
  if (name === "") throw new Error("a span has no name");
  if (startTimeUnixNano === 0n || endTimeUnixNano < startTimeUnixNano) throw new Error(`span "${name}" ends before it starts`);
  const status = record(span, "status");
  return {
    name,
    traceId: hex(span, "traceId", 16),
    spanId: hex(span, "spanId", 8),
    parentSpanId: bytes(span, "parentSpanId").length === 0 ? undefined : hex(span, "parentSpanId", 8),
    traceState: text(span, "traceState"),
    kind: oneOf(text(span, "kind"), "SPAN_KIND_", ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]),
    status: { code: oneOf(text(status, "code"), "STATUS_CODE_", ["UNSET", "OK", "ERROR"]), message: text(status, "message") },
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

function attributesOf(owner: PlainMessage, field = "attributes"): Attributes {
  const attributes: Record<string, AttributeValue> = {};
  for (const entry of list(owner, field)) {
    const key = text(entry, "key");
    if (key === "" || Object.hasOwn(attributes, key)) throw new Error(`attribute "${key}" is empty or there twice`);
    attributes[key] = valueOf(record(entry, "value"));
  }
  return attributes;
}

function valueOf(value: PlainMessage): AttributeValue {
  // The oneof's own entry tells which of its fields is set.
  const set = value["value"];
  if (set === undefined) return undefined;
  if (set === "intValue") {
    const int = BigInt(text(value, set));
    return int >= Number.MIN_SAFE_INTEGER && int <= Number.MAX_SAFE_INTEGER ? Number(int) : int;
  }
  if (set === "arrayValue") return list(record(value, set), "values").map(valueOf);
  if (set === "kvlistValue") return attributesOf(record(value, set), "values");
  const scalar = typeof set === "string" ? value[set] : undefined;
  if (typeof scalar === "string" || typeof scalar === "number" || typeof scalar === "boolean" || scalar instanceof Uint8Array) return scalar;
  throw new Error(`an attribute has an unexpected value: ${JSON.stringify(value)}`);
}

type PlainMessage = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is PlainMessage {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function record(owner: PlainMessage, name: string): PlainMessage {
  const value = owner[name];
  if (isRecord(value)) return value;
  throw new Error(`"${name}" is missing`);
}

function list(owner: PlainMessage, name: string): readonly PlainMessage[] {
  const value = owner[name];
  if (Array.isArray(value) && value.every(isRecord)) return value;
  throw new Error(`"${name}" is no list`);
}

function text(owner: PlainMessage, name: string): string {
  const value = owner[name];
  if (typeof value === "string") return value;
  throw new Error(`"${name}" is no text`);
}

function bytes(owner: PlainMessage, name: string): Uint8Array {
  const value = owner[name];
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value) && value.length === 0) return new Uint8Array();
  throw new Error(`"${name}" is no bytes`);
}

function hex(owner: PlainMessage, name: string, length: number): string {
  const value = bytes(owner, name);
  if (value.length !== length || value.every((byte) => byte === 0)) throw new Error(`"${name}" is no valid ID: ${Buffer.from(value).toString("hex")}`);
  return Buffer.from(value).toString("hex");
}

function oneOf<T extends string>(value: string, prefix: string, allowed: readonly T[]): T {
  const found = allowed.find((item) => prefix + item === value);
  if (found === undefined) throw new Error(`${value} is not allowed here`);
  return found;
}
