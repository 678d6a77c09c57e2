import type {
  MetricReader,
  PeriodicExportingMetricReaderOptions,
  PushMetricExporter,
  ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { FailureReport } from "./failure-report.ts";
import { load } from "./packages.ts";
import type { MetricSettings, Settings } from "./settings.ts";
import { createOtlpExport, createSignalExport, type OtlpExport, type SignalExport } from "./signal-export.ts";

const exporters = {
  "http/json": () => load("@opentelemetry/exporter-metrics-otlp-http").OTLPMetricExporter,
  "http/protobuf": () => load("@opentelemetry/exporter-metrics-otlp-proto").OTLPMetricExporter,
  grpc: () => load("@opentelemetry/exporter-metrics-otlp-grpc").OTLPMetricExporter,
};

/** What the meter provider is read by (none if metrics shall go nowhere), and the way that they take. */
export function createMetricExport({ metrics, general, metricReaders }: Settings): {
  readonly readers: readonly MetricReader[];
  readonly way: SignalExport;
} {
  const report = new FailureReport("metrics");
  const shutdownTimeout = general.shutdownTimeout.value;
  const interval = metrics.exportInterval.value;
  const ours: MetricReader[] = [];
  if (metrics.exporter.value.includes("console")) {
    const { ConsoleMetricExporter } = load("@opentelemetry/sdk-metrics");
    ours.push(createReader({ exporter: new ConsoleMetricExporter(), exportIntervalMillis: interval, exportTimeoutMillis: interval }));
  }
  const otlp = metrics.exporter.value.includes("otlp")
    ? createOtlpExport<PushMetricExporter, ResourceMetrics>("metrics", metrics, exporters, {
        report,
        shutdownTimeout,
        longest: interval * 0.9, // The reader waits for one interval at most.
      })
    : undefined;
  if (otlp !== undefined) {
    ours.push(
      createReader({ exporter: pushExporter(otlp, metrics), exportIntervalMillis: interval, exportTimeoutMillis: interval }),
    );
  }
  const flushes = [...ours, ...metricReaders].map((reader) => () => reader.forceFlush());
  // A reader flushes as it shuts down; before that it would export the same once more.
  const lastFlushes = ours.map((reader) => () => reader.shutdown());
  return {
    readers: [...metricReaders, ...ours],
    way: createSignalExport({ report, exporter: otlp?.contained, flushes, lastFlushes }),
  };
}

/** The contained exporter, with what the SDK's exporter knows of temporality. */
function pushExporter({ exporter, contained }: OtlpExport<PushMetricExporter, ResourceMetrics>, settings: MetricSettings): PushMetricExporter {
  const { AggregationType, InstrumentType } = load("@opentelemetry/sdk-metrics");
  const isExponential = settings.histogramAggregation.value === "base2_exponential_bucket_histogram";
  return {
    export: (metrics, done) => contained.export(metrics, done),
    forceFlush: () => contained.forceFlush(),
    shutdown: () => contained.shutdown(),
    selectAggregation: (type) => ({
      type: isExponential && type === InstrumentType.HISTOGRAM ? AggregationType.EXPONENTIAL_HISTOGRAM : AggregationType.DEFAULT,
    }),
    ...(exporter.selectAggregationTemporality === undefined
      ? {}
      : { selectAggregationTemporality: exporter.selectAggregationTemporality.bind(exporter) }),
  };
}

/** A reader that can be shut down before its provider is, which shuts it down again. */
function createReader(options: PeriodicExportingMetricReaderOptions): MetricReader {
  const { PeriodicExportingMetricReader } = load("@opentelemetry/sdk-metrics");
  return new (class extends PeriodicExportingMetricReader {
    #ended: Promise<void> | undefined;

    override shutdown(): Promise<void> {
      return (this.#ended ??= super.shutdown());
    }
  })(options);
}
