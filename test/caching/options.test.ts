import { describe, expect, it } from "vitest";
import { milliseconds } from "../../middlewares/caching/duration.ts";
import { caching, type CachedActivity, type CachingOptions } from "../../middlewares/index.ts";
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { cachedWorker } from "./calls.ts";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";

const make = (options: unknown) => (): unknown => caching(options as CachingOptions);
const withActivity = (activity: object, more: object = {}): object => ({
  activities: { quote: { ttl: "5m", ...activity } },
  ...more,
});

describe("A duration", () => {
  it.each<[value: unknown, expected: number]>([
    [1, 1],
    [250, 250],
    ["250ms", 250],
    ["5m", 300_000],
    ["5 minutes", 300_000],
    ["1.5h", 5_400_000],
    ["2 DAYS", 172_800_000],
    ["1.2345s", 1235],
  ])("%o is %d milliseconds", (value, expected) => {
    expect(milliseconds(value)).toBe(expected);
  });

  it.each([
    0,
    -1,
    0.4,
    Number.NaN,
    Infinity,
    1e15,
    "",
    "5",
    "300",
    "m",
    "-5m",
    "5 fortnights",
    "5m 3s",
    "five minutes",
    "0s",
    "1e3s",
    ".5s",
    "101y",
    " 5m",
    "5m\n",
    null,
    undefined,
    {},
    ["5m"],
    5n,
    new Date(),
  ])("is not %o", (value) => {
    expect(milliseconds(value)).toBeUndefined();
  });
});

describe("Options that can't be right are refused with an error that names the key and what is allowed", () => {
  it.each<[what: string, options: unknown, message: RegExp]>([
    ["none", undefined, /caching: the options must be an object/],
    [
      "an unknown one",
      { activities: {}, tll: 1 },
      /caching: unknown option "tll"; the options are activities, store, timeout,/,
    ],
    ["no activities", {}, /option "activities" is missing/],
    ["activities in an array", { activities: [] }, /option "activities" must be an object/],
    [
      "activities in a Map",
      { activities: new Map([["quote", { ttl: "5m" }]]) },
      /option "activities" must be an object/,
    ],
    [
      "an activity that is no object",
      { activities: { quote: "5m" } },
      /caching: activities: quote: the options must be an object/,
    ],
    [
      "an unknown one of an activity",
      withActivity({ tll: 1 }),
      /activities: quote: unknown option "tll"; the options are ttl, key,/,
    ],
    ["no ttl", { activities: { quote: {} } }, /activities: quote: option "ttl" is missing; it must be a duration/],
    ["a malformed ttl", withActivity({ ttl: "5 min utes" }), /quote: option "ttl" must be a duration: .* such as "5m"/],
    ["a ttl without a unit", withActivity({ ttl: "300" }), /option "ttl"/],
    ["a ttl of nothing", withActivity({ ttl: 0 }), /option "ttl"/],
    ["a malformed staleFor", withActivity({ staleFor: "later" }), /option "staleFor" must be a duration/],
    ["a key that is a string", withActivity({ key: "symbol" }), /option "key" must be a function/],
    [
      "an empty namespace",
      withActivity({ namespace: "" }),
      /option "namespace" must be a non-empty string or a function/,
    ],
    ["a version that is a number", withActivity({ version: 2 }), /option "version" must be a non-empty string/],
    ["a shouldCache that is true", withActivity({ shouldCache: true }), /option "shouldCache" must be a function/],
    ["a jitter above one", withActivity({ jitter: 1.1 }), /option "jitter" must be a number from 0 to 1/],
    ["a jitter that is NaN", withActivity({ jitter: Number.NaN }), /option "jitter"/],
    [
      "a lock without a store",
      withActivity({ lockFor: "30s" }),
      /option "lockFor" needs a store with the methods setIfAbsent and deleteIfEqual/,
    ],
    [
      "a lock with a store that has none",
      withActivity({ lockFor: "30s" }, { store: new Map() }),
      /option "lockFor" needs/,
    ],
    [
      "a lock with a store that can't give it back",
      withActivity({ lockFor: "30s" }, { store: { get() {}, set() {}, delete() {}, setIfAbsent() {} } }),
      /option "lockFor" needs/,
    ],
    ["a lock for a day", withActivity({ lockFor: "1d" }), /option "lockFor" must be .* of an hour at most/],
    [
      "a store without delete",
      { activities: {}, store: { get() {}, set() {} } },
      /option "store" must be an object with the methods get, set and delete/,
    ],
    ["a store that is a URL", { activities: {}, store: "redis://localhost" }, /option "store"/],
    ["a malformed timeout", { activities: {}, timeout: "fast" }, /option "timeout" must be a duration/],
    ["a timeout of a day", { activities: {}, timeout: "1d" }, /option "timeout" must be .* of an hour at most/],
    ["no entries", { activities: {}, maxEntries: 0 }, /option "maxEntries" must be a whole number/],
    [
      "more entries than a list has room for",
      { activities: {}, maxEntries: 2 ** 24 + 1 },
      /option "maxEntries" must be a whole number, 1 to 16,777,216/,
    ],
    ["endless entries", { activities: {}, maxEntries: Infinity }, /option "maxEntries"/],
    ["a size as a string", { activities: {}, maxBytes: "1mb" }, /option "maxBytes" must be a whole number/],
    ["a negative size", { activities: {}, maxValueSize: -1 }, /option "maxValueSize" must be a whole number/],
  ])("%s", (_, options, message) => {
    expect(make(options)).toThrow(TypeError);
    expect(make(options)).toThrow(message);
  });

  it("and so does the option of withDurableTelemetry", () => {
    const decorate = (options: object): object =>
      withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), options as DurableTelemetryOptions);
    expect(() => decorate({ caching: true })).toThrow(
      /option "caching" must be an object with caching options, what caching\(\) returned, or false/,
    );
    expect(() => decorate({ caching: { activities: { quote: { ttl: "x" } } } })).toThrow(
      /caching: activities: quote: option "ttl"/,
    );
    expect(() => decorate({ caching: false })).not.toThrow();
    const cache = caching({ activities: {} });
    expect(decorate({ caching: cache })).toHaveProperty("middlewares", ["tracing", "metrics", "logging", "caching"]);
  });
});

it("C1 names of activities can be any, those of members of objects too", () => {
  expect(make({ activities: JSON.parse('{"__proto__":{"ttl":1},"constructor":{"ttl":1}}') })).not.toThrow();
  expect(make({ activities: JSON.parse('{"__proto__":{"ttl":0}}') })).toThrow(/activities: __proto__: option "ttl"/);
});

it("C2 options count as they were when the cache was created, with the object as the functions' this", async () => {
  const activity: { -readonly [Name in keyof CachedActivity]: CachedActivity[Name] } = {
    ttl: "5m",
    key(request) {
      return this === activity ? request.input : undefined;
    },
    namespace() {
      return this === activity ? "own" : undefined;
    },
    shouldCache() {
      return this === activity;
    },
  };
  const calls = cachedWorker({ activity }, (input) => input);
  await calls.call(1);
  activity.key = () => "all the same";
  activity.shouldCache = () => false;
  expect([await calls.call(2), await calls.call(2)]).toMatchObject([
    { json: "2", outcome: "miss" },
    { json: "2", outcome: "hit" },
  ]);
});
