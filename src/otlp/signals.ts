import { SpanKind, TraceFlags } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import type { LoggerProvider, LogRecordProcessor, ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { MeterProvider, MetricReader, PushMetricExporter, ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { ReadableSpan, Sampler, SpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { cut, readValueLimit } from "../telemetry/value-limits.ts";
import { messageOf } from "./diagnostics.ts";
import { DurableIdGenerator } from "./durable-id-generator.ts";
import { type Items, OtlpExporter, type Shared } from "./exporter.ts";
import { load } from "./packages.ts";
import { BatchQueue, mostBytes } from "./queue.ts";
import { type BatchSettings, type MetricSettings, type Settings, readVariable } from "./settings.ts";

const ours = "durable-telemetry";
const usualLimit = 128;
const halvesOf = <T>(items: T[]): readonly [T[], T[]] => [
  items.slice(0, items.length / 2),
  items.slice(items.length / 2),
];
const ofLists = { count: ({ length }: readonly unknown[]): number => length, halves: halvesOf } as const;

/** The limit in the first of the variables that has a valid one; otherwise the specification's default. */
function limit(...variables: readonly string[]): number {
  return (
    variables
      .map((variable) => Number(readVariable(variable) ?? Number.NaN))
      .find((value) => Number.isSafeInteger(value) && value >= 0) ?? usualLimit
  );
}

/**
 * The approximate number of bytes of a value. An object in several places, such as one that contains itself, counts once.
 * What no queue holds is not read to its end: getters may make further objects without one.
 */
function bytesOf(value: unknown): number {
  // What is added to a set while it is iterated over is visited too: values may be nested deeper than calls can be.
  const objects = new Set<object>();
  let bytes = bytesBeside(objects, value);
  for (const each of objects) {
    if (bytes > mostBytes) break;
    if (ArrayBuffer.isView(each)) bytes += each.byteLength;
    else for (const key in each) bytes += key.length + bytesBeside(objects, Reflect.get(each, key));
  }
  return bytes;
}

/** The bytes of a value without the members of an object, which is put to `objects`. */
function bytesBeside(objects: Set<object>, value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  objects.add(value);
  return 16;
}

// An orchestration's own span is the parent of all others, and the span that schedules a task that of the one that executes it (telemetry.md K6).
function rankOfSpan({ instrumentationScope: { name }, kind, attributes, parentSpanContext }: ReadableSpan): number {
  if (name !== ours) return parentSpanContext === undefined || parentSpanContext.isRemote === true ? 1 : 0;
  if (attributes["durabletask.type"] === "orchestration" && kind === SpanKind.SERVER) return 3;
  return kind === SpanKind.CLIENT || kind === SpanKind.PRODUCER ? 2 : 1;
}

const bytesOfSpan = ({ name, attributes, events, links, status }: ReadableSpan): number =>
  300 +
  name.length +
  (status.message?.length ?? 0) +
  bytesOf(attributes) +
  events.reduce((sum, event) => sum + 50 + bytesOf(event.attributes), 0) +
  links.length * 100;

function queueOf<T>(
  settings: BatchSettings,
  shared: Shared,
  items: Items<T[]>,
  rankOf: (item: T) => number,
  bytesOfItem: (item: T) => number,
): BatchQueue<T> {
  const queue = new BatchQueue(new OtlpExporter(items, settings, shared), settings, rankOf, bytesOfItem);
  shared.closing.push(queue);
  return queue;
}

export function createTracerProvider(
  { traces, sampler, samplerArg }: Settings,
  resource: Resource,
  shared: Shared,
): TracerProvider {
  const {
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    TracerProvider: Provider,
    ...samplers
  } = load("@opentelemetry/sdk-trace");
  const isRatio = sampler.endsWith("traceidratio");
  const root: Sampler = isRatio
    ? new samplers.TraceIdRatioBasedSampler(samplerArg)
    : new samplers[sampler.endsWith("always_off") ? "AlwaysOffSampler" : "AlwaysOnSampler"]();
  return new Provider({
    resource,
    sampler: sampler.startsWith("parentbased_") ? new samplers.ParentBasedSampler({ root }) : root,
    idGenerator: new DurableIdGenerator(),
    spanProcessors: traces.exporter.map((name) =>
      name === "otlp"
        ? createSpanProcessor(traces, shared)
        : new SimpleSpanProcessor({ exporter: new ConsoleSpanExporter() }),
    ),
    spanLimits: {
      attributeValueLengthLimit: readValueLimit("span").size,
      attributeCountLimit: limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
      eventCountLimit: limit("OTEL_SPAN_EVENT_COUNT_LIMIT"),
      linkCountLimit: limit("OTEL_SPAN_LINK_COUNT_LIMIT"),
      attributePerEventCountLimit: limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"),
      attributePerLinkCountLimit: limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"),
    },
  });
}

function createSpanProcessor(settings: BatchSettings, shared: Shared): SpanProcessor {
  const { JsonTraceSerializer, ProtobufTraceSerializer } = load("@opentelemetry/otlp-transformer");
  const serializer = settings.protocol === "http/json" ? JsonTraceSerializer : ProtobufTraceSerializer;
  const queue = queueOf<ReadableSpan>(
    settings,
    shared,
    { signal: "traces", name: "span", serializer, ...ofLists },
    rankOfSpan,
    bytesOfSpan,
  );
  const longest = readValueLimit("span");
  return {
    onStart: () => {},
    onEnding: (span) => {
      const { code, message } = span.status;
      if (message !== undefined && message.length > longest.size)
        span.setStatus({ code, message: cut(message, longest) });
    },
    onEnd: (span) => {
      if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0) queue.add(span);
    },
    forceFlush: () => queue.forceFlush(),
    shutdown: () => queue.forceFlush(),
  };
}

export function createLoggerProvider({ logs }: Settings, resource: Resource, shared: Shared): LoggerProvider {
  const {
    ConsoleLogRecordExporter,
    LoggerProvider: Provider,
    SimpleLogRecordProcessor,
  } = load("@opentelemetry/sdk-logs");
  const attributeCountLimit = limit("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT");
  return new Provider({
    resource,
    processors: logs.exporter.map((name) =>
      name === "otlp"
        ? createLogRecordProcessor(logs, shared)
        : new SimpleLogRecordProcessor({ exporter: new ConsoleLogRecordExporter() }),
    ),
    logRecordLimits: { attributeValueLengthLimit: readValueLimit("log").size, attributeCountLimit },
  });
}

function createLogRecordProcessor(settings: BatchSettings, shared: Shared): LogRecordProcessor {
  const { JsonLogsSerializer, ProtobufLogsSerializer } = load("@opentelemetry/otlp-transformer");
  const serializer = settings.protocol === "http/json" ? JsonLogsSerializer : ProtobufLogsSerializer;
  // History events are kept longer than lines of log.
  const rankOfRecord = ({ instrumentationScope: { name }, eventName }: ReadableLogRecord): number =>
    name === ours && eventName !== undefined ? 1 : 0;
  const bytesOfRecord = ({ body, attributes }: ReadableLogRecord): number => 200 + bytesOf(body) + bytesOf(attributes);
  const queue = queueOf<ReadableLogRecord>(
    settings,
    shared,
    { signal: "logs", name: "log record", serializer, ...ofLists },
    rankOfRecord,
    bytesOfRecord,
  );
  const longest = readValueLimit("log");
  return {
    onEmit: (record) => {
      if (typeof record.body === "string" && record.body.length > longest.size)
        record.setBody(cut(record.body, longest));
      queue.add(record);
    },
    forceFlush: () => queue.forceFlush(),
    shutdown: () => queue.forceFlush(),
  };
}

const pointsIn = ({ scopeMetrics }: ResourceMetrics): number =>
  scopeMetrics.reduce(
    (sum, { metrics }) => sum + metrics.reduce((points, { dataPoints }) => points + dataPoints.length, 0),
    0,
  );

function halvesOfMetrics({ resource, scopeMetrics }: ResourceMetrics): readonly [ResourceMetrics, ResourceMetrics] {
  const all = scopeMetrics.flatMap(({ scope, metrics }) => metrics.map((metric) => ({ scope, metric })));
  const [{ scope, metric } = {}] = all;
  const parts =
    all.length > 1
      ? halvesOf(all)
      : halvesOf<unknown>(metric?.dataPoints ?? []).map((dataPoints) => [{ scope, metric: { ...metric, dataPoints } }]);
  const [first, second] = parts.map(
    (part) =>
      ({
        resource,
        scopeMetrics: part.map((each) => ({ scope: each.scope, metrics: [each.metric] })),
      }) as ResourceMetrics,
  );
  return [first ?? { resource, scopeMetrics: [] }, second ?? { resource, scopeMetrics: [] }];
}

export function createMeterProvider({ metrics }: Settings, resource: Resource, shared: Shared): MeterProvider {
  const {
    ConsoleMetricExporter,
    MeterProvider: Provider,
    PeriodicExportingMetricReader,
  } = load("@opentelemetry/sdk-metrics");
  const times = { exportIntervalMillis: metrics.exportInterval, exportTimeoutMillis: metrics.exportInterval };
  const toConsole = (): MetricReader =>
    new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter(), ...times });
  return new Provider({
    resource,
    readers: metrics.exporter.map((name) => (name === "otlp" ? createMetricReader(metrics, shared) : toConsole())),
  });
}

