import { LoggerProvider, type ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { describe, expect, it } from "vitest";
import { attributesOf, type AttributeMembers } from "../../src/telemetry/attribute-values.ts";
import { defaultValueLimit } from "../../src/telemetry/value-limits.ts";
import { fault, nested, revokedProxy, withThen } from "./misbehaviour.ts";

/** The attributes, and what was thrown on the way. */
function converted(
  source: object,
  size: number = defaultValueLimit.size,
): { readonly attributes: AttributeMembers; readonly faults: readonly unknown[] } {
  const faults: unknown[] = [];
  return { attributes: attributesOf(source, { size, unit: "characters" }, (error) => faults.push(error)), faults };
}
const value = (of: unknown): unknown => converted({ value: of }).attributes["value"];

class Money {
  readonly currency = "EUR";
  readonly #cents: number;
  readonly amount: bigint;
  constructor(cents: number) {
    this.#cents = cents;
    this.amount = BigInt(cents);
  }
  get euros(): number {
    return this.#cents / 100;
  }
}
class Order {
  readonly id: string;
  constructor(id: string) {
    this.id = id;
  }
  toJSON(): object {
    return { order: this.id, at: new Date(0) };
  }
}
class Secret {
  readonly #value = 1;
  has(): boolean {
    return this.#value === 1;
  }
}
const cycle: Record<string, unknown> = { name: "cycle" };
cycle["self"] = { cycle };
const shared = { id: 1 };

describe("L4 an attribute has a form that people can read, and JSON can hold", () => {
  it.each<[string, unknown, unknown]>([
    ["a string", "text", "text"],
    ["a number", -1.5, -1.5],
    ["a number that JSON has not", Number.NaN, "NaN"],
    ["infinity", -Infinity, "-Infinity"],
    ["a number beyond 64 bits", 1e21, "1e+21"],
    ["a number of almost 64 bits", -(2 ** 62), -(2 ** 62)],
    ["a boolean", false, false],
    ["null", null, null],
    ["a bigint", 2n ** 64n, "18446744073709551616"],
    ["a symbol", Symbol("kind"), "Symbol(kind)"],
    ["a function", fault, "[Function fault]"],
    ["a class", Money, "[Function Money]"],
    ["a date", new Date(86_400_000), "1970-01-02T00:00:00.000Z"],
    ["a date that is none", new Date(Number.NaN), "Invalid Date"],
    ["a URL", new URL("https://example.com/a?b=c"), "https://example.com/a?b=c"],
    ["search parameters", new URLSearchParams({ a: "1", b: "2" }), "a=1&b=2"],
    ["a regular expression", /a+/giu, "/a+/giu"],
    [
      "a Map",
      new Map<string, unknown>([
        ["a", 1n],
        ["b", new Date(0)],
      ]),
      { a: "1", b: "1970-01-01T00:00:00.000Z" },
    ],
    [
      "a Map whose keys are no strings",
      new Map<unknown, unknown>([
        [1, "a"],
        [{ id: 2 }, "b"],
      ]),
      [
        [1, "a"],
        [{ id: 2 }, "b"],
      ],
    ],
    ["a Set", new Set(["a", 1n]), ["a", "1"]],
    ["bytes", new Uint8Array([1, 2, 255]), "AQL/"],
    ["a Buffer", Buffer.from("text"), "dGV4dA=="],
    ["an ArrayBuffer", new Uint8Array([1, 2, 255]).buffer, "AQL/"],
    ["a DataView", new DataView(new Uint8Array([0, 1, 2, 255]).buffer, 1), "AQL/"],
    ["a typed array", new Float64Array([0.5, Number.NaN]), [0.5, "NaN"]],
    ["a typed array of bigints", new BigInt64Array([-1n]), ["-1"]],
    ["an instance of a class: its own fields", new Money(1250), { currency: "EUR", amount: "1250" }],
    ["an instance of a class: what its toJSON says", new Order("7"), { order: "7", at: "1970-01-01T00:00:00.000Z" }],
    ["an instance that keeps its state to itself", new Secret(), "[Secret]"],
    ["a promise", Promise.resolve(1), "[Promise]"],
    ["a cycle", cycle, { name: "cycle", self: { cycle: "[Circular]" } }],
    ["an object that is there twice", [shared, shared], [{ id: 1 }, { id: 1 }]],
    ["an empty object", {}, {}],
    ["an empty array", [], []],
    ["an object without a prototype", Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
    [
      "plain objects that contain all that",
      { at: [{ date: new Date(0), big: 1n, none: undefined }] },
      { at: [{ date: "1970-01-01T00:00:00.000Z", big: "1" }] },
    ],
    ["undefined in an array", [undefined, 1], [null, 1]],
    ["a member with the name of a class's", { constructor: "Audi" }, '{"constructor":"Audi"}'],
    [
      "a name that would replace the prototype",
      JSON.parse('{"__proto__":{"a":1}}'),
      JSON.parse('{"__proto__":{"a":1}}'),
    ],
  ])("L4 %s", (_, given, expected) => {
    expect(value(given)).toStrictEqual(expected);
    expect(JSON.parse(JSON.stringify(value(given)))).toEqual(expected);
  });

  it("L4 an error has its type, message, stack trace, causes and own fields", () => {
    const refused = Object.assign(new AggregateError([new Error("connect ECONNREFUSED ::1:80")], ""), {
      code: "ECONNREFUSED",
    });
    const error = new TypeError("fetch failed", { cause: refused });
    expect(value(error)).toEqual({
      type: "TypeError",
      message: "fetch failed",
      stack: error.stack,
      cause: {
        type: "AggregateError",
        message: "",
        code: "ECONNREFUSED",
        stack: refused.stack,
        errors: [expect.objectContaining({ message: "connect ECONNREFUSED ::1:80" })],
      },
    });
  });

  it("L4 undefined is no attribute, and a name is never empty", () => {
    expect(converted({ none: undefined, "": 1 }).attributes).toStrictEqual({ "(empty)": 1 });
  });

  it("L4 OpenTelemetry's SDK takes every one of them", () => {
    const records: ReadableLogRecord[] = [];
    const provider = new LoggerProvider({
      processors: [
        {
          onEmit: (record) => void records.push(record),
          forceFlush: async () => undefined,
          shutdown: async () => undefined,
        },
      ],
    });
    const given = {
      cycle,
      big: 1n,
      order: new Order("7"),
      money: new Money(1),
      map: new Map([["a", new Set([1])]]),
      error: new Error("no"),
      constructor: { constructor: 1 },
      kind: Symbol("kind"),
      none: null,
    };
    const { attributes } = converted(given);
    provider.getLogger("tests").emit({ attributes });
    expect(records[0]?.attributes).toEqual(attributes);
    expect(Object.keys(attributes)).toEqual(Object.keys(given));
  });
});

describe("K1 a value that misbehaves costs itself, and nothing beside it", () => {
  it.each<[string, unknown, unknown, faults: number]>([
    [
      "a throwing getter",
      Object.defineProperty({ kept: 1 }, "lost", { enumerable: true, get: () => fault("no") }),
      { kept: 1, lost: "[threw]" },
      1,
    ],
    ["a revoked proxy", revokedProxy(), "[threw]", 1],
    ["a proxy whose members throw", new Proxy({ a: 1 }, { get: () => fault("no") }), "[threw]", 1],
    ["a toJSON that throws", { toJSON: () => fault("no") }, "[threw]", 1],
    [
      "a toJSON that returns itself",
      {
        a: 1,
        toJSON() {
          return this;
        },
      },
      { a: 1, toJSON: "[Function toJSON]" },
      0,
    ],
    ["a toString that throws", Object.create({ toString: () => fault("no") }), "[threw]", 1],
    [
      "an error whose message throws",
      Object.defineProperty(new Error("no"), "message", { get: () => fault("no") }),
      "[threw]",
      1,
    ],
    ["an array with a throwing iterator", Object.assign([1], { [Symbol.iterator]: () => fault("no") }), "[threw]", 1],
    ["a thenable", { other: 1, nested: withThen(() => fault("no")) }, { other: 1, nested: {} }, 0],
  ])("K1 %s", (_, given, expected, count) => {
    const { attributes, faults } = converted({ before: 1, given, after: 2 });
    expect(attributes).toStrictEqual({ before: 1, given: expected, after: 2 });
    expect(faults).toHaveLength(count);
  });

  it("K1 attributes that are a revoked proxy are none", () => {
    const { attributes, faults } = converted(revokedProxy());
    expect(attributes).toEqual({});
    expect(faults).toHaveLength(1);
  });

  it("K1 a toJSON that returns ever more objects has an end", () => {
    const endless = (): object => ({ toJSON: () => endless() });
    expect(value(endless())).toBe("[Object]");
  });
});

describe("K4 attributes are bounded", () => {
  const size = (attributes: object): number => JSON.stringify(attributes).length;

  it("K4 in depth: 20,000 levels become eight", () => {
    const text = JSON.stringify(value(nested(20_000)));
    expect(text).toBe(`${'{"value":'.repeat(8)}"[Object]"${"}".repeat(8)}`);
  });

  it("K4 in width, with a mark that says how much is missing", () => {
    const wide = Array.from({ length: 1_000 }, (_, index) => index);
    expect(value(wide)).toEqual([...wide.slice(0, 128), "... [872 more]"]);
    expect(value(new Set(wide))).toEqual([...wide.slice(0, 128), "... [872 more]"]);
    expect(value(Int32Array.from(wide))).toEqual([...wide.slice(0, 128), "... [872 more]"]);
    expect(value(Object.fromEntries(wide.map((index) => [`key ${index}`, index])))).toMatchObject({
      "key 127": 127,
      "...": "[872 more]",
    });
  });

  it("K4 in the length of each string, names and bytes included", () => {
    const { attributes } = converted({
      text: "x".repeat(1_500_000),
      bytes: new Uint8Array(1_500_000),
      [`name ${"x".repeat(1_500_000)}`]: 1,
    });
    for (const each of [...Object.keys(attributes), ...Object.values(attributes)])
      expect(JSON.stringify(each).length - 2).toBeLessThanOrEqual(32 * 1024);
    expect(attributes["text"]).toMatch(/^x+\.\.\. \[\d+ characters cut\]$/);
    expect(attributes["bytes"]).toMatch(/^A+\.\.\. \[1477140 bytes cut\]$/);
  });

  it("K4 all together, whatever they are made of", () => {
    const texts = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`text ${index}`, "x".repeat(30_000)]));
    expect(size(converted(texts).attributes)).toBeLessThan(300_000);
    let numbers: unknown = 0;
    for (let level = 0; level < 8; level += 1) numbers = Array.from({ length: 128 }, () => numbers);
    expect(size(converted({ numbers }).attributes)).toBeLessThan(300_000);
    expect(size(converted({ numbers, after: "x" }, 100).attributes)).toBeLessThan(20_000);
  });

  it("K4 in the steps that it takes: they don't grow with what is cut", () => {
    let read = 0;
    const counted = (length: number): unknown =>
      new Proxy([], {
        get: (_, member) =>
          member === "length" ? length : member === Symbol.iterator ? Array.prototype[Symbol.iterator] : (read += 1),
      });
    for (const length of [1_000, 100_000]) {
      read = 0;
      expect(value(counted(length))).toHaveLength(129);
      expect(read).toBeLessThan(200);
    }
  });
});
