import { diag } from "@opentelemetry/api";
import { getStringListFromEnv } from "@opentelemetry/core";
import { ConsoleSpanExporter, SimpleSpanProcessor, type SpanProcessor } from "@opentelemetry/sdk-trace";
import { WaitingBatchSpanProcessor } from "./batch-span-processor.ts";
import { chooseCollector } from "./collector.ts";
import { ContainedSpanExporter } from "./contained-span-exporter.ts";
import { ContainedSpanProcessor } from "./contained-span-processor.ts";
import { positiveNumberFromEnv } from "./environment.ts";
import { FailureReport } from "./failure-report.ts";
import type { CheckedOptions } from "./options.ts";

/** The way that spans take out of the process. */
export interface TraceExport {
  /** What the tracer provider hands spans to; none if spans shall go nowhere. */
  readonly processors: readonly SpanProcessor[];
  /** Delivers the spans that have ended. Never rejects. */
  forceFlush(): Promise<void>;
  /** From now on exports end in time for shutdown. */
  beginShutdown(): void;
  /** Drops what is still under way; `isComplete` tells whether shutdown could wait for everything. */
  endShutdown(isComplete: boolean): void;
}

/** What the options and `OTEL_TRACES_EXPORTER` say. */
export function createTraceExport(options: CheckedOptions): TraceExport {
  const report = new FailureReport();
  const processors: SpanProcessor[] = options.spanProcessors.map(
    (processor, index) => new ContainedSpanProcessor(processor, `spanProcessors[${index}]`, report),
  );
  const exporters = exportersFromEnv();
  if (exporters.includes("console")) processors.push(new SimpleSpanProcessor({ exporter: new ConsoleSpanExporter() }));
  const otlp = exporters.includes("otlp") ? createOtlpProcessor(options, report) : undefined;
  if (otlp !== undefined) processors.push(otlp.processor);

  let failuresBefore = 0;
  return {
    processors,
    forceFlush: async () => {
      await Promise.allSettled(processors.map((processor) => processor.forceFlush()));
    },
    beginShutdown: () => {
      failuresBefore = report.failures;
      otlp?.exporter.beginShutdown();
    },
    endShutdown: (isComplete) => {
      // If exports failed while shutting down, the report of that tells more.
      if (!isComplete && report.failures === failuresBefore) report.shutdownTimedOut(options.shutdownTimeout);
      otlp?.exporter.abandon();
    },
  };
}

function createOtlpProcessor(
  options: CheckedOptions,
  report: FailureReport,
): { readonly processor: SpanProcessor; readonly exporter: ContainedSpanExporter } {
  const collector = chooseCollector(options);
  const exporter = new ContainedSpanExporter({
    exporter: collector.createExporter(collector.timeout),
    // A tenth of the time is left to tell the cause of a failure.
    lastExporter: collector.createExporter(Math.min(collector.timeout, options.shutdownTimeout * 0.9)),
    onFailure: (error) => report.exportFailed(collector.target, error),
  });
  const maxQueueSize = positiveNumberFromEnv("OTEL_BSP_MAX_QUEUE_SIZE");
  const maxExportBatchSize = positiveNumberFromEnv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
  const scheduledDelayMillis = positiveNumberFromEnv("OTEL_BSP_SCHEDULE_DELAY");
  const processor = new WaitingBatchSpanProcessor({
    exporter,
    ...(maxQueueSize === undefined ? {} : { maxQueueSize }),
    ...(maxExportBatchSize === undefined ? {} : { maxExportBatchSize }),
    ...(scheduledDelayMillis === undefined ? {} : { scheduledDelayMillis }),
    // The exporter keeps to its time; this is for the case that it does not.
    exportTimeoutMillis: collector.timeout + 5000,
  });
  return { processor, exporter };
}

function exportersFromEnv(): readonly string[] {
  const names = getStringListFromEnv("OTEL_TRACES_EXPORTER") ?? [];
  if (names.length === 0) return ["otlp"];
  if (names.includes("none")) return [];
  for (const name of names) {
    if (name === "otlp" || name === "console") continue;
    diag.warn(
      `OTEL_TRACES_EXPORTER: "${name}" is ignored; allowed are otlp, console and none (other exporters: the option spanProcessors)`,
    );
  }
  return names;
}
