/**
 * Fields of protobuf messages by their numbers, in the wire format: for fields that the classes of an SDK do not know,
 * which drop them when they decode.
 */

/** A field of a message. */
export interface Field {
  readonly number: number;
  /** All of it, as it stands in the message. */
  readonly bytes: Uint8Array;
  /** What it holds: the number of a varint, the content of a string or a message; `undefined` for other types. */
  readonly value: number | Uint8Array | undefined;
}

const varintType = 0;
const fixed64Type = 1;
const bytesType = 2;
const fixed32Type = 5;

/**
 * The fields of `message`, in order.
 *
 * @param isLast reads no further than the first field of which it returns `true`.
 * @throws RangeError if it is malformed.
 */
export function fieldsOf(message: Uint8Array, isLast?: (field: Field) => boolean): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = message[at];
      if (byte === undefined || factor > 2 ** 63)
        throw new RangeError("The message is malformed: a number does not end.");
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    let value: Field["value"];
    switch (tag & 7) {
      case varintType:
        value = varint();
        break;
      case bytesType: {
        const length = varint();
        value = message.subarray(at, at + length);
        at += length;
        break;
      }
      case fixed64Type:
        at += 8;
        break;
      case fixed32Type:
        at += 4;
        break;
      default:
        throw new RangeError(`The message is malformed: there is no wire type ${tag & 7}.`);
    }
    if (at > message.length) throw new RangeError("The message is malformed: it ends within a field.");
    const read: Field = { number: Math.floor(tag / 8), bytes: message.subarray(start, at), value };
    fields.push(read);
    if (isLast?.(read) === true) break;
  }
  return fields;
}

/** The content of the last field with that number, if it is a string or a message: the last one wins, as in every decoder. */
export function contentOf(message: Uint8Array | undefined, number: number): Uint8Array | undefined {
  if (message === undefined) return undefined;
  const found = fieldsOf(message).findLast((each) => each.number === number);
  return found?.value instanceof Uint8Array ? found.value : undefined;
}

/** A field that holds a string or a message. */
export function field(number: number, content: string | Uint8Array): Uint8Array {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return Buffer.concat([Uint8Array.from([...varintOf(number * 8 + bytesType), ...varintOf(bytes.length)]), bytes]);
}

function varintOf(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}
