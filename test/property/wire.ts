/** Protobuf messages as trees of their fields, with no schema: what can be read as a message is one. */

export interface Field {
  number: number;
  value:
    | { type: "varint"; varint: bigint }
    | { type: "bytes"; bytes: Buffer }
    | { type: "message"; fields: Field[] }
    | { type: "fixed"; bytes: Buffer };
}

/** The fields of a message; `undefined` if `bytes` are none. */
export function decodeFields(bytes: Buffer): Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined) return undefined;
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === undefined || tag >> 3n === 0n) return undefined;
    const number = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (wireType === 0) {
      const value = varint();
      if (value === undefined) return undefined;
      fields.push({ number, value: { type: "varint", varint: value } });
      continue;
    }
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : wireType === 2 ? Number(varint() ?? -1n) : -1;
    if (length < 0 || at + length > bytes.length) return undefined;
    const content = bytes.subarray(at, at + length);
    at += length;
    const inner = wireType === 2 && length > 0 ? decodeFields(content) : undefined;
    if (wireType !== 2) fields.push({ number, value: { type: "fixed", bytes: content } });
    else
      fields.push({
        number,
        value: inner === undefined ? { type: "bytes", bytes: content } : { type: "message", fields: inner },
      });
  }
  return fields;
}

export function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(encodeField));
}

function encodeField({ number, value }: Field): Buffer {
  const tag = (wireType: number): Buffer => encodeVarint((BigInt(number) << 3n) | BigInt(wireType));
  switch (value.type) {
    case "varint":
      return Buffer.concat([tag(0), encodeVarint(value.varint)]);
    case "fixed":
      return Buffer.concat([tag(value.bytes.length === 8 ? 1 : 5), value.bytes]);
    default: {
      const content = value.type === "bytes" ? value.bytes : encodeFields(value.fields);
      return Buffer.concat([tag(2), encodeVarint(BigInt(content.length)), content]);
    }
  }
}

function encodeVarint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** Where a field is. */
export interface Place {
  readonly siblings: Field[];
  readonly index: number;
  readonly field: Field;
}

/** All fields of a message, those of its parts included. */
export function placesOf(fields: Field[]): Place[] {
  return fields.flatMap((field, index) => [
    { siblings: fields, index, field },
    ...(field.value.type === "message" ? placesOf(field.value.fields) : []),
  ]);
}
