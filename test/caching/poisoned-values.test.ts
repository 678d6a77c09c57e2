/** Values that a store may hold under an entry's key and that are not what was set (telemetry.md C6). `POISONED_VALUES` says how many are tried. */
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { metrics, type CacheStore } from "../../middlewares/index.ts";
import { recordMetrics } from "../metrics/record-metrics.ts";
import { revokedProxy, withThen, withThrowingThen } from "../telemetry/misbehaviour.ts";
import { cachedWorker } from "./calls.ts";

const tries = Number(process.env["POISONED_VALUES"] ?? 2_000);

/** What the activity returns, and what the entry holds that the values are made from. */
const right = { symbol: "ACME", price: 42.5, notes: ["a", { b: null }] };
const wrong = { symbol: "ACME", price: 0, notes: ["another"] };

/** An entry of another result under the key of the call, as this version writes it. */
async function wholeEntry(): Promise<string> {
  const store = new Map<string, string>();
  const calls = cachedWorker({ store, activity: { ttl: "5m" } }, () => wrong);
  await calls.call(1);
  const [stored = ""] = store.values();
  // A whole entry is what the store says it is: from here on, what makes it something else is what is tested.
  expect(await calls.call(1)).toMatchObject({ json: JSON.stringify(wrong), outcome: "hit" });
  return stored;
}

const nested = (depth: number, opening: string, closing: string): string =>
  `${opening.repeat(depth)}1${closing.repeat(depth)}`;

/** What `get` returns: from a function, as fast-check looks into the values that it makes. */
function poison(entry: string): fc.Arbitrary<() => unknown> {
  const parsed = JSON.parse(entry) as Record<string, unknown>;
  const withMembers = (members: Record<string, unknown>): string => JSON.stringify({ ...parsed, ...members });
  const member = fc.constantFrom(...Object.keys(parsed));
  const notString = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(fc.integer()),
    fc.object(),
  );
  const strings = fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
    fc.json(),
    // Cut off anywhere, at either end, or in the middle.
    fc.nat({ max: entry.length - 1 }).map((length) => entry.slice(0, length)),
    fc.integer({ min: 1, max: entry.length }).map((from) => entry.slice(from)),
    fc
      .tuple(fc.nat({ max: entry.length - 1 }), fc.integer({ min: 1, max: 20 }))
      .map(([from, length]) => entry.slice(0, from) + entry.slice(from + length))
      .filter((stored) => !isWhole(stored)),
    // Two of them, one after or into the other, as an append or an interleaved write leaves them.
    fc.integer({ min: 1, max: entry.length }).map((length) => entry.slice(0, length) + entry),
    // Of another version, key, epoch or time.
    fc.string({ maxLength: 40 }).map((format) => withMembers({ format })),
    fc.nat().map((version) => withMembers({ format: `durable-telemetry.cache/${version + 2}` })),
    fc.string({ maxLength: 80 }).map((key) => withMembers({ key })),
    fc.string({ minLength: 1, maxLength: 40 }).map((epoch) => withMembers({ generation: epoch })),
    fc.constantFrom(0, -1, 1e308, -1e308, Date.now() - 1, Date.now() + 1e12).map((expires) => withMembers({ expires })),
    // With members missing, or of another type.
    member.map((missing) =>
      JSON.stringify(Object.fromEntries(Object.entries(parsed).filter(([key]) => key !== missing))),
    ),
    fc
      .tuple(
        member.filter((key) => key !== "value"),
        notString,
      )
      .filter(([key, value]) => key !== "expires" || typeof value !== "number")
      .map(([key, value]) => withMembers({ [key]: value })),
    fc.constant(withMembers({ void: true })),
    // That would pollute a prototype where someone merges it.
    fc
      .constantFrom("__proto__", "constructor", "prototype")
      .map((key) => `{${JSON.stringify(key)}:${entry},"polluted":true}`),
    fc.constant(`{"__proto__":{"polluted":true},${entry.slice(1).replace(/"format":"[^"]*"/, '"format":"none"')}`),
    // Enormous, in length or in depth.
    fc.integer({ min: 1, max: 2 ** 21 }).map((length) => "x".repeat(length)),
    fc.integer({ min: 1, max: 2 ** 20 }).map((length) => withMembers({ format: "x".repeat(length) })),
    fc.constantFrom(10_000, 100_000).map((depth) => nested(depth, "[", "]")),
    fc
      .constantFrom(10_000, 100_000)
      .chain((depth) =>
        fc
          .constantFrom(nested(depth, "[", "]"), nested(depth, '{"a":', "}"), nested(depth, '[0,{"a":', ',"b":1}]'))
          .map((value) => entry.replace(JSON.stringify(wrong), value)),
      ),
  );
  const throws = (): never => {
    throw new Error("hands off");
  };
  const anything = new Proxy({}, { get: () => throws, has: throws, ownKeys: throws, getPrototypeOf: throws });
  const objects = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => () => Buffer.from(bytes)),
    fc
      .constantFrom<unknown>(
        Buffer.from(entry),
        new TextEncoder().encode(entry),
        Object(entry),
        parsed,
        Symbol("poison"),
        1n,
        () => entry,
      )
      .map((value) => () => value),
    fc.constantFrom<() => unknown>(
      () => anything,
      revokedProxy,
      () => withThrowingThen(new Error("hands off")),
      () => new Proxy(parsed, { get: throws }),
      () => Object.create(null),
    ),
    fc
      .anything()
      .filter((value) => value !== undefined && value !== null && typeof value !== "string")
      .map((value) => () => value),
  );
  const ofStrings = strings.map((value) => () => value);
  const values = fc.oneof({ weight: 4, arbitrary: ofStrings }, { weight: 1, arbitrary: objects });
  return fc.oneof(
    { weight: 6, arbitrary: values },
    // The same in a promise, or in what looks like one.
    { weight: 2, arbitrary: ofStrings.map((value) => async () => value()) },
    {
      weight: 1,
      arbitrary: ofStrings.map(
        (value) => () =>
          withThen((resolve: (value: unknown) => void) => {
            resolve(value());
            resolve(entry);
          }),
      ),
    },
    {
      weight: 1,
      arbitrary: values.map(
        (value) => () => withThen((_: unknown, reject: (reason: unknown) => void) => reject(value())),
      ),
    },
  );

  function isWhole(stored: string): boolean {
    try {
      return "format" in (JSON.parse(stored) as object);
    } catch {
      return false;
    }
  }
}

