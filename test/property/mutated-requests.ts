/** Work items whose bytes are not what a backend sends: real requests, mutated. */
import * as fc from "fast-check";
import { fates, simulate, type RunEpisode } from "./simulate.ts";
import { programs } from "./programs.ts";
import { decodeFields, encodeFields, placesOf, type Field, type Place } from "./wire.ts";

/** A change of a request; positions are fractions of its length, or of the number of its fields. */
export type Mutation =
  /** Changes a field, and leaves the rest a message that can be read. */
  | {
      readonly does: "field";
      readonly how: "remove" | "repeat" | "renumber" | "swap" | "change";
      readonly at: number;
      readonly with: number;
      readonly varint: bigint;
      readonly byte: number;
    }
  /** Changes bytes, whatever they mean. */
  | { readonly does: "flip"; readonly at: number; readonly bit: number }
  | { readonly does: "set"; readonly at: number; readonly to: number }
  | { readonly does: "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly does: "remove" | "repeat"; readonly at: number; readonly length: number }
  | { readonly does: "swap"; readonly at: number; readonly with: number; readonly length: number }
  | { readonly does: "cut"; readonly at: number };

const position = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const length = fc.integer({ min: 1, max: 64 });
const byte = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0x00, 0x7f, 0x80, 0xff));

const varint = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: 0n, max: 12n }),
  fc.constantFrom(2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
);

const fieldMutation: fc.Arbitrary<Mutation> = fc.record({
  does: fc.constant("field"),
  how: fc.constantFrom("remove", "repeat", "renumber", "swap", "change", "change", "change"),
  at: position,
  with: position,
  varint,
  byte,
});
const byteMutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant("flip"), at: position, bit: fc.nat({ max: 7 }) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("set"), at: position, to: byte }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant("insert"),
      at: position,
      bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom("remove", "repeat"), at: position, length }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("swap"), at: position, with: position, length }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("cut"), at: position }) },
);

export const mutations: fc.Arbitrary<readonly Mutation[]> = fc.oneof(
  { weight: 3, arbitrary: fc.array(fieldMutation, { minLength: 1, maxLength: 6 }) },
  { weight: 1, arbitrary: fc.array(byteMutation, { minLength: 1, maxLength: 3 }) },
);

/** The request with all of `changes`, one after the other. */
export function mutated(request: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  const bytes = changes.reduce<Buffer>((before, change) => apply(before, change), Buffer.from(request));
  // A request without an instance ID goes no further in the SDK: where fields alone changed, it gets its own back, last.
  return changes.every(({ does }) => does === "field") ? Buffer.concat([bytes, instanceId]) : bytes;
}

const instanceId = encodeFields([{ number: 1, value: { type: "bytes", bytes: Buffer.from("instance") } }]);

function apply(bytes: Buffer, change: Mutation): Buffer {
  if (change.does === "field") return withField(bytes, change);
  const at = Math.floor(change.at * bytes.length);
  switch (change.does) {
    case "flip":
      return splice(bytes, at, 1, Buffer.from([(bytes[at] ?? 0) ^ (1 << change.bit)]));
    case "set":
      return splice(bytes, at, 1, Buffer.from([change.to]));
    case "insert":
      return splice(bytes, at, 0, Buffer.from(change.bytes));
    case "remove":
      return splice(bytes, at, change.length, Buffer.alloc(0));
    case "repeat":
      return splice(bytes, at, 0, bytes.subarray(at, at + change.length));
    case "cut":
      return bytes.subarray(0, at);
    default: {
      const other = Math.floor(change.with * bytes.length);
      const [one, two] = [bytes.subarray(at, at + change.length), bytes.subarray(other, other + change.length)];
      return splice(splice(bytes, at, one.length, two), other, two.length, one);
    }
  }
}

function withField(bytes: Buffer, change: Extract<Mutation, { does: "field" }>): Buffer {
  const fields = decodeFields(bytes);
  const places = placesOf(fields ?? []);
  const place = places[Math.floor(change.at * places.length)];
  const other = places[Math.floor(change.with * places.length)];
  if (fields === undefined || place === undefined || other === undefined) return bytes;
  if (change.how === "change") changeValue(place.field, change);
  else changePlace(place, other, change);
  return encodeFields(fields);
}

function changePlace(
  { siblings, index, field }: Place,
  other: Place,
  { how, byte: number }: Extract<Mutation, { does: "field" }>,
): void {
  if (how === "remove") siblings.splice(index, 1);
  else if (how === "repeat") siblings.splice(index, 0, structuredClone(field));
  else if (how === "renumber") field.number = (number % 31) + 1;
  else [field.value, other.field.value] = [structuredClone(other.field.value), structuredClone(field.value)];
}

function changeValue({ value }: Field, change: Extract<Mutation, { does: "field" }>): void {
  if (value.type === "varint") value.varint = change.varint;
  else if (value.type === "message") value.fields.reverse();
  else value.bytes = splice(value.bytes, Math.floor(change.with * value.bytes.length), 1, Buffer.from([change.byte]));
}

function splice(bytes: Buffer, at: number, removed: number, added: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)]);
}

/** The requests of all episodes of some random workflows, as a backend sends them. */
export async function realRequests(count: number, run: RunEpisode): Promise<readonly Uint8Array[]> {
  const requests: Uint8Array[] = [];
  const samples = fc.sample(fc.tuple(programs, fates), { numRuns: count, seed: 7 });
  for (const [program, fate] of samples) {
    await simulate("durable", program, fate, (request) => {
      requests.push(request);
      return run(request);
    });
  }
  return requests;
}
