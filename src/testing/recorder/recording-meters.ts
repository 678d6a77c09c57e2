import {
  ValueType,
  type Attributes,
  type BatchObservableCallback,
  type Counter,
  type Gauge,
  type Histogram,
  type Meter,
  type MeterProvider,
  type MetricOptions,
  type Observable,
  type ObservableCallback,
} from "@opentelemetry/api";
import type { Instrument } from "./emitted.ts";
import { currentRecording, observers, type Observer } from "./recording.ts";

/**
 * A provider whose instruments measure in the recording of the moment: those who took an instrument keep it, over resets
 * and from one recorder to the next.
 *
 * It is a new object each time, so that what is kept for each provider, as the limits of `metrics` are, starts anew.
 */
export function recordingMeters(): MeterProvider {
  const meters = new Map<string, RecordingMeter>();
  return {
    getMeter(...scope) {
      const key = JSON.stringify(scope);
      const meter = meters.get(key) ?? new RecordingMeter(scope[0]);
      meters.set(key, meter);
      return meter;
    },
  };
}

type Definition = [name: string, options?: MetricOptions];

class RecordingMeter implements Meter {
  readonly #scope: string;
  readonly #batches = new Map<unknown, { readonly own: Set<unknown>; readonly observer: Observer }>();

  constructor(scope: string) {
    this.#scope = scope;
  }

  createCounter<A extends Attributes>(...definition: Definition): Counter<A> {
    return { add: this.#measure("counter", definition) };
  }

  createUpDownCounter<A extends Attributes>(...definition: Definition): Counter<A> {
    return { add: this.#measure("up-down counter", definition) };
  }

  createHistogram<A extends Attributes>(...definition: Definition): Histogram<A> {
    return { record: this.#measure("histogram", definition) };
  }

  createGauge<A extends Attributes>(...definition: Definition): Gauge<A> {
    return { record: this.#measure("gauge", definition) };
  }

  createObservableCounter<A extends Attributes>(...definition: Definition): Observable<A> {
    return new Observed(this.#instrument("counter", definition, true));
  }

  createObservableUpDownCounter<A extends Attributes>(...definition: Definition): Observable<A> {
    return new Observed(this.#instrument("up-down counter", definition, true));
  }

  createObservableGauge<A extends Attributes>(...definition: Definition): Observable<A> {
    return new Observed(this.#instrument("gauge", definition, true));
  }

  addBatchObservableCallback<A extends Attributes>(
    callback: BatchObservableCallback<A>,
    observables: Observable<A>[],
  ): void {
    const own = this.#batches.get(callback)?.own ?? new Set();
    for (const observable of observables) own.add(observable);
    if (this.#batches.has(callback)) return;
    const observer: Observer = (observe) =>
      callback({
        observe: (observable, value, attributes) => {
          if (observable instanceof Observed && own.has(observable)) observe(observable.instrument, value, attributes);
        },
      });
    this.#batches.set(callback, { own, observer });
    observers.add(observer);
  }

  removeBatchObservableCallback<A extends Attributes>(
    callback: BatchObservableCallback<A>,
    observables: Observable<A>[],
  ): void {
    const batch = this.#batches.get(callback);
    if (batch === undefined) return;
    for (const observable of observables) batch.own.delete(observable);
    if (batch.own.size > 0) return;
    observers.delete(batch.observer);
    this.#batches.delete(callback);
  }

  #measure(kind: Instrument["kind"], definition: Definition): (value: number, attributes?: Attributes) => void {
    const instrument = this.#instrument(kind, definition);
    return (value, attributes) => currentRecording()?.measure(instrument, value, attributes);
  }

  #instrument(kind: Instrument["kind"], [name, options = {}]: Definition, observed = false): Instrument {
    const { unit = "", description = "", valueType, advice } = options;
    const boundaries = advice?.explicitBucketBoundaries?.toSorted((a, b) => a - b) ?? defaultBoundaries;
    return {
      scope: this.#scope,
      name,
      kind,
      unit,
      description,
      observed,
      isInteger: valueType === ValueType.INT,
      boundaries,
    };
  }
}

// As in the specification of OpenTelemetry's SDKs.
const defaultBoundaries: readonly number[] = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];

class Observed<A extends Attributes> implements Observable<A> {
  readonly instrument: Instrument;
  readonly #callbacks = new Map<ObservableCallback<A>, Observer>();

  constructor(instrument: Instrument) {
    this.instrument = instrument;
  }

  addCallback(callback: ObservableCallback<A>): void {
    this.removeCallback(callback);
    const observer: Observer = (observe) =>
      callback({ observe: (value, attributes) => observe(this.instrument, value, attributes) });
    this.#callbacks.set(callback, observer);
    observers.add(observer);
  }

  removeCallback(callback: ObservableCallback<A>): void {
    const observer = this.#callbacks.get(callback);
    if (observer !== undefined) observers.delete(observer);
    this.#callbacks.delete(callback);
  }
}
