import { renderTrace } from "../waterfall/render-trace.ts";
import { buildSpanForest, type TraceTree } from "../waterfall/span-tree.ts";
import { TelemetryRecorderError } from "./errors.ts";
import {
  attributesOf,
  remoteParentsOf,
  timeoutOf,
  traceWaitOf,
  type SpanTreeOptions,
  type TelemetryRecorderOptions,
  type WaitOptions,
  type WholenessOptions,
} from "./options.ts";
import { recordOf, type RecordedLogRecord } from "./recorded-logs.ts";
import { Measurements, type RecordedMetric } from "./recorded-metrics.ts";
import type { RecordedSpan, SpanProcessor } from "./recorded-span.ts";
import { isSampled, RecordedSpans } from "./recorded-spans.ts";
import { observers, type Recording } from "./recording.ts";
import { RecordingTracers } from "./recording-tracers.ts";
import { logsSeen, metricsSeen, spansSeen } from "./seen.ts";
import { snapshotOf, snapshotText, type SpanSnapshot } from "./span-snapshot.ts";
import type { RecordFilter, TelemetryRecorder } from "./telemetry-recorder.ts";
import { missingFrom, problemsOf, problemText, type TraceProblem } from "./trace-problems.ts";
import { Waits, type Found } from "./waits.ts";

const allTraces = "any trace";
// Nobody reads a waterfall of more spans in an error's message.
const mostDrawn = 500;

/** A recorder; what it records is {@link recording}'s. */
export class Recorder implements TelemetryRecorder {
  /** Where telemetry must go. */
  readonly recording: Recording;
  readonly #waits = new Waits();
  readonly #spans = new RecordedSpans(() => this.#waits.changed());
  readonly #processors: readonly SpanProcessor[];
  readonly #takeBack: () => void;
  #measurements = new Measurements();
  #logs: RecordedLogRecord[] = [];
  #stopped: Promise<void> | undefined;

  /** @param takeBack unregisters the recording. */
  constructor(options: TelemetryRecorderOptions, takeBack: () => void) {
    this.#takeBack = takeBack;
    this.#processors = options.spanProcessors ?? [];
    this.recording = {
      tracers: new RecordingTracers({
        sampler: options.sampler,
        idGenerator: options.idGenerator,
        // First, so that no span is lost where another one throws. A span is one object, so what others make of it is seen.
        observers: [this.#spans, ...this.#processors],
      }),
      emit: (scope, emitted) => {
        this.#logs.push(recordOf(scope, emitted));
        this.#waits.changed();
      },
      measure: (...measurement) => {
        this.#measurements.measure(...measurement);
        this.#waits.changed();
      },
      created: new Error("The other recorder was created here."),
    };
  }

  spans(filter?: RecordFilter<RecordedSpan>): readonly RecordedSpan[] {
    return this.#spans.ended.filter(spanTest(filter));
  }

  openSpans(filter?: RecordFilter<RecordedSpan>): readonly RecordedSpan[] {
    return this.#open.filter(spanTest(filter));
  }

  logs(filter?: RecordFilter<RecordedLogRecord>): readonly RecordedLogRecord[] {
    return this.#logs.filter(logTest(filter));
  }

  async metrics(filter?: RecordFilter<RecordedMetric>): Promise<readonly RecordedMetric[]> {
    const collected = await this.#measurements.collect();
    return collected.filter(metricTest(filter));
  }

  waitForSpan(which: RecordFilter<RecordedSpan>, options: WaitOptions = {}): Promise<RecordedSpan> {
    const test = spanTest(which);
    return this.#until(
      "waitForSpan",
      which,
      options,
      () => this.#spans.ended.find(test),
      () => this.#spansSeen(),
    );
  }

  async waitForTrace(which: RecordFilter<RecordedSpan>, options: WaitOptions & WholenessOptions = {}): Promise<string> {
    const { remoteParents, timeout } = traceWaitOf("waitForTrace", options);
    const test = spanTest(which);
    const candidates = (): readonly TraceTree<RecordedSpan>[] =>
      this.#traces().filter(({ traceId, nodes }) => traceId === which || nodes.some(({ span }) => test(span)));
    const lacking = (tree: TraceTree<RecordedSpan>): readonly string[] => [
      ...this.#problems(tree, remoteParents)
        .filter(({ kind }) => kind === "orphan" || kind === "open")
        .map(problemText),
      ...missingFrom(tree),
    ];
    const check = (): string | undefined => candidates().find((tree) => lacking(tree).length === 0)?.traceId;
    const seen = (): string => {
      const found = candidates();
      if (found.length === 0) return this.#spansSeen();
      return found
        .map((tree) =>
          [`Trace ${tree.traceId} is not complete:`, ...lacking(tree).map((each) => `- ${each}`)].join("\n"),
        )
        .join("\n");
    };
    return this.#until("waitForTrace", which, { timeout }, check, seen);
  }

  waitForLog(which: RecordFilter<RecordedLogRecord>, options: WaitOptions = {}): Promise<RecordedLogRecord> {
    const test = logTest(which);
    return this.#until(
      "waitForLog",
      which,
      options,
      () => this.#logs.find(test),
      () => logsSeen(this.#logs),
    );
  }

