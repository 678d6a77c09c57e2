/** The recorder has its own implementation of OpenTelemetry's API; the SDK's says what it must record. */
import {
  context,
  logs,
  metrics,
  ROOT_CONTEXT,
  SeverityNumber,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  ValueType,
  createTraceState,
  type BatchObservableResult,
  type Exception,
  type Meter,
  type SpanContext,
  type Tracer,
} from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { DataPointType, MeterProvider, MetricReader, type MetricData } from "@opentelemetry/sdk-metrics";
import * as sdk3 from "@opentelemetry/sdk-trace";
import * as sdk2 from "@opentelemetry/sdk-trace-base";
import { describe, expect, it } from "vitest";
import type { RecordedMetric, RecordedSpan, TelemetryRecorderOptions } from "../../src/testing/index.ts";
import { record } from "./recorder-fixture.ts";

/** IDs that count up, so that two runs have the same. */
function countingIds(): TelemetryRecorderOptions["idGenerator"] & object {
  let last = 0;
  const next = (length: number): string => (last += 1).toString(16).padStart(length, "0");
  return { generateTraceId: () => next(32), generateSpanId: () => next(16) };
}

const sampler: sdk3.Sampler = {
  shouldSample: (_, __, name) => ({
    decision: name.startsWith("left out")
      ? sdk3.SamplingDecision.NOT_RECORD
      : name.startsWith("not sampled")
        ? sdk3.SamplingDecision.RECORD
        : sdk3.SamplingDecision.RECORD_AND_SAMPLED,
    attributes: { "sampler.saw": name },
    ...(name === "with state" ? { traceState: createTraceState("sampler=yes") } : {}),
  }),
};

const remote: SpanContext = {
  traceId: "a".repeat(32),
  spanId: "b".repeat(16),
  traceFlags: TraceFlags.SAMPLED,
  isRemote: true,
  traceState: createTraceState("vendor=1"),
};
const at = (milliseconds: number): [number, number] => [1_700_000_000, milliseconds * 1e6];
const cyclic: { self?: unknown } = {};
cyclic.self = cyclic;
const values = {
  string: "a",
  empty: "",
  number: 1.5,
  nan: Number.NaN,
  no: false,
  strings: ["a", "b"],
  gaps: [1, null, undefined, 2],
  mixed: [1, "a"],
  nested: [[1], { a: [true] }],
  bytes: new Uint8Array([1, 2]),
  map: { a: 1, b: { c: "d" } },
  nothing: null,
  missing: undefined,
  function: () => 1,
  symbol: Symbol("s"),
  big: 1n,
  date: new Date(0),
  error: new Error("x"),
  cyclic,
  "": "no key",
};
const exceptions: Exception[] = [
  "text",
  new TypeError("wrong"),
  { code: 7, message: "coded" },
  { name: "Named" },
  { message: "only" },
  {} as Exception,
  null as unknown as Exception,
];

function spansOf(tracer: Tracer): readonly SpanContext[] {
  const made: SpanContext[] = [];
  const start = (...args: Parameters<Tracer["startSpan"]>): ReturnType<Tracer["startSpan"]> => {
    const span = tracer.startSpan(...args);
    made.push(span.spanContext());
    return span;
  };
  const root = start(
    "root",
    { kind: SpanKind.SERVER, attributes: values, startTime: at(1), links: [{ context: remote, attributes: values }] },
    ROOT_CONTEXT,
  );
  const below = trace.setSpan(ROOT_CONTEXT, root);
  start("child", { kind: SpanKind.CLIENT, startTime: new Date(1_700_000_000_005) }, below)
    .setAttributes(values)
    .setAttribute("", "no key")
    .addEvent("plain", at(2))
    .addEvent("with attributes", values, at(3))
    .addEvent("at a number", { a: 1 }, 1_700_000_000_004.25)
    .addLink({ context: remote, attributes: values })
    .addLinks([{ context: remote }])
    .updateName("renamed")
    .end(at(9));
  const failing = start("failing", { startTime: at(1) }, below);
  for (const exception of exceptions) failing.recordException(exception, at(2));
  failing
    .setStatus({ code: SpanStatusCode.ERROR, message: "first" })
    .setStatus({ code: SpanStatusCode.ERROR })
    .setStatus({ code: SpanStatusCode.UNSET, message: "ignored" });
  failing.setStatus({ code: SpanStatusCode.ERROR, message: "last" }).end(at(2));
  failing
    .setAttribute("late", 1)
    .addEvent("late")
    .addLink({ context: remote })
    .updateName("late")
    .setStatus({ code: SpanStatusCode.OK })
    .end(at(8));
  start("ok", { startTime: at(1) }, below)
    .setStatus({ code: SpanStatusCode.OK, message: "no message" })
    .setStatus({ code: SpanStatusCode.ERROR, message: "too late" })
    .end(at(1));
  start("backwards", { startTime: at(5) }, below).end(at(4));
  start("a root of its own", { root: true, startTime: at(5) }, below).end(at(6));
  start("remote", { startTime: at(5) }, trace.setSpanContext(ROOT_CONTEXT, remote)).end(at(6));
  start(
    "below an invalid one",
    { startTime: at(5) },
    trace.setSpanContext(ROOT_CONTEXT, { ...remote, traceId: "no ID" }),
  ).end(at(6));
  start("with state", { startTime: at(5) }, below).end(at(6));
  start("suppressed", {}, suppressTracing(below)).end();
  start("not sampled", { startTime: at(5) }, below).end(at(6));
  const leftOut = start("left out", {}, below);
  leftOut.end();
  start("left out too", {}, trace.setSpan(ROOT_CONTEXT, leftOut)).end();
  root.end(at(10));
  return made;
}

