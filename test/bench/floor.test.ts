import { SpanKind } from "@opentelemetry/api";
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, MetricReader, type CollectionResult } from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, it } from "vitest";
import { floorOf } from "../../bench/floor.ts";
import { inMemoryWorkflow } from "../../bench/in-memory.ts";
import { withDurableTelemetry } from "../../src/index.ts";

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

it("The benchmark's floor records with plain OpenTelemetry calls what the default pipeline records", async () => {
  const spans = new InMemorySpanExporter();
  const logRecords = new InMemoryLogRecordExporter();
  const reader = new Reader();
  const providers = {
    tracers: new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] }),
    loggers: new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter: logRecords })] }),
    meters: new MeterProvider({ readers: [reader] }),
  };
  const workflow = inMemoryWorkflow(1, (worker) => withDurableTelemetry(worker));
  const floor = await floorOf(() => workflow.run(1), providers);
  const once = recorded(await reader.collect());
  floor.run(2);

  expect(once).toEqual([]);
  expect(floor).toMatchObject({ spans: 3, logRecords: 4, measurements: 13 });
  const twice = ["SERVER activity:add", "CLIENT activity:add", "SERVER orchestration:steps"];
  expect(spans.getFinishedSpans().map(({ name, kind }) => `${SpanKind[kind]} ${name}`)).toEqual([...twice, ...twice]);
  const events = ["orchestration.started", "activity.started", "activity.finished", "orchestration.finished"].map(
    (name) => `durabletask.${name}`,
  );
  expect(logRecords.getFinishedLogRecords().map(({ eventName }) => eventName)).toEqual([...events, ...events]);
  expect(recorded(await reader.collect())).toEqual([
    "durabletask.activity.active 0",
    "durabletask.activity.duration 2",
    "durabletask.episode.duration 4",
    "durabletask.episode.replayed_events 4",
    "durabletask.orchestration.active 0",
    "durabletask.orchestration.duration 2",
    "durabletask.orchestration.episodes 2",
    "durabletask.orchestration.history.size 2",
    "durabletask.orchestration.started 2",
  ]);
});

/** The metrics, each with its sum, or for a histogram with its number of measurements. */
function recorded({ resourceMetrics }: CollectionResult): string[] {
  const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
  return metrics
    .map(({ descriptor: { name }, dataPoints }) => {
      const counts = dataPoints.map(({ value }) => (typeof value === "number" ? value : value.count));
      return `${name} ${counts.reduce((sum, count) => sum + count, 0)}`;
    })
    .toSorted();
}
