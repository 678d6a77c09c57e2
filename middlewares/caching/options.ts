import { aFunction, anObject, checkOptions, type OptionRule, type OptionRules } from "../../src/options.ts";
import type { ActivityMiddlewareContext } from "../../src/pipeline/index.ts";
import { milliseconds, type Duration } from "./duration.ts";
import { longestValue } from "./memory-store.ts";
import { canLock, type CacheStore } from "./store.ts";

/** What an entry can depend on. The functions of {@link CachedActivity} get it, and `cache.delete` accepts its parts. */
export type CacheRequest<TInput = unknown> = Pick<
  ActivityMiddlewareContext<TInput>,
  "name" | "version" | "input" | "tags" | "features"
>;

// Methods, so that a function which is typed for one input fits.
interface CacheFunctions {
  key(request: CacheRequest): unknown;
  shouldCache(result: unknown, request: CacheRequest): boolean;
}

/** How one activity is cached. A duration is a number of milliseconds, or a string with a unit such as `"5m"`. */
export interface CachedActivity {
  /** How long a result is valid, from the moment at which the activity returned it. */
  readonly ttl: Duration;
  /**
   * Returns what the result depends on, instead of the whole input: any value with a canonical form (telemetry.md C2).
   * `undefined` means "not known": the call bypasses the cache. It must not be `async`.
   */
  readonly key?: CacheFunctions["key"] | undefined;
  /**
   * Separates entries, for example by tenant, and lets `cache.deleteNamespace` invalidate them. If a function returns
   * anything but a non-empty string, the call bypasses the cache.
   */
  readonly namespace?: string | ((request: CacheRequest) => string | undefined) | undefined;
  /** The version of what the activity computes: with another one, all earlier entries are misses. The task's own version is always part of the key. */
  readonly version?: string | undefined;
  /** Whether to store a result; by default every result is stored. It must return `true` or `false`, and must not be `async`. */
  readonly shouldCache?: CacheFunctions["shouldCache"] | undefined;
  /**
   * How long after `ttl` a result is still served while one call renews it: that call runs the activity, and other calls
   * get the stale result without waiting. None by default.
   */
  readonly staleFor?: Duration | undefined;
  /** The fraction of `ttl`, from 0 to 1, by which an entry expires earlier at most, at random. Entries that were created together then don't expire together. 0 by default. */
  readonly jitter?: number | undefined;
  /**
   * Coalesces across processes too: the process that runs the activity holds a lock in the store, for at most this time.
   * Choose it longer than the activity takes. Other processes wait for the result for at most twice this time. The store
   * needs {@link CacheStore.setIfAbsent} and {@link CacheStore.deleteIfEqual}. Off by default.
   */
  readonly lockFor?: Duration | undefined;
}

/** Options of {@link caching}. */
export interface CachingOptions {
  /** The activities to cache, by name; no others are (telemetry.md C1). */
  readonly activities: Readonly<Record<string, CachedActivity>>;
  /** Where entries are stored; in this process's memory by default. Several workers and processes can share a store. */
  readonly store?: CacheStore | undefined;
  /** How long to wait for each operation of the store, in milliseconds or as a string; `"250ms"` by default (telemetry.md C6). */
  readonly timeout?: Duration | undefined;
  /** The limit of entries of the store in memory; 10,000 by default. */
  readonly maxEntries?: number | undefined;
  /** The limit of bytes of the store in memory, each character counted as two; 64 MiB by default. */
  readonly maxBytes?: number | undefined;
  /** The longest JSON of a result that is stored, in bytes of UTF-8; 1 MiB by default. */
  readonly maxValueSize?: number | undefined;
}

/** An activity's options with all durations in milliseconds. */
export interface Policy {
  readonly ttl: number;
  readonly staleFor: number;
  readonly jitter: number;
  readonly lockFor: number | undefined;
  readonly version: string | undefined;
  readonly key: ((request: CacheRequest) => unknown) | undefined;
  readonly namespace: CachedActivity["namespace"];
  readonly shouldCache: ((result: unknown, request: CacheRequest) => unknown) | undefined;
}

/** All options, with their defaults and with durations in milliseconds. */
export interface CachingSettings {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly store: CacheStore | undefined;
  readonly timeout: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** At most what fits into the store in memory. */
  readonly maxValueSize: number;
  /** How long a store keeps the epoch of a namespace. Without its epoch, all entries of the namespace are misses. */
  readonly epochTtl: number;
}