const read = (span: RecordedSpan): object => ({
  name: span.name,
  kind: span.kind,
  spanContext: plain(span.spanContext()),
  parent: span.parentSpanContext === undefined ? undefined : plain(span.parentSpanContext),
  startTime: span.startTime,
  endTime: span.endTime,
  duration: span.duration,
  ended: span.ended,
  status: span.status,
  attributes: span.attributes,
  events: span.events.map((event) => ({ name: event.name, time: event.time, attributes: event.attributes ?? {} })),
  links: span.links.map((link) => ({ context: link.context, attributes: link.attributes ?? {} })),
  scope: span.instrumentationScope,
});
const plain = ({ traceState, ...ids }: SpanContext): object => ({ ...ids, traceState: traceState?.serialize() });

describe("Spans of a recorder are as those of the SDK", () => {
  it("in all that a program can do to them", () => {
    const ended: sdk3.ReadableSpan[] = [];
    const processor: sdk3.SpanProcessor = {
      onStart: (span) => void span.setAttribute("on start", true),
      onEnding: (span) => void span.setAttribute("on ending", true),
      onEnd: (span) => void ended.push(span),
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    };
    const made = spansOf(
      new sdk3.TracerProvider({ sampler, idGenerator: countingIds(), spanProcessors: [processor] }).getTracer(
        "shop",
        "1.2.3",
        { schemaUrl: "https://schema" },
      ),
    );
    const expected = ended.splice(0);

    const recorder = record({ sampler, idGenerator: countingIds(), spanProcessors: [processor] });
    const recorded = spansOf(trace.getTracerProvider().getTracer("shop", "1.2.3", { schemaUrl: "https://schema" }));
    expect(recorded.map(plain)).toEqual(made.map(plain));
    expect(ended.map(read)).toEqual(expected.map(read));
    expect(expected).toHaveLength(10);
    // What is not sampled reaches processors, and no exporter.
    expect(recorder.spans().map(read)).toEqual(expected.filter(({ name }) => name !== "not sampled").map(read));
  });

  it("in their times, by a clock that does not go back", async () => {
    const recorder = record();
    const before = Date.now();
    trace.getTracer("shop").startActiveSpan("timed", (span) => {
      span.addEvent("at once").end();
    });
    trace.getTracer("shop").startSpan("by performance.now()", { startTime: performance.now() }).end(performance.now());
    const milliseconds = ([seconds, nanoseconds]: readonly [number, number]): number =>
      seconds * 1000 + nanoseconds / 1e6;
    for (const { startTime, endTime, duration } of recorder.spans()) {
      expect(milliseconds(startTime)).toBeGreaterThanOrEqual(before - 1);
      expect(milliseconds(endTime)).toBeLessThanOrEqual(Date.now() + 1);
      expect(milliseconds(duration)).toBeGreaterThanOrEqual(0);
      expect(milliseconds(startTime) + milliseconds(duration)).toBeCloseTo(milliseconds(endTime), 3);
    }
    expect(recorder.spans()).toHaveLength(2);
  });

  it("so that the SDKs' own processors and exporters take them, and their types", async () => {
    const before3 = new sdk3.InMemorySpanExporter();
    const before2 = new sdk2.InMemorySpanExporter();
    const recorder = record({
      sampler: new sdk2.ParentBasedSampler({ root: new sdk2.TraceIdRatioBasedSampler(1) }),
      idGenerator: new sdk2.RandomIdGenerator(),
      spanProcessors: [new sdk3.BatchSpanProcessor({ exporter: before3 }), new sdk2.BatchSpanProcessor(before2)],
    });
    trace.getTracer("shop").startSpan("exported").end();
    // These compile only if the types fit.
    const spans3: sdk3.ReadableSpan[] = [...recorder.spans()];
    const spans2: sdk2.ReadableSpan[] = [...recorder.spans()];
    const [span] = spans3;
    expect(spans2[0]).toBe(span);
    expect(span?.resource.merge(null).attributes).toEqual({ "service.name": "unknown_service:node" });
    expect(Object.fromEntries(span?.resource.getRawAttributes() ?? [])).toEqual(span?.resource.attributes);
    let exported: readonly unknown[] = [];
    before3.shutdown = async () => void (exported = [...exported, ...before3.getFinishedSpans()]);
    before2.shutdown = async () => void (exported = [...exported, ...before2.getFinishedSpans()]);
    await recorder.shutdown();
    expect(exported).toEqual([span, span]);
  });
});

