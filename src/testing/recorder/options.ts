import { anArray, anObject, checkOptions as check, type OptionRule } from "../../options.ts";
import type { IdGenerator, SpanProcessor, Sampler } from "./recorded-span.ts";

/** Options of {@link createTelemetryRecorder}: the parts of a program's own set-up that a test of its telemetry needs. */
export interface TelemetryRecorderOptions {
  /** Decides which spans are recorded. By default every span is recorded, unless its parent is not sampled. */
  readonly sampler?: Sampler | undefined;
  /** Gives spans their IDs. By default this package's spans have their durable IDs, and all others random ones. */
  readonly idGenerator?: IdGenerator | undefined;
  /** Get every span too, and their changes are recorded. They are shut down with the recorder. */
  readonly spanProcessors?: readonly SpanProcessor[] | undefined;
}

/** Options of a wait. */
export interface WaitOptions {
  /** How long to wait, in milliseconds. The default, 4000, is shorter than the default timeout of a test in Vitest and Jest. */
  readonly timeout?: number | undefined;
}

/** Spans that are recorded elsewhere. */
export interface WholenessOptions {
  /**
   * IDs of spans that other processes record: a span whose parent is one of these is a root, not an orphan. If a test
   * sends a `traceparent` header, pass the span ID of the header.
   */
  readonly remoteParents?: readonly string[] | undefined;
}

/** Options of a span tree. */
export interface SpanTreeOptions {
  /**
   * Keys of attributes, of spans and their events, to include in the tree. `durabletask.task.status`, `error.type`, and an
   * exception's type and message are always included.
   */
  readonly attributes?: readonly string[] | undefined;
}

const aDuration: OptionRule = {
  is: "a number of milliseconds, 0 or more",
  test: (value) => typeof value === "number" && value >= 0 && value <= longestTimer,
};
const strings = (each: string, pattern: RegExp): OptionRule => ({
  is: `an array of ${each}`,
  test: (value) => Array.isArray(value) && value.every((item) => typeof item === "string" && pattern.test(item)),
});

const spanIds = strings("span IDs, of 16 hexadecimal digits each", /^[\da-f]{16}$/);

// A timer that is longer would fire at once.
const longestTimer = 2 ** 31 - 1;
const defaultTimeout = 4000;

/** @throws TypeError that names an unknown or wrong option and what is allowed. */
export function checkOptions(options: unknown): TelemetryRecorderOptions {
  check<TelemetryRecorderOptions>("createTelemetryRecorder", options, {
    sampler: anObject,
    idGenerator: anObject,
    spanProcessors: anArray,
  });
  return options;
}

/** The time limit of a wait, in milliseconds. */
export function timeoutOf(method: string, options: unknown): number {
  check<WaitOptions>(method, options, { timeout: aDuration });
  return options.timeout ?? defaultTimeout;
}

/** The spans that are recorded elsewhere. */
export function remoteParentsOf(method: string, options: unknown): ReadonlySet<string> {
  check<WholenessOptions>(method, options, { remoteParents: spanIds });
  return new Set(options.remoteParents);
}

/** Both of these. */
export function traceWaitOf(
  method: string,
  options: unknown,
): { readonly timeout: number; readonly remoteParents: ReadonlySet<string> } {
  check<WaitOptions & WholenessOptions>(method, options, { timeout: aDuration, remoteParents: spanIds });
  const { timeout = defaultTimeout, remoteParents } = options;
  return { timeout, remoteParents: new Set(remoteParents) };
}

/** The attributes that were asked for. */
export function attributesOf(method: string, options: unknown): readonly string[] {
  check<SpanTreeOptions>(method, options, { attributes: strings("attribute keys", /./) });
  return options.attributes ?? [];
}