const strays: unknown[] = [];
const note = (stray: unknown): void => void strays.push(stray);
process.on("unhandledRejection", note).on("uncaughtException", note);
afterAll(() => void process.off("unhandledRejection", note).off("uncaughtException", note));

describe("A value that is not what was set under an entry's key", () => {
  it(`C6 never reaches a result, fails no activity, and is counted: ${tries} values`, async () => {
    const recorded = recordMetrics();
    const entry = await wholeEntry();
    const before = (await recorded.collect()).counts(
      "durabletask.activity.cache.requests",
      "durabletask.activity.cache.result",
    );
    expect(before).toEqual({});
    const outcomes: Record<string, number> = {};
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(fc.noShrink(poison(entry)), fc.boolean(), async (create, hasNamespace) => {
        let isSet = false;
        const store: CacheStore = {
          // That of a namespace's key too.
          get: (key) => {
            if (key.includes(":entry:")) asked += 1;
            return create();
          },
          set: () => (isSet = true),
          delete: () => true,
        };
        const calls = cachedWorker(
          { store, use: [metrics()], activity: { ttl: "5m", ...(hasNamespace && { namespace: "prices" }) } },
          () => right,
        );
        const called = await calls.call(1);
        expect(called).toEqual({
          json: JSON.stringify(right),
          failure: undefined,
          outcome: expect.stringMatching(/^(miss|error)$/),
        });
        expect(calls.runs).toBe(1);
        // The result takes its place, where the store replied at all.
        if (called.outcome === "miss") expect(isSet).toBe(true);
        outcomes[called.outcome ?? ""] = (outcomes[called.outcome ?? ""] ?? 0) + 1;
      }),
      { numRuns: tries },
    );
    await new Promise(setImmediate);
    expect(strays).toEqual([]);
    expect(asked).toBe(tries);
    expect("polluted" in {}).toBe(false);
    const { miss = 0, error = 0 } = (await recorded.collect()).counts(
      "durabletask.activity.cache.requests",
      "durabletask.activity.cache.result",
    );
    expect({ miss, error }).toEqual(outcomes);
    expect(miss + error).toBe(tries);
    expect(Math.min(miss, error)).toBeGreaterThan(tries / 20);
  }, 300_000);
});
