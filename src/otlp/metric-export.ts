import { OTLPMetricExporter as GrpcExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as JsonExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtobufExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import {
  AggregationType,
  ConsoleMetricExporter,
  InstrumentType,
  type MetricReader,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { FailureReport } from "./failure-report.ts";
import type { MetricSettings, Settings } from "./settings.ts";
import { createOtlpExport, createSignalExport, type OtlpExport, type SignalExport } from "./signal-export.ts";

const exporters = { "http/json": JsonExporter, "http/protobuf": ProtobufExporter, grpc: GrpcExporter };

/** What the meter provider is read by (none if metrics shall go nowhere), and the way that they take. */
export function createMetricExport({ metrics, general, metricReaders }: Settings): {
  readonly readers: readonly MetricReader[];
  readonly way: SignalExport;
} {
  const report = new FailureReport("metrics");
  const shutdownTimeout = general.shutdownTimeout.value;
  const interval = metrics.exportInterval.value;
  const ours: OnceMetricReader[] = [];
  if (metrics.exporter.value.includes("console")) {
    ours.push(new OnceMetricReader({ exporter: new ConsoleMetricExporter(), exportIntervalMillis: interval, exportTimeoutMillis: interval }));
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
      new OnceMetricReader({ exporter: pushExporter(otlp, metrics), exportIntervalMillis: interval, exportTimeoutMillis: interval }),
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
class OnceMetricReader extends PeriodicExportingMetricReader {
  #ended: Promise<void> | undefined;

  override shutdown(): Promise<void> {
    return (this.#ended ??= super.shutdown());
  }
}