class OnDemand extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

function measureWith(meter: Meter): void {
  const cup = { cup: "tea", size: 3 };
  const counter = meter.createCounter("sold", { unit: "{cup}", description: "Cups." });
  counter.add(1, cup);
  counter.add(2.5, { size: 3, cup: "tea" });
  counter.add(4);
  counter.add(-1, cup);
  meter.createCounter("sold", { unit: "{cup}", description: "Cups." }).add(10);
  const whole = meter.createCounter("whole", { valueType: ValueType.INT });
  for (const value of [1.9, 2, Number.NaN]) whole.add(value);
  const level = meter.createUpDownCounter("level", { valueType: ValueType.INT });
  for (const value of [5, -7.9]) level.add(value);
  const gauge = meter.createGauge("heat");
  for (const value of [5, -7.5]) gauge.record(value);
  const advised = meter.createHistogram("wait", { unit: "s", advice: { explicitBucketBoundaries: [0.1, 1, 5] } });
  for (const value of [0, 0.1, 0.5, 5, 5.01, 100, -1, Number.NaN, "1" as unknown as number]) advised.record(value, cup);
  const usual = meter.createHistogram("size");
  for (const value of [0, 3, 10_000, 10_001]) usual.record(value);
  meter.createCounter("never");
  const stock = meter.createObservableGauge("stock", { valueType: ValueType.INT });
  stock.addCallback(async (result) => {
    await Promise.resolve();
    result.observe(3.5, cup);
    result.observe(4, { cup: "tea", size: 3 });
    result.observe(-1);
  });
  const total = meter.createObservableCounter("total");
  const change = meter.createObservableUpDownCounter("change");
  const other = meter.createObservableGauge("not in the batch");
  const observe = (result: BatchObservableResult): void => {
    result.observe(total, 7);
    result.observe(change, -2, cup);
    result.observe(other, 1);
  };
  meter.addBatchObservableCallback(observe, [total]);
  meter.addBatchObservableCallback(observe, [change]);
}

function readData({ descriptor: { name, unit, description }, ...data }: MetricData): RecordedMetric {
  const rest = { name, unit, description, scope: "shop" };
  const nothing = { count: undefined, sum: undefined, min: undefined, max: undefined, buckets: undefined };
  if (data.dataPointType === DataPointType.HISTOGRAM) {
    return {
      ...rest,
      kind: "histogram",
      points: data.dataPoints.map(({ attributes, value: { count, sum, min, max, buckets } }) => ({
        attributes,
        value: undefined,
        count,
        sum,
        min,
        max,
        buckets,
      })),
    };
  }
  if (data.dataPointType === DataPointType.EXPONENTIAL_HISTOGRAM) throw new Error("Nobody asked for one.");
  const sum = data.dataPointType === DataPointType.SUM && data.isMonotonic ? "counter" : "up-down counter";
  return {
    ...rest,
    kind: data.dataPointType === DataPointType.GAUGE ? "gauge" : sum,
    points: data.dataPoints.map(({ attributes, value }) => ({ attributes, value, ...nothing })),
  };
}

