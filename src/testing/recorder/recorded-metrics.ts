import { diag, type Attributes } from "@opentelemetry/api";
import type { Instrument } from "./emitted.ts";
import { observers } from "./recording.ts";

/** The measurements with one set of attributes. */
export interface RecordedPoint {
  readonly attributes: Attributes;
  /** The value of a counter, an up-down counter or a gauge; `undefined` for a histogram. */
  readonly value: number | undefined;
  /** How many measurements a histogram has; `undefined` for other kinds, like all members below. */
  readonly count: number | undefined;
  /** The sum of a histogram's measurements. */
  readonly sum: number | undefined;
  /** The smallest of a histogram's measurements. */
  readonly min: number | undefined;
  /** The largest of a histogram's measurements. */
  readonly max: number | undefined;
  /** The number of a histogram's measurements up to each boundary that the instrument advises, and above the last one. */
  readonly buckets: { readonly boundaries: readonly number[]; readonly counts: readonly number[] } | undefined;
}

/** The measurements of an instrument. */
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

/** What was measured since a recorder was created or reset. */
export class Measurements {
  readonly #metrics = new Map<
    string,
    { readonly instrument: Instrument; readonly points: Map<string, RecordedPoint> }
  >();

  readonly measure = (instrument: Instrument, given: number, attributes: Attributes = {}): void => {
    const { name, kind, unit, scope, isInteger } = instrument;
    const value = isInteger ? Math.trunc(given) : given;
    // As the SDKs do: such a measurement is none.
    if (
      typeof given !== "number" ||
      ((kind === "counter" || kind === "histogram") && value < 0) ||
      ((kind === "histogram" || isInteger) && Number.isNaN(value))
    ) {
      diag.warn(`The ${kind} ${name} can't measure ${given}.`);
      return;
    }
    // Several of one definition are one instrument.
    const key = JSON.stringify([scope, name.toLowerCase(), kind, unit, isInteger, instrument.observed]);
    const metric = this.#metrics.get(key) ?? { instrument, points: new Map<string, RecordedPoint>() };
    this.#metrics.set(key, metric);
    const series = JSON.stringify(Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    metric.points.set(series, measured(metric.instrument, metric.points.get(series), value, attributes));
  };

  /** @throws AggregateError with the errors of the callbacks of observable instruments. */
  async collect(): Promise<readonly RecordedMetric[]> {
    // By the specification, what callbacks no longer observe is gone. (The SDKs 2.12 and 3.1 keep its last value.)
    const observed = new Measurements();
    const called = await Promise.allSettled([...observers].map(async (observer) => observer(observed.measure)));
    const errors = called.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    if (errors.length > 0)
      throw new AggregateError(errors, "Metrics could not be collected: an observed instrument failed.");
    return [...this.#recorded(), ...observed.#recorded()];
  }

  #recorded(): readonly RecordedMetric[] {
    return [...this.#metrics.values()].map(({ instrument: { name, kind, unit, description, scope }, points }) => ({
      name,
      kind,
      unit,
      description,
      scope,
      points: [...points.values()],
    }));
  }
}

/** The point after a measurement; points are not changed, since tests may have them. */
function measured(
  { kind, observed, boundaries }: Instrument,
  before: RecordedPoint | undefined,
  value: number,
  given: Attributes,
): RecordedPoint {
  const attributes = before?.attributes ?? { ...given };
  if (kind === "histogram") {
    const { count = 0, sum = 0, min = Infinity, max = -Infinity, buckets } = before ?? {};
    const counts = buckets?.counts ?? [...boundaries.map(() => 0), 0];
    const above = boundaries.findIndex((boundary) => value <= boundary);
    const index = above < 0 ? boundaries.length : above;
    return {
      attributes,
      value: undefined,
      count: count + 1,
      sum: sum + value,
      min: Math.min(min, value),
      max: Math.max(max, value),
      buckets: { boundaries, counts: counts.with(index, (counts[index] ?? 0) + 1) },
    };
  }
  const total = kind === "gauge" || observed ? value : (before?.value ?? 0) + value;
  return {
    attributes,
    value: total,
    count: undefined,
    sum: undefined,
    min: undefined,
    max: undefined,
    buckets: undefined,
  };
}
