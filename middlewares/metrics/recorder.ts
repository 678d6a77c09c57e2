import { createNoopMeter, metrics, ValueType, type Meter, type MeterProvider } from "@opentelemetry/api";
import { version } from "../../src/version.ts";
import { TRACER_NAME as SCOPE_NAME } from "../tracing/semconv.ts";
import { BoundedValues, type Labels } from "./bounded-values.ts";
import { isolated } from "./faults.ts";
import { definitions, type InstrumentName } from "./instruments.ts";

/**
 * Records a measurement; one that can't be recorded is lost, and nothing else is (telemetry.md K1). What it returns
 * records another value with the very same attributes.
 */
export type Recorder = (name: InstrumentName, value: number, labels: Labels) => (value: number) => void;

// One for each provider, so that one that is registered late, or takes another's place, is found at the next measurement.
const providers = new WeakMap<MeterProvider, Instruments>();

/**
 * The recorder of the meter provider that is registered now, or `undefined` if none is: then there is nothing to do.
 *
 * @param nameLimit how many distinct names an instrument takes.
 */
export function currentRecorder(nameLimit: number): Recorder | undefined {
  const provider = metrics.getMeterProvider();
  let instruments = providers.get(provider);
  if (instruments === undefined) {
    instruments = new Instruments();
    // Before it has a meter: a fault in getting one is counted, and so comes here again.
    providers.set(provider, instruments);
    instruments.meter = isolated.run("there are no metrics", () => provider.getMeter(SCOPE_NAME, version));
  }
  const { meter } = instruments;
  if (meter === undefined || meter === createNoopMeter()) return undefined;
  return (name, value, labels) => instruments.record(name, value, labels, nameLimit);
}

/** An instrument, and what bounds its attributes. */
interface Instrument {
  readonly measure: (value: number, attributes: Record<string, string>) => void;
  readonly values: BoundedValues;
}

/** The instruments of one provider, each made when it is first needed. */
class Instruments {
  /** `undefined` if there is none to be had. */
  meter: Meter | undefined;
  // `undefined` stands for an instrument that could not be made; it is not tried again.
  readonly #made = new Map<InstrumentName, Instrument | undefined>();

  record(name: InstrumentName, value: number, labels: Labels, limit: number): (value: number) => void {
    const instrument = this.#instrument(name);
    if (instrument === undefined) return () => undefined;
    const attributes = instrument.values.fold(labels, limit);
    const measure = (each: number): void => isolated.run(`a measurement of ${name} was lost`, () => instrument.measure(each, attributes));
    measure(value);
    return measure;
  }

  #instrument(name: InstrumentName): Instrument | undefined {
    const { meter } = this;
    if (meter !== undefined && !this.#made.has(name)) {
      this.#made.set(name, isolated.run(`there is no ${name}`, () => make(meter, name)));
    }
    return this.#made.get(name);
  }
}

function make(meter: Meter, name: InstrumentName): Instrument {
  const { kind, unit, description, buckets } = definitions[name];
  const valueType = unit === "s" ? ValueType.DOUBLE : ValueType.INT;
  const options = { unit, description, valueType };
  const values = new BoundedValues();
  if (kind === "histogram") {
    const histogram = meter.createHistogram(name, {
      ...options,
      ...(buckets === undefined ? {} : { advice: { explicitBucketBoundaries: [...buckets] } }),
    });
    return { values, measure: (value, attributes) => histogram.record(value, attributes) };
  }
  const counter = kind === "counter" ? meter.createCounter(name, options) : meter.createUpDownCounter(name, options);
  return { values, measure: (value, attributes) => counter.add(value, attributes) };
}
