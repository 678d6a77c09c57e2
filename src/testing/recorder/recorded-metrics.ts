import type { Attributes } from "@opentelemetry/api";
import { DataPointType, MeterProvider, MetricReader, type MetricData } from "@opentelemetry/sdk-metrics";

/** What was measured with one set of attributes. */
export interface RecordedPoint {
  readonly attributes: Attributes;
  /** What a counter, an up-down counter or a gauge stands at; `undefined` for a histogram. */
  readonly value: number | undefined;
  /** How many measurements a histogram has; `undefined` for other kinds, as are all that follow. */
  readonly count: number | undefined;
  /** The sum of a histogram's measurements. */
  readonly sum: number | undefined;
  /** The smallest of a histogram's measurements. */
  readonly min: number | undefined;
  /** The largest of a histogram's measurements. */
  readonly max: number | undefined;
}

/** What an instrument has measured. */
export interface RecordedMetric {
  readonly name: string;
  readonly kind: "counter" | "up-down counter" | "gauge" | "histogram";
  readonly unit: string;
  readonly description: string;
  /** The name of the instrumentation scope that the instrument belongs to. */
  readonly scope: string;
  /** One for each set of attributes. */
  readonly points: readonly RecordedPoint[];
}

/** Meters whose measurements are collected when they are asked for. */
export interface CollectedMeters {
  readonly provider: MeterProvider;
  /** @throws AggregateError with what the callbacks of observed instruments threw. */
  collect(): Promise<readonly RecordedMetric[]>;
}

/** Meters that have measured nothing yet. */
export function collectedMeters(): CollectedMeters {
  const reader = new OnDemandReader();
  const provider = new MeterProvider({ readers: [reader] });
  return {
    provider,
    async collect() {
      const { resourceMetrics, errors } = await reader.collect();
      if (errors.length > 0) throw new AggregateError(errors, "Metrics could not be collected: an observed instrument failed.");
      return resourceMetrics.scopeMetrics.flatMap(({ scope, metrics }) => metrics.map((data) => recordedMetric(scope.name, data)));
    },
  };
}

class OnDemandReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

function recordedMetric(scope: string, data: MetricData): RecordedMetric {
  const { name, unit, description } = data.descriptor;
  return { name, kind: kindOf(data), unit, description, scope, points: pointsOf(data) };
}

function kindOf(data: MetricData): RecordedMetric["kind"] {
  if (data.dataPointType === DataPointType.GAUGE) return "gauge";
  if (data.dataPointType !== DataPointType.SUM) return "histogram";
  return data.isMonotonic ? "counter" : "up-down counter";
}

function pointsOf(data: MetricData): readonly RecordedPoint[] {
  if (data.dataPointType === DataPointType.GAUGE || data.dataPointType === DataPointType.SUM) {
    const nothing = { count: undefined, sum: undefined, min: undefined, max: undefined };
    return data.dataPoints.map(({ attributes, value }) => ({ attributes, value, ...nothing }));
  }
  // The two kinds of histogram have what is read here in common.
  return data.dataPoints.map(({ attributes, value: { count, sum, min, max } }) => ({ attributes, value: undefined, count, sum, min, max }));
}
