import { SpanKind, TraceFlags } from "@opentelemetry/api";
import type { LogRecordProcessor, ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { MetricReader, ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";
import { cut, readValueLimit } from "../telemetry/value-limits.ts";
import { type LossReport, messageOf } from "./diagnostics.ts";
import type { Deadline } from "../ending/deadline.ts";
import { OtlpExporter, type SignalKind } from "./exporter.ts";
import { load } from "./packages.ts";
import { BatchQueue, type BatchTaker } from "./queue.ts";
import { type BatchSettings, type MetricSettings, textOf } from "./settings.ts";

/** The way of a signal to its collector. */
export interface SignalExport<TPart> {
  /** What the signal's provider is made with. */
  readonly part: TPart;
  /** Gives up what has not been delivered, and reports it. */
  close(): void;
}

/** What the signals of a set-up share. */
export interface Shared {
  readonly deadline: Deadline;
  readonly report: LossReport;
}

const ours = "durable-telemetry";
const plural = (one: string) => (count: number) => (count === 1 ? one : `${one}s`);
const halvesOf = <T>(items: T[]): readonly [T[], T[]] => [items.slice(0, items.length / 2), items.slice(items.length / 2)];

/** The limit in the first of the variables that has one. */
function limit(...variables: readonly string[]): number | undefined {
  return variables.map((variable) => Number(textOf(variable) ?? Number.NaN)).find((value) => Number.isSafeInteger(value) && value >= 0);
}

/** The limits of spans and of log records that the environment sets, by the specification's names. */
export const spanLimits = (): Record<string, number> =>
  definedOf({
    attributeValueLengthLimit: readValueLimit("span").size,
    attributeCountLimit: limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    eventCountLimit: limit("OTEL_SPAN_EVENT_COUNT_LIMIT"),
    linkCountLimit: limit("OTEL_SPAN_LINK_COUNT_LIMIT"),
    attributePerEventCountLimit: limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"),
    attributePerLinkCountLimit: limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"),
  });
export const logRecordLimits = (): Record<string, number> =>
  definedOf({
    attributeValueLengthLimit: readValueLimit("log").size,
    attributeCountLimit: limit("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
  });

function definedOf(limits: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(Object.entries(limits).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** About how many bytes a value takes, however deep it is. */
function bytesOf(value: unknown, depth = 0): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null || depth > 8) return 8;
  let bytes = 16;
  for (const key in value) bytes += key.length + bytesOf(Reflect.get(value, key), depth + 1);
  return bytes;
}

// An orchestration's own span is the parent of all others, and a scheduled task's of what executes it (telemetry.md K6).
function rankOfSpan({ instrumentationScope: { name }, kind, attributes, parentSpanContext }: ReadableSpan): number {
  if (name !== ours) return parentSpanContext === undefined || parentSpanContext.isRemote === true ? 1 : 0;
  if (attributes["durabletask.type"] === "orchestration" && kind === SpanKind.SERVER) return 3;
  return kind === SpanKind.CLIENT || kind === SpanKind.PRODUCER ? 2 : 1;
}

export function createTraceExport(settings: BatchSettings, shared: Shared): SignalExport<SpanProcessor> {
  const { JsonTraceSerializer, ProtobufTraceSerializer } = load("@opentelemetry/otlp-transformer");
  const exporter = new OtlpExporter<ReadableSpan[], ReturnType<typeof JsonTraceSerializer.deserializeResponse>>(
    {
      signal: "traces",
      name: plural("span"),
      serializer: settings.protocol.value === "http/json" ? JsonTraceSerializer : ProtobufTraceSerializer,
      count: ({ length }) => length,
      halves: halvesOf,
      rejected: ({ partialSuccess }) => ({ count: partialSuccess?.rejectedSpans, message: partialSuccess?.errorMessage }),
      resource: ([span]) => span?.resource,
    },
    settings,
    shared,
  );
  const bytesOfSpan = ({ name, attributes, events, links, status }: ReadableSpan): number =>
    300 + name.length + (status.message?.length ?? 0) + bytesOf(attributes) + events.reduce((sum, event) => sum + 50 + bytesOf(event.attributes), 0) + links.length * 100;
  const queue = queueOf(settings, exporter, rankOfSpan, bytesOfSpan);
  const longest = readValueLimit("span");
  const part: SpanProcessor = {
    onStart: () => {},
    onEnding: (span) => {
      const { code, message } = span.status;
      if (message !== undefined && message.length > longest.size) span.setStatus({ code, message: cut(message, longest) });
    },
    onEnd: (span) => {
      if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0) queue.add(span);
    },
    forceFlush: () => queue.forceFlush(),
    shutdown: () => queue.forceFlush(),
  };
  return { part, close: () => closeBoth(queue, exporter) };
}

export function createLogExport(settings: BatchSettings, shared: Shared): SignalExport<LogRecordProcessor> {
  const { JsonLogsSerializer, ProtobufLogsSerializer } = load("@opentelemetry/otlp-transformer");
  const exporter = new OtlpExporter<ReadableLogRecord[], ReturnType<typeof JsonLogsSerializer.deserializeResponse>>(
    {
      signal: "logs",
      name: plural("log record"),
      serializer: settings.protocol.value === "http/json" ? JsonLogsSerializer : ProtobufLogsSerializer,
      count: ({ length }) => length,
      halves: halvesOf,
      rejected: ({ partialSuccess }) => ({ count: partialSuccess?.rejectedLogRecords, message: partialSuccess?.errorMessage }),
      resource: ([record]) => record?.resource,
    },
    settings,
    shared,
  );
  // History events stay longer than lines of log.
  const rankOfRecord = ({ instrumentationScope: { name }, eventName }: ReadableLogRecord): number => (name === ours && eventName !== undefined ? 1 : 0);
  const queue = queueOf(settings, exporter, rankOfRecord, ({ body, attributes }) => 200 + bytesOf(body) + bytesOf(attributes));
  const longest = readValueLimit("log");
  const part: LogRecordProcessor = {
    onEmit: (record) => {
      if (typeof record.body === "string" && record.body.length > longest.size) record.setBody(cut(record.body, longest));
      queue.add(record);
    },
    forceFlush: () => queue.forceFlush(),
    shutdown: () => queue.forceFlush(),
  };
  return { part, close: () => closeBoth(queue, exporter) };
}

function queueOf<T>(
  { maxQueueSize, maxExportBatchSize, scheduleDelay }: BatchSettings,
  taker: BatchTaker<T>,
  rankOf: (item: T) => number,
  bytesOfItem: (item: T) => number,
): BatchQueue<T> {
  return new BatchQueue({ taker, maxQueueSize: maxQueueSize.value, maxExportBatchSize: maxExportBatchSize.value, scheduleDelay: scheduleDelay.value, rankOf, bytesOf: bytesOfItem });
}

function closeBoth(queue: { close(): void }, exporter: { close(): void }): void {
  queue.close();
  exporter.close();
}

const metricKind = (isJson: boolean): SignalKind<ResourceMetrics, { partialSuccess?: { rejectedDataPoints?: number; errorMessage?: string } }> => {
  const { JsonMetricsSerializer, ProtobufMetricsSerializer } = load("@opentelemetry/otlp-transformer");
  return {
    signal: "metrics",
    name: plural("metric data point"),
    serializer: isJson ? JsonMetricsSerializer : ProtobufMetricsSerializer,
    count: ({ scopeMetrics }) => scopeMetrics.reduce((sum, { metrics }) => sum + metrics.reduce((points, { dataPoints }) => points + dataPoints.length, 0), 0),
    halves: halvesOfMetrics,
    rejected: ({ partialSuccess }) => ({ count: partialSuccess?.rejectedDataPoints, message: partialSuccess?.errorMessage }),
    resource: ({ resource }) => resource,
  };
};

function halvesOfMetrics({ resource, scopeMetrics }: ResourceMetrics): readonly [ResourceMetrics, ResourceMetrics] {
  const all = scopeMetrics.flatMap(({ scope, metrics }) => metrics.map((metric) => ({ scope, metrics: [metric] })));
  const [only] = all;
  const [first, second] = halvesOf(all);
  if (all.length > 1 || only?.metrics[0] === undefined) return [{ resource, scopeMetrics: first }, { resource, scopeMetrics: second }];
  const [metric] = only.metrics;
  const points: readonly [unknown[], unknown[]] = halvesOf<unknown>(metric.dataPoints);
  const withPoints = (dataPoints: unknown[]): ResourceMetrics => ({ resource, scopeMetrics: [{ scope: only.scope, metrics: [{ ...metric, dataPoints } as typeof metric] }] });
  return [withPoints(points[0]), withPoints(points[1])];
}

/** A reader that exports at an interval, one export at a time, and once more whenever it is flushed. */
export function createMetricExport(settings: MetricSettings, shared: Shared): SignalExport<MetricReader> {
  const { AggregationTemporality, AggregationType, InstrumentType, MetricReader: Reader } = load("@opentelemetry/sdk-metrics");
  const { exportInterval, temporality, histogramAggregation, protocol } = settings;
  // An export that takes longer is given up before the next one is due.
  const exporter = new OtlpExporter(metricKind(protocol.value === "http/json"), settings, { ...shared, most: exportInterval.value * 0.9 });
  const isExponential = histogramAggregation.value === "base2_exponential_bucket_histogram";
  const deltas: Readonly<Record<typeof temporality.value, readonly string[]>> = {
    cumulative: [],
    delta: ["COUNTER", "OBSERVABLE_COUNTER", "GAUGE", "OBSERVABLE_GAUGE", "HISTOGRAM"],
    lowmemory: ["COUNTER", "HISTOGRAM"],
  };
  const part = new (class extends Reader {
    #underWay: Promise<void> = Promise.resolve();
    #count = 0;
    #timer: NodeJS.Timeout | undefined;

    override onInitialized(): void {
      this.#timer = setInterval(() => {
        if (this.#count === 0) void this.#export();
      }, exportInterval.value).unref();
    }

    protected override async onForceFlush(): Promise<void> {
      await this.#export();
    }

    protected override async onShutdown(): Promise<void> {
      clearInterval(this.#timer);
    }

    #export(): Promise<void> {
      this.#count += 1;
      this.#underWay = this.#underWay.then(() => this.#exportOnce()).finally(() => void (this.#count -= 1));
      return this.#underWay;
    }

    async #exportOnce(): Promise<void> {
      try {
        const { resourceMetrics, errors } = await this.collect();
        if (errors.length > 0) shared.report.failed("metrics callback", `a callback of a metric failed (${messageOf(errors[0])})`);
        if (resourceMetrics.scopeMetrics.length > 0) await exporter.export(resourceMetrics);
      } catch (error) {
        shared.report.failed("metrics collection", `metrics can't be collected (${messageOf(error)})`);
      }
    }
  })({
    aggregationSelector: (type) => ({ type: isExponential && type === InstrumentType.HISTOGRAM ? AggregationType.EXPONENTIAL_HISTOGRAM : AggregationType.DEFAULT }),
    aggregationTemporalitySelector: (type) => (deltas[temporality.value].includes(type) ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE),
  });
  return { part, close: () => exporter.close() };
}