  async waitForMetric(which: RecordFilter<RecordedMetric>, options: WaitOptions = {}): Promise<RecordedMetric> {
    let collected: readonly RecordedMetric[] = [];
    const test = metricTest(which);
    const check = async (): Promise<RecordedMetric | undefined> => {
      collected = await this.metrics();
      return collected.find(test);
    };
    // An observed instrument gives no sign when its value changes.
    const stopPolling = observers.size > 0 ? this.#waits.poll() : () => undefined;
    try {
      return await this.#until("waitForMetric", which, options, check, () => metricsSeen(collected));
    } finally {
      stopPolling();
    }
  }

  waitFor<T>(check: () => Found<T> | Promise<Found<T>>, options: WaitOptions = {}): Promise<T> {
    const seen = (): string => `${this.#spansSeen()}\n${logsSeen(this.#logs)}`;
    return this.#until("waitFor", check, options, check, seen);
  }

  tree(traceId?: string, options: SpanTreeOptions = {}): readonly SpanSnapshot[] {
    return snapshotOf(this.#tracesOf("tree", traceId), this.#isOpen, attributesOf("tree", options));
  }

  treeText(traceId?: string, options: SpanTreeOptions = {}): string {
    return snapshotText(this.tree(traceId, options));
  }

  assertWhole(traceId?: string, options: WholenessOptions = {}): void {
    const remoteParents = remoteParentsOf("assertWhole", options);
    const traces = this.#tracesOf("assertWhole", traceId);
    if (traces.length === 0) throw this.#unknown("assertWhole", allTraces);
    const broken = traces
      .map((tree) => ({ tree, problems: this.#problems(tree, remoteParents) }))
      .filter(({ problems }) => problems.length > 0);
    if (broken.length === 0) return;
    const reports = broken.map(({ tree, problems }) =>
      [
        `Trace ${tree.traceId} is not whole:`,
        ...problems.map((problem) => `- ${problemText(problem)}`),
        ...(tree.nodes.length > mostDrawn
          ? []
          : [
              "",
              renderTrace(
                tree.nodes.map(({ span }) => span),
                { color: false, width: 120 },
              ),
            ]),
      ].join("\n"),
    );
    const problems = broken.flatMap((each) => each.problems);
    throw new TelemetryRecorderError("DURABLE_TELEMETRY_TRACE_NOT_WHOLE", reports.join("\n\n"), { problems });
  }

  reset(): void {
    this.#spans.reset();
    this.#logs = [];
    this.#measurements = new Measurements();
  }

  shutdown(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #stop(): Promise<void> {
    // First, so that nothing that comes from now on is recorded.
    this.#takeBack();
    this.#waits.end(
      new TelemetryRecorderError(
        "DURABLE_TELEMETRY_RECORDER_SHUT_DOWN",
        "The telemetry recorder was shut down while something waited for telemetry.",
      ),
    );
    await Promise.all(this.#processors.map((processor) => processor.shutdown()));
  }

  get #open(): readonly RecordedSpan[] {
    return this.#spans.open.filter(isSampled);
  }

  readonly #isOpen = (span: RecordedSpan): boolean => !span.ended;

  #traces(): readonly TraceTree<RecordedSpan>[] {
    return buildSpanForest([...this.#spans.ended, ...this.#open]).traces;
  }

  #tracesOf(method: string, traceId: string | undefined): readonly TraceTree<RecordedSpan>[] {
    const traces = this.#traces();
    if (traceId === undefined) return traces;
    const found = traces.filter((tree) => tree.traceId === traceId);
    if (found.length === 0) throw this.#unknown(method, `trace ${traceId}`);
    return found;
  }

  #problems(tree: TraceTree<RecordedSpan>, remoteParents: ReadonlySet<string>): readonly TraceProblem[] {
    return problemsOf(tree, this.#isOpen, remoteParents);
  }

  #unknown(method: string, what: string): TelemetryRecorderError {
    return new TelemetryRecorderError(
      "DURABLE_TELEMETRY_TRACE_UNKNOWN",
      `${method}: no span of ${what} was recorded. ${this.#spansSeen()}`,
    );
  }

  #spansSeen(): string {
    return spansSeen(this.#spans.ended, this.#open);
  }

  async #until<T>(
    method: string,
    which: unknown,
    options: WaitOptions,
    check: () => Found<T> | Promise<Found<T>>,
    seen: () => string,
  ): Promise<T> {
    const timeout = timeoutOf(method, options);
    const what = typeof which === "string" ? JSON.stringify(which) : "the function";
    const gaveUp = (): Error =>
      new TelemetryRecorderError(
        "DURABLE_TELEMETRY_WAIT_TIMED_OUT",
        `${method}: nothing matched ${what} within ${timeout} ms.\n${seen()}`,
      );
    return this.#waits.until(check, timeout, gaveUp);
  }
}

function spanTest(filter: RecordFilter<RecordedSpan> | undefined): (span: RecordedSpan) => boolean {
  return testOf(filter, (span, name) => span.name === name);
}

function logTest(filter: RecordFilter<RecordedLogRecord> | undefined): (record: RecordedLogRecord) => boolean {
  return testOf(filter, (record, text) => record.eventName === text || record.body === text);
}

function metricTest(filter: RecordFilter<RecordedMetric> | undefined): (metric: RecordedMetric) => boolean {
  return testOf(filter, (metric, name) => metric.name === name);
}

function testOf<T>(
  filter: RecordFilter<T> | undefined,
  isNamed: (each: T, name: string) => boolean,
): (each: T) => boolean {
  if (filter === undefined) return () => true;
  return typeof filter === "string" ? (each) => isNamed(each, filter) : filter;
}