function createMetricReader(settings: MetricSettings, shared: Shared): MetricReader {
  const { AggregationTemporality, AggregationType, InstrumentType, PeriodicExportingMetricReader } =
    load("@opentelemetry/sdk-metrics");
  const { JsonMetricsSerializer, ProtobufMetricsSerializer } = load("@opentelemetry/otlp-transformer");
  const { exportInterval, temporality, histogramAggregation, protocol } = settings;
  const serializer = protocol === "http/json" ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  const items: Items<ResourceMetrics> = {
    signal: "metrics",
    name: "metric data point",
    serializer,
    count: pointsIn,
    halves: halvesOfMetrics,
  };
  // A longer export is aborted before the next one is due.
  const otlp = new OtlpExporter(items, settings, shared, exportInterval * 0.9);
  const isExponential = histogramAggregation === "base2_exponential_bucket_histogram";
  const deltas: Readonly<Record<typeof temporality, readonly string[]>> = {
    cumulative: [],
    delta: ["COUNTER", "OBSERVABLE_COUNTER", "GAUGE", "OBSERVABLE_GAUGE", "HISTOGRAM"],
    lowmemory: ["COUNTER", "HISTOGRAM"],
  };
  const exporter: PushMetricExporter = {
    export: (metrics, done) => void otlp.export(metrics).then(() => done({ code: 0 })),
    forceFlush: async () => {},
    shutdown: async () => {},
    selectAggregation: (type) => ({
      type:
        isExponential && type === InstrumentType.HISTOGRAM
          ? AggregationType.EXPONENTIAL_HISTOGRAM
          : AggregationType.DEFAULT,
    }),
    selectAggregationTemporality: (type) =>
      deltas[temporality].includes(type) ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
  };
  let isCollecting = false;
  const failed = (cause: string, why: string): void =>
    shared.report.failed(`metrics ${cause}`, `not all metrics can be collected (${why})`);
  class Reader extends PeriodicExportingMetricReader {
    override async collect(...args: Parameters<MetricReader["collect"]>): ReturnType<MetricReader["collect"]> {
      isCollecting = true;
      const { resourceMetrics, errors } = await super.collect(...args).finally(() => (isCollecting = false));
      // The SDK reports it only through `diag`.
      if (errors.length > 0) failed("callback", `a callback failed: ${messageOf(errors[0])}`);
      return { resourceMetrics, errors: [] };
    }
  }
  shared.closing.push({
    close: () => {
      if (isCollecting) failed("collection", "a callback did not end in time");
      otlp.close();
    },
  });
  return new Reader({ exporter, exportIntervalMillis: exportInterval, exportTimeoutMillis: exportInterval });
}
