import type { SpanTreeOptions, WaitOptions, WholenessOptions } from "./options.ts";
import type { RecordedLogRecord } from "./recorded-logs.ts";
import type { RecordedMetric } from "./recorded-metrics.ts";
import type { RecordedSpan } from "./recorded-span.ts";
import type { SpanSnapshot } from "./span-snapshot.ts";
import type { Found } from "./waits.ts";

/** Selects by name, or with a function that returns true. */
export type RecordFilter<T> = string | ((each: T) => boolean);

/** What {@link createTelemetryRecorder} returns: all telemetry of this process since then, or since the last reset. */
export interface TelemetryRecorder extends AsyncDisposable {
  /**
   * The spans that have ended, in that order, without those that are not sampled.
   *
   * @param filter a name, or a function.
   */
  spans(filter?: RecordFilter<RecordedSpan>): readonly RecordedSpan[];
  /** The spans that were started and have not ended, in the order of their starts. */
  openSpans(filter?: RecordFilter<RecordedSpan>): readonly RecordedSpan[];
  /**
   * The measurements of all instruments.
   *
   * @param filter an instrument's name, or a function.
   * @throws AggregateError with the errors of the callbacks of observable instruments.
   */
  metrics(filter?: RecordFilter<RecordedMetric>): Promise<readonly RecordedMetric[]>;
  /**
   * The log records, in the order in which they were emitted.
   *
   * @param filter an event name or a body, or a function.
   */
  logs(filter?: RecordFilter<RecordedLogRecord>): readonly RecordedLogRecord[];

  /**
   * Waits until a span has ended.
   *
   * @param which its name, or a function that returns true for it.
   * @returns the first one that ended.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_WAIT_TIMED_OUT` and what was seen instead.
   */
  waitForSpan(which: RecordFilter<RecordedSpan>, options?: WaitOptions): Promise<RecordedSpan>;
  /**
   * Waits until a trace is complete: nothing in it is open, every parent is there, and every orchestration and activity
   * that was scheduled has run. Call it before {@link assertWhole}, {@link tree} and {@link treeText}: a client can know
   * that an orchestration is complete a moment before its worker has emitted the last span.
   *
   * Work that runs in another process, or never runs, never completes a trace here; wait for a span instead.
   *
   * @param which the trace's ID, or the name of a span in it, or a function that returns true for one.
   * @returns the ID of the first complete trace that has such a span.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_WAIT_TIMED_OUT` and what is missing.
   */
  waitForTrace(which: RecordFilter<RecordedSpan>, options?: WaitOptions & WholenessOptions): Promise<string>;
  /**
   * Waits for a log record.
   *
   * @param which its event name or its body, or a function that returns true for it.
   * @returns the first one.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_WAIT_TIMED_OUT` and what was seen instead.
   */
  waitForLog(which: RecordFilter<RecordedLogRecord>, options?: WaitOptions): Promise<RecordedLogRecord>;
  /**
   * Waits until an instrument has a measurement. Observable instruments are read every 50 ms, because they send no events.
   *
   * @param which its name, or a function that returns true for its measurements.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_WAIT_TIMED_OUT` and what was seen instead.
   * @throws AggregateError with the errors of the callbacks of observable instruments.
   */
  waitForMetric(which: RecordFilter<RecordedMetric>, options?: WaitOptions): Promise<RecordedMetric>;
  /**
   * Waits until `check` returns something other than `undefined` and `false`. It is called at once, and then whenever a
   * span has started or ended, a log record was emitted or a measurement was recorded; less often if it is slow. An error
   * that it throws ends the wait.
   *
   * @returns what `check` returned.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_WAIT_TIMED_OUT` and what was seen.
   *
   * @example
   * ```ts
   * await recorder.waitFor(() => recorder.spans("activity:charge").length === 4);
   * ```
   */
  waitFor<T>(check: () => Found<T> | Promise<Found<T>>, options?: WaitOptions): Promise<T>;

  /**
   * The span tree for snapshots: the same for each run of the same workflow.
   *
   * @param traceId the trace; by default all of them.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_TRACE_UNKNOWN`.
   */
  tree(traceId?: string, options?: SpanTreeOptions): readonly SpanSnapshot[];
  /** The same as a string, with a line for each span. */
  treeText(traceId?: string, options?: SpanTreeOptions): string;
  /**
   * Asserts that a trace is whole: no orphans, no duplicates, nothing open, one root (telemetry.md S1, I3). A span whose
   * parent is in another process is an orphan too, unless the parent was recorded here, or is a known remote parent.
   *
   * @param traceId the trace; by default all of them.
   * @throws TelemetryRecorderError with `code` `DURABLE_TELEMETRY_TRACE_NOT_WHOLE`, whose `problems` and message name
   * every orphan, duplicate, open span, cycle and further root; or with `DURABLE_TELEMETRY_TRACE_UNKNOWN` if no span of the trace was recorded.
   */
  assertWhole(traceId?: string, options?: WholenessOptions): void;

  /** Deletes all spans, measurements and log records. A span that is open is not recorded when it ends. */
  reset(): void;
  /**
   * Stops, and unregisters everything from the OpenTelemetry API. You can still read what was recorded. Outstanding waits
   * reject with `code` `DURABLE_TELEMETRY_RECORDER_SHUT_DOWN`. Calling it again returns the same promise.
   *
   * @throws what a span processor of the options throws at its shutdown; everything is unregistered nevertheless.
   */
  shutdown(): Promise<void>;
}
