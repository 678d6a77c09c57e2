import type {
  Attributes,
  BatchObservableCallback,
  Counter,
  Gauge,
  Histogram,
  Meter,
  MeterProvider,
  MetricOptions,
  Observable,
  ObservableCallback,
  UpDownCounter,
} from "@opentelemetry/api";
import { currentRecording } from "./recording.ts";

type Definition = [name: string, options?: MetricOptions];

/**
 * A provider whose instruments measure in the recording of the moment, and tell it: those who took an instrument keep
 * it, over resets and from one recorder to the next.
 *
 * It is a new object each time, so that what is kept for each provider, as the limits of `metrics` are, starts anew.
 */
export function forwardingMeters(): MeterProvider {
  return { getMeter: (...scope) => new ForwardingMeter(scope) };
}

// What must be there before anything asks for it: instruments that are observed, when metrics are collected.
const observed = new Set<() => unknown>();

/** Makes all instruments that are observed part of a recording that has begun, or has new meters. */
export function observeAll(): void {
  for (const observe of observed) observe();
}

/** Whether there are instruments that are observed. */
export function isAnyObserved(): boolean {
  return observed.size > 0;
}

class ForwardingMeter implements Meter {
  readonly #scope: Parameters<MeterProvider["getMeter"]>;

  constructor(scope: Parameters<MeterProvider["getMeter"]>) {
    this.#scope = scope;
  }

  createCounter<A extends Attributes>(...definition: Definition): Counter<A> {
    const counter = this.#inEach((meter) => meter.createCounter<A>(...definition));
    return { add: (...measurement) => measure(() => counter()?.add(...measurement)) };
  }

  createUpDownCounter<A extends Attributes>(...definition: Definition): UpDownCounter<A> {
    const counter = this.#inEach((meter) => meter.createUpDownCounter<A>(...definition));
    return { add: (...measurement) => measure(() => counter()?.add(...measurement)) };
  }

  createHistogram<A extends Attributes>(...definition: Definition): Histogram<A> {
    const histogram = this.#inEach((meter) => meter.createHistogram<A>(...definition));
    return { record: (...measurement) => measure(() => histogram()?.record(...measurement)) };
  }

  createGauge<A extends Attributes>(...definition: Definition): Gauge<A> {
    const gauge = this.#inEach((meter) => meter.createGauge<A>(...definition));
    return { record: (...measurement) => measure(() => gauge()?.record(...measurement)) };
  }

  createObservableCounter<A extends Attributes>(...definition: Definition): Observable<A> {
    return this.#observable((meter) => meter.createObservableCounter<A>(...definition));
  }

  createObservableUpDownCounter<A extends Attributes>(...definition: Definition): Observable<A> {
    return this.#observable((meter) => meter.createObservableUpDownCounter<A>(...definition));
  }

  createObservableGauge<A extends Attributes>(...definition: Definition): Observable<A> {
    return this.#observable((meter) => meter.createObservableGauge<A>(...definition));
  }

  readonly #batches = new Map<BatchObservableCallback<never>, () => unknown>();

  addBatchObservableCallback<A extends Attributes>(callback: BatchObservableCallback<A>, observables: Observable<A>[]): void {
    // The SDK knows its own instruments only.
    const own = (each: Observable<A>): Observable<A> => (each instanceof ForwardingObservable ? (each.now() ?? each) : each);
    const add = this.#inEach((meter) => {
      meter.addBatchObservableCallback<A>((result) => {
        if (this.#batches.get(callback) !== add) return undefined;
        return callback({ observe: (each, ...observation) => result.observe(own(each), ...observation) });
      }, observables.map(own));
      return true;
    });
    this.#batches.set(callback, add);
    observed.add(add);
    add();
  }

  removeBatchObservableCallback<A extends Attributes>(callback: BatchObservableCallback<A>): void {
    const add = this.#batches.get(callback);
    if (add === undefined) return;
    this.#batches.delete(callback);
    observed.delete(add);
  }

  #observable<A extends Attributes>(make: (meter: Meter) => Observable<A>): Observable<A> {
    const observable = new ForwardingObservable<A>((withCallbacks) => this.#inEach((meter) => withCallbacks(make(meter))));
    observed.add(observable.now);
    observable.now();
    return observable;
  }

  /** What `make` makes, once for each provider; `undefined` while there is none. */
  #inEach<T>(make: (meter: Meter) => T): () => T | undefined {
    const made = new WeakMap<MeterProvider, { readonly instrument: T }>();
    return () => {
      const provider = currentRecording()?.meters;
      if (provider === undefined) return undefined;
      let entry = made.get(provider);
      if (entry === undefined) {
        entry = { instrument: make(provider.getMeter(...this.#scope)) };
        made.set(provider, entry);
      }
      return entry.instrument;
    };
  }
}

function measure(record: () => void): void {
  record();
  currentRecording()?.measured();
}

class ForwardingObservable<A extends Attributes> implements Observable<A> {
  readonly #callbacks = new Set<ObservableCallback<A>>();
  /** The instrument of the moment. */
  readonly now: () => Observable<A> | undefined;

  constructor(inEach: (withCallbacks: (made: Observable<A>) => Observable<A>) => () => Observable<A> | undefined) {
    this.now = inEach((made) => {
      for (const callback of this.#callbacks) made.addCallback(callback);
      return made;
    });
  }

  addCallback(callback: ObservableCallback<A>): void {
    const instrument = this.now();
    this.#callbacks.add(callback);
    instrument?.addCallback(callback);
  }

  removeCallback(callback: ObservableCallback<A>): void {
    this.#callbacks.delete(callback);
    this.now()?.removeCallback(callback);
  }
}
