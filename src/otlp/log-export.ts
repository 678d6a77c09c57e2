import type { LogRecordExporter, LogRecordProcessor, ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { createBatchLogRecordProcessor } from "./batch-log-record-processor.ts";
import { FailureReport } from "./failure-report.ts";
import { load } from "./packages.ts";
import type { Settings } from "./settings.ts";
import { createOtlpExport, createSignalExport, type SignalExport } from "./signal-export.ts";

const exporters = {
  "http/json": () => load("@opentelemetry/exporter-logs-otlp-http").OTLPLogExporter,
  "http/protobuf": () => load("@opentelemetry/exporter-logs-otlp-proto").OTLPLogExporter,
  grpc: () => load("@opentelemetry/exporter-logs-otlp-grpc").OTLPLogExporter,
};

/** What the logger provider hands log records to (none if they shall go nowhere), and the way that they take. */
export function createLogExport({ logs, general }: Settings): {
  readonly processors: readonly LogRecordProcessor[];
  readonly way: SignalExport;
} {
  const report = new FailureReport("log records");
  const shutdownTimeout = general.shutdownTimeout.value;
  const processors: LogRecordProcessor[] = [];
  if (logs.exporter.value.includes("console")) {
    const { ConsoleLogRecordExporter, SimpleLogRecordProcessor } = load("@opentelemetry/sdk-logs");
    processors.push(new SimpleLogRecordProcessor({ exporter: new ConsoleLogRecordExporter() }));
  }

  const otlp = logs.exporter.value.includes("otlp")
    ? createOtlpExport<LogRecordExporter, ReadableLogRecord[]>("logs", logs, exporters, { report, shutdownTimeout })
    : undefined;
  if (otlp !== undefined) {
    processors.push(
      createBatchLogRecordProcessor({
        exporter: otlp.contained,
        maxQueueSize: logs.maxQueueSize.value,
        maxExportBatchSize: logs.maxExportBatchSize.value,
        scheduledDelayMillis: logs.scheduleDelay.value,
        exportTimeoutMillis: otlp.timeout,
      }),
    );
  }
  const flushes = processors.map((processor) => () => processor.forceFlush());
  return { processors, way: createSignalExport({ report, exporter: otlp?.contained, flushes }) };
}
