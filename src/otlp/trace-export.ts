import type { ReadableSpan, Sampler, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";
import { createBatchSpanProcessor } from "./batch-span-processor.ts";
import { ContainedSampler } from "./contained-sampler.ts";
import { ContainedSpanProcessor } from "./contained-span-processor.ts";
import { FailureReport } from "./failure-report.ts";
import { load } from "./packages.ts";
import type { Settings } from "./settings.ts";
import { createOtlpExport, createSignalExport, type SignalExport } from "./signal-export.ts";

const exporters = {
  "http/json": () => load("@opentelemetry/exporter-trace-otlp-http").OTLPTraceExporter,
  "http/protobuf": () => load("@opentelemetry/exporter-trace-otlp-proto").OTLPTraceExporter,
  grpc: () => load("@opentelemetry/exporter-trace-otlp-grpc").OTLPTraceExporter,
};

/** What the tracer provider hands spans to (none if they shall go nowhere), and the way that they take. */
export function createTraceExport({ traces, general, spanProcessors }: Settings): {
  readonly processors: readonly SpanProcessor[];
  /** The sampler that was made in code, if one was. */
  readonly sampler: Sampler | undefined;
  readonly way: SignalExport;
} {
  const report = new FailureReport("spans");
  const shutdownTimeout = general.shutdownTimeout.value;
  const processors: SpanProcessor[] = spanProcessors.map(
    (processor, index) => new ContainedSpanProcessor(processor, `spanProcessors[${index}]`, report),
  );
  if (traces.exporter.value.includes("console")) {
    const { ConsoleSpanExporter, SimpleSpanProcessor } = load("@opentelemetry/sdk-trace");
    processors.push(new SimpleSpanProcessor({ exporter: new ConsoleSpanExporter() }));
  }

  const otlp = traces.exporter.value.includes("otlp")
    ? createOtlpExport<SpanExporter, ReadableSpan[]>("traces", traces, exporters, { report, shutdownTimeout })
    : undefined;
  if (otlp !== undefined) {
    processors.push(
      createBatchSpanProcessor({
        exporter: otlp.contained,
        maxQueueSize: traces.maxQueueSize.value,
        maxExportBatchSize: traces.maxExportBatchSize.value,
        scheduledDelayMillis: traces.scheduleDelay.value,
        exportTimeoutMillis: otlp.timeout,
      }),
    );
  }
  const flushes = processors.map((processor) => () => processor.forceFlush());
  const sampler = typeof general.sampler.value === "string" ? undefined : new ContainedSampler(general.sampler.value, report);
  return { processors, sampler, way: createSignalExport({ report, exporter: otlp?.contained, flushes }) };
}
