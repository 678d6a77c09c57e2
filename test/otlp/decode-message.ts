/** Decodes OTLP strictly, into plain data. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";

/** A value of an attribute, as a JavaScript value. */
export type AttributeValue =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | undefined
  | readonly AttributeValue[]
  | Attributes;
/** Attributes by name. */
export interface Attributes {
  readonly [name: string]: AttributeValue;
}

const protoDirectory = dirname(createRequire(import.meta.url).resolve("@elastic/mockotlpserver/package.json"));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => join(protoDirectory, target);
for (const signal of ["trace", "metrics", "logs"])
  root.loadSync(`opentelemetry/proto/collector/${signal}/v1/${signal}_service.proto`);
// These files are from before OTLP 1.5, where log records got it.
root.lookupType("opentelemetry.proto.logs.v1.LogRecord").add(new protobuf.Field("eventName", 12, "string"));
root.resolveAll();

/** The types of the requests, by signal. */
const requestTypes: Readonly<Record<"traces" | "metrics" | "logs", protobuf.Type>> = {
  traces: root.lookupType("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest"),
  metrics: root.lookupType("opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"),
  logs: root.lookupType("opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest"),
};

/**
 * Decodes the body of an OTLP request, and refuses whatever the `.proto` files don't allow.
 *
 * @throws Error that names the place in the body that is at fault.
 */
export function decodeRequest(signal: keyof typeof requestTypes, contentType: string, body: Uint8Array): PlainMessage {
  const type = requestTypes[signal];
  const message = contentType === "application/json" ? messageFromJson(type, body) : messageFromProtobuf(type, body);
  return type.toObject(message, { longs: String, enums: String, defaults: true, arrays: true, oneofs: true });
}

function messageFromProtobuf(type: protobuf.Type, body: Uint8Array): protobuf.Message {
  const reader = protobuf.Reader.create(body);
  reader.discardUnknown = false;
  const message = type.decode(reader);
  refuseUnknownFields(message, "request");
  return message;
}

function refuseUnknownFields(value: unknown, place: string): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if ("$unknowns" in value && value.$unknowns !== undefined) throw new Error(`${place} has unknown fields`);
  for (const [name, child] of Object.entries(value)) refuseUnknownFields(child, `${place}.${name}`);
}

// OTLP/JSON is protobuf's JSON mapping, but IDs are hex and enums are numbers.
function messageFromJson(type: protobuf.Type, body: Uint8Array): protobuf.Message {
  const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  const message = type.fromObject(fromJson(json, type, "request"));
  const problem = type.verify(message);
  if (problem !== null) throw new Error(`request: ${problem}`);
  return type.decode(type.encode(message).finish());
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
    if (typeof value === "string" && hexFields.has(field.name) && /^([0-9a-f]{2})*$/.test(value))
      return Buffer.from(value, "hex");
    if (typeof value === "string" && !hexFields.has(field.name) && /^[A-Za-z0-9+/]*={0,2}$/.test(value))
      return Buffer.from(value, "base64");
  } else if (field.type === "string") {
    if (typeof value === "string") return value;
  } else if (field.type === "bool") {
    if (typeof value === "boolean") return value;
  } else if (field.type === "double") {
    if (typeof value === "number") return value;
  } else if (field.type === "uint32" || field.type === "fixed32") {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  } else if (field.type === "sint32") {
    if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= 2 ** 31) return value;
  } else if (
    field.type === "int64" ||
    field.type === "fixed64" ||
    field.type === "sfixed64" ||
    field.type === "uint64"
  ) {
    if (Number.isSafeInteger(value) || (typeof value === "string" && /^-?\d{1,19}$/.test(value))) return value;
  }
  throw new Error(`${place} is no ${field.type}: ${JSON.stringify(value)}`);
}

/** The attributes of a message, by name. */
export function attributesOf(owner: PlainMessage, field = "attributes"): Attributes {
  const attributes: Record<string, AttributeValue> = {};
  for (const entry of list(owner, field)) {
    const key = text(entry, "key");
    if (key === "" || Object.hasOwn(attributes, key)) throw new Error(`attribute "${key}" is empty or there twice`);
    attributes[key] = valueOf(record(entry, "value"));
  }
  return attributes;
}

/** A value of an attribute, or a body. */
export function valueOf(value: PlainMessage): AttributeValue {
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
  if (
    typeof scalar === "string" ||
    typeof scalar === "number" ||
    typeof scalar === "boolean" ||
    scalar instanceof Uint8Array
  )
    return scalar;
  throw new Error(`an attribute has an unexpected value: ${JSON.stringify(value)}`);
}

/** A message as plain data. */
export type PlainMessage = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is PlainMessage {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A message in a message. */
export function record(owner: PlainMessage, name: string): PlainMessage {
  const value = owner[name];
  if (isRecord(value)) return value;
  throw new Error(`"${name}" is missing`);
}

/** Messages in a message. */
export function list(owner: PlainMessage, name: string): readonly PlainMessage[] {
  const value = owner[name];
  if (Array.isArray(value) && value.every(isRecord)) return value;
  throw new Error(`"${name}" is no list`);
}

/** A string; enums and 64-bit integers are strings too. */
export function text(owner: PlainMessage, name: string): string {
  const value = owner[name];
  if (typeof value === "string") return value;
  throw new Error(`"${name}" is no text`);
}

/** Bytes. */
export function bytes(owner: PlainMessage, name: string): Uint8Array {
  const value = owner[name];
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value) && value.length === 0) return new Uint8Array();
  throw new Error(`"${name}" is no bytes`);
}

/** An ID of so many bytes, as hex. */
export function hex(owner: PlainMessage, name: string, length: number): string {
  const value = bytes(owner, name);
  if (value.length !== length || value.every((byte) => byte === 0))
    throw new Error(`"${name}" is no valid ID: ${Buffer.from(value).toString("hex")}`);
  return Buffer.from(value).toString("hex");
}

/** A value of an enum, without its prefix. */
export function oneOf<T extends string>(value: string, prefix: string, allowed: readonly T[]): T {
  const found = allowed.find((item) => prefix + item === value);
  if (found === undefined) throw new Error(`${value} is not allowed here`);
  return found;
}

/** What a resource and a scope have in them, with the resource and scope. */
export function itemsOf(
  request: PlainMessage,
  [resources, scopes, items]: readonly [resources: string, scopes: string, items: string],
): readonly { readonly item: PlainMessage; readonly from: Origin }[] {
  return list(request, resources).flatMap((resourceItems) => {
    const resource = attributesOf(record(resourceItems, "resource"));
    return list(resourceItems, scopes).flatMap((scopeItems) => {
      const scope = record(scopeItems, "scope");
      const from = { resource, scope: { name: text(scope, "name"), version: text(scope, "version") } };
      return list(scopeItems, items).map((item) => ({ item, from }));
    });
  });
}

/** Where something comes from. */
export interface Origin {
  /** The attributes of the resource: `service.name` and so on. */
  readonly resource: Attributes;
  /** The instrumentation scope. */
  readonly scope: { readonly name: string; readonly version: string };
}