const hour = 3_600_000;
const day = 24 * hour;
const aDuration: OptionRule = {
  is: 'a duration: a number of milliseconds, 1 or more, or a string with a unit, such as "5m"',
  test: (value) => milliseconds(value) !== undefined,
};
const aShortDuration: OptionRule = {
  is: `${aDuration.is}, of an hour at most`,
  test: (value) => (milliseconds(value) ?? Infinity) <= hour,
};
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1;
const aCount: OptionRule = { is: "a whole number, 1 or more", test: isCount };
// The store in memory allocates space for all of them when it is created.
const aBound: OptionRule = {
  is: "a whole number, 1 to 16,777,216",
  test: (value) => isCount(value) && value <= 2 ** 24,
};
const isNonEmptyString = (value: unknown): boolean => typeof value === "string" && value !== "";

const rules: OptionRules<CachingOptions> = {
  activities: {
    is: "an object with the activities by name",
    // Object.entries sees no entries of a Map.
    test: (value) => anObject.test(value) && !(Symbol.iterator in (value as object)),
  },
  store: {
    is: "an object with the methods get, set and delete",
    test: (value) =>
      typeof value === "object" &&
      value !== null &&
      ["get", "set", "delete"].every((name) => typeof Reflect.get(value, name) === "function"),
  },
  timeout: aShortDuration,
  maxEntries: aBound,
  maxBytes: aCount,
  maxValueSize: aCount,
};

const activityRules: OptionRules<CachedActivity> = {
  ttl: aDuration,
  key: aFunction,
  namespace: {
    is: "a non-empty string or a function",
    test: (value) => isNonEmptyString(value) || aFunction.test(value),
  },
  version: { is: "a non-empty string", test: isNonEmptyString },
  shouldCache: aFunction,
  staleFor: aDuration,
  jitter: { is: "a number from 0 to 1", test: (value) => typeof value === "number" && value >= 0 && value <= 1 },
  lockFor: aShortDuration,
};

/**
 * Checks the options and completes them.
 *
 * @throws TypeError that names the key and what is allowed.
 */
export function settingsOf(options: unknown): CachingSettings {
  checkOptions<CachingOptions>("caching", options, rules);
  if (options.activities === undefined) {
    throw new TypeError(
      'caching: option "activities" is missing; it names what to cache: { activities: { getQuote: { ttl: "5m" } } }.',
    );
  }
  const { store } = options;
  const policies = Object.entries(options.activities).map(
    ([name, activity]) => [name, policyOf(name, activity, store)] as const,
  );
  const { maxEntries = 10_000, maxBytes = 64 * 1024 * 1024, maxValueSize = 1024 * 1024 } = options;
  return {
    policies: new Map(policies),
    store,
    timeout: milliseconds(options.timeout) ?? 250,
    maxEntries,
    maxBytes,
    maxValueSize: store === undefined ? Math.min(maxValueSize, longestValue(maxBytes)) : maxValueSize,
    epochTtl: Math.max(7 * day, ...policies.map(([, { ttl, staleFor }]) => 2 * (ttl + staleFor))),
  };
}

function policyOf(name: string, activity: unknown, store: CacheStore | undefined): Policy {
  const owner = `caching: activities: ${name}`;
  checkOptions<CachedActivity>(owner, activity, activityRules);
  const ttl = milliseconds(activity.ttl);
  if (ttl === undefined) throw new TypeError(`${owner}: option "ttl" is missing; it must be ${aDuration.is}.`);
  const lockFor = milliseconds(activity.lockFor);
  if (lockFor !== undefined && (store === undefined || !canLock(store))) {
    throw new TypeError(
      `${owner}: option "lockFor" needs a store with the methods setIfAbsent and deleteIfEqual; leave it out, as identical calls in one process run once anyhow.`,
    );
  }
  const { jitter = 0, version } = activity;
  const namespace = typeof activity.namespace === "function" ? activity.namespace.bind(activity) : activity.namespace;
  // Read once, as the object may change later. The functions keep it as their `this`.
  const [key, shouldCache] = [activity.key?.bind(activity), activity.shouldCache?.bind(activity)];
  return { ttl, staleFor: milliseconds(activity.staleFor) ?? 0, jitter, lockFor, version, key, namespace, shouldCache };
}