describe("Metrics of a recorder are as those of the SDK", () => {
  it("for all instruments, and what programs measure with them", async () => {
    const reader = new OnDemand();
    measureWith(new MeterProvider({ readers: [reader] }).getMeter("shop"));
    const recorder = record();
    measureWith(metrics.getMeter("shop"));
    const byName = (all: readonly RecordedMetric[]): unknown =>
      Object.fromEntries(all.map((metric) => [metric.name, metric]));
    // Twice, as what is observed is a total and nothing to add.
    for (let time = 0; time < 2; time += 1) {
      const { resourceMetrics, errors } = await reader.collect();
      expect(errors).toEqual([]);
      const expected = resourceMetrics.scopeMetrics.flatMap(({ metrics: all }) => all.map(readData));
      expect(expected).toHaveLength(9);
      expect(byName(await recorder.metrics())).toEqual(byName(expected));
    }
  });

  it("with what is observed for the moment only", async () => {
    const recorder = record();
    let shop = "a";
    const open = metrics.getMeter("shop").createObservableGauge("open");
    open.addCallback((result) => result.observe(1, { shop }));
    const seen = async (): Promise<unknown> =>
      (await recorder.metrics("open"))[0]?.points.map(({ attributes }) => attributes["shop"]);
    expect(await seen()).toEqual(["a"]);
    shop = "b";
    expect(await seen()).toEqual(["b"]);
  });

  it("and a batch goes on until the last of its instruments is taken out, by any meter of the scope", async () => {
    const recorder = record();
    const meter = metrics.getMeter("shop");
    const [a, b] = [meter.createObservableGauge("a"), meter.createObservableGauge("b")];
    let calls = 0;
    const observe = (result: BatchObservableResult): void => {
      calls += 1;
      for (const each of [a, b]) result.observe(each, 1);
    };
    meter.addBatchObservableCallback(observe, [a, b]);
    const names = async (): Promise<unknown> =>
      (await recorder.metrics(({ name }) => name === "a" || name === "b")).map(({ name }) => name);
    expect(await names()).toEqual(["a", "b"]);
    metrics.getMeter("shop").removeBatchObservableCallback(observe, [a]);
    expect(await names()).toEqual(["b"]);
    metrics.getMeter("shop").removeBatchObservableCallback(observe, [b]);
    expect(await names()).toEqual([]);
    expect(calls).toBe(2);
  });
});

describe("Log records of a recorder are as those of the SDK", () => {
  it("in all that a program can emit", () => {
    const emitAll = (logger: ReturnType<typeof logs.getLogger>): void => {
      const times = { timestamp: at(1), observedTimestamp: new Date(1_700_000_000_002) };
      logger.emit({
        ...times,
        severityNumber: SeverityNumber.WARN,
        severityText: "WARN",
        body: { a: [1] },
        eventName: "sold",
        attributes: values,
        context: trace.setSpanContext(ROOT_CONTEXT, remote),
      });
      logger.emit({
        ...times,
        body: "no span",
        context: trace.setSpanContext(ROOT_CONTEXT, { ...remote, spanId: "" }),
      });
      context.with(trace.setSpanContext(ROOT_CONTEXT, remote), () => logger.emit({ ...times, body: 5 }));
      for (const exception of exceptions)
        logger.emit({ ...times, exception, attributes: { "exception.type": "mine" } });
    };
    const exporter = new InMemoryLogRecordExporter();
    const provider = new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter })] });
    const recorder = record();
    emitAll(provider.getLogger("shop", "1.2.3", { schemaUrl: "https://schema" }));
    emitAll(logs.getLogger("shop", "1.2.3", { schemaUrl: "https://schema" }));
    const expected = exporter
      .getFinishedLogRecords()
      .map(
        ({
          hrTime,
          hrTimeObserved,
          spanContext,
          severityNumber,
          severityText,
          body,
          eventName,
          attributes,
          instrumentationScope,
        }) => ({
          hrTime,
          hrTimeObserved,
          spanContext,
          severityNumber,
          severityText,
          body,
          eventName,
          attributes,
          instrumentationScope,
        }),
      );
    expect(expected).toHaveLength(3 + exceptions.length);
    expect(recorder.logs()).toMatchObject(
      expected.map((each) => Object.fromEntries(Object.entries(each).filter(([, value]) => value !== undefined))),
    );
    expect(recorder.logs().map(({ attributes }) => attributes)).toEqual(expected.map(({ attributes }) => attributes));
    expect(recorder.logs().map(({ spanContext }) => spanContext)).toEqual(
      expected.map(({ spanContext }) => spanContext),
    );
  });
});
