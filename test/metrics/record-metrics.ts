/** A real MeterProvider, and what it has aggregated; and a way to know that workers are done. */
import { metrics, type Attributes } from "@opentelemetry/api";
import { DataPointType, MeterProvider, MetricReader, type MetricData } from "@opentelemetry/sdk-metrics";
import { onTestFinished } from "vitest";
import type { MiddlewareObject } from "../../src/index.ts";

/** What an instrument has of one set of attributes. */
export interface Point {
  readonly attributes: Attributes;
  /** How many measurements of a histogram; of a counter, what was counted. */
  readonly count: number;
  /** The sum of all measurements. */
  readonly sum: number;
}

/** What a provider has aggregated at one moment. */
export class Collected {
  readonly instruments: readonly MetricData[];

  constructor(instruments: readonly MetricData[]) {
    this.instruments = instruments;
  }

  instrument(name: string): MetricData | undefined {
    return this.instruments.find(({ descriptor }) => descriptor.name === name);
  }

  points(name: string): readonly Point[] {
    const data = this.instrument(name);
    if (data === undefined) return [];
    if (data.dataPointType === DataPointType.HISTOGRAM) {
      return data.dataPoints.map(({ attributes, value }) => ({ attributes, count: value.count, sum: value.sum ?? 0 }));
    }
    if (data.dataPointType !== DataPointType.SUM && data.dataPointType !== DataPointType.GAUGE)
      throw new Error(`${name} is no histogram, sum or gauge.`);
    return data.dataPoints.map(({ attributes, value }) => ({ attributes, count: value, sum: value }));
  }

  /** All points of `name` whose attributes have those of `where`, added up. */
  total(name: string, where: Attributes = {}): Omit<Point, "attributes"> {
    const points = this.points(name).filter(({ attributes }) =>
      Object.entries(where).every(([key, value]) => attributes[key] === value),
    );
    return {
      count: points.reduce((sum, each) => sum + each.count, 0),
      sum: points.reduce((sum, each) => sum + each.sum, 0),
    };
  }

  /** The counts of `name`, by the values of the attributes `keys`. */
  counts(name: string, ...keys: readonly string[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { attributes, count } of this.points(name)) {
      const label = keys.map((key) => String(attributes[key])).join(" ");
      counts[label] = (counts[label] ?? 0) + count;
    }
    return counts;
  }
}

class ManualReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** A provider that is collected by hand. */
export interface RecordedMetrics {
  readonly provider: MeterProvider;
  collect(): Promise<Collected>;
}

/** A provider that nobody knows yet. */
export function meterProvider(): RecordedMetrics {
  const reader = new ManualReader();
  return {
    provider: new MeterProvider({ readers: [reader] }),
    async collect() {
      const { resourceMetrics, errors } = await reader.collect();
      if (errors.length > 0) throw new AggregateError(errors);
      const scopes = resourceMetrics.scopeMetrics.filter(({ scope }) => scope.name === "durable-telemetry");
      return new Collected(scopes.flatMap((scope) => scope.metrics));
    },
  };
}

/** Registers a provider for one test, and unregisters it after that test. */
export function recordMetrics(): RecordedMetrics {
  const recorded = meterProvider();
  metrics.setGlobalMeterProvider(recorded.provider);
  onTestFinished(() => metrics.disable());
  return recorded;
}

/** Knows the work items that run: what a worker records of one, it has recorded when the work item is over. */
export class WorkItems {
  readonly #running = new Set<Promise<unknown>>();

  /** A middleware that watches; it goes before `metrics`. */
  get middleware(): MiddlewareObject {
    const running = this.#running;
    return {
      name: "work items",
      workItem: () => {
        const over = Promise.withResolvers<void>();
        running.add(over.promise);
        return {
          onEnd: () => {
            running.delete(over.promise);
            over.resolve();
          },
        };
      },
    };
  }

  /** Resolves when none runs. */
  async over(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
