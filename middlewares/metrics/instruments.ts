import {
  createNoopMeter,
  metrics,
  ValueType,
  type Counter,
  type Meter,
  type MeterProvider,
  type UpDownCounter,
} from "@opentelemetry/api";
import { resultNow } from "../../src/telemetry/isolate.ts";
import { SCOPE_NAME } from "../../src/telemetry/semconv.ts";
import { version } from "../../src/version.ts";
import { BoundedValues, type Labels } from "./bounded-values.ts";
import { isolated } from "./faults.ts";
import { definitions, type InstrumentName } from "./definitions.ts";

// One for each provider, so that a provider that is registered late or replaces another is used at the next measurement.
const providers = new WeakMap<MeterProvider, Instruments>();

/** The instruments of the registered meter provider; `undefined` if there is none. */
export function currentInstruments(): Instruments | undefined {
  try {
    const instruments = instrumentsOf(metrics.getMeterProvider());
    const { meter } = instruments;
    return meter === undefined || meter === createNoopMeter() ? undefined : instruments;
  } catch (error) {
    isolated.fault("there are no metrics", error);
    return undefined;
  }
}

function instrumentsOf(provider: MeterProvider): Instruments {
  const known = providers.get(provider);
  if (known !== undefined) return known;
  const instruments = new Instruments();
  // Set before it has a meter: a fault in getting one is counted, which calls this function again.
  providers.set(provider, instruments);
  instruments.meter = checked(provider.getMeter(SCOPE_NAME, version), "getMeter", meterMethods);
  return instruments;
}

const meterMethods = ["createHistogram", "createCounter", "createUpDownCounter"] as const;

/** The return value of a provider's method, if it has the required members. */
function checked<T extends object>(returned: T, method: string, members: readonly (keyof T & string)[]): T {
  const given: Partial<T> | null | undefined = resultNow<Partial<T> | null | undefined>(returned, method);
  const missing = members.filter((member) => typeof given?.[member] !== "function");
  if (missing.length === 0) return returned;
  throw new TypeError(
    `${method} returned ${given === null ? "null" : typeof given}, which has no ${missing.join(", ")}`,
  );
}

/** An instrument, and what bounds its attributes. */
interface Instrument {
  readonly measure: (value: number, attributes: Record<string, string>) => unknown;
  readonly values: BoundedValues;
}

/** The instruments of one provider, each created when it is first needed. */
export class Instruments {
  /** `undefined` if the provider has none. */
  meter: Meter | undefined;
  // `undefined` stands for an instrument that could not be created; it is not tried again.
  readonly #created = new Map<InstrumentName, Instrument | undefined>();

  /**
   * Records a measurement; one that can't be recorded is lost, and nothing else is (telemetry.md K1).
   *
   * @param limit how many distinct names an instrument takes.
   */
  record(name: InstrumentName, value: number, labels: Labels, limit: number): void {
    const instrument = this.#instrument(name);
    if (instrument !== undefined) measure(name, instrument, value, instrument.values.fold(labels, limit));
  }

  /** Records values with the same attributes, now and later. */
  bound(name: InstrumentName, labels: Labels, limit: number): (value: number) => void {
    const instrument = this.#instrument(name);
    const attributes = instrument?.values.fold(labels, limit);
    return (value) => {
      if (instrument !== undefined && attributes !== undefined) measure(name, instrument, value, attributes);
    };
  }

  #instrument(name: InstrumentName): Instrument | undefined {
    const { meter } = this;
    if (meter !== undefined && !this.#created.has(name)) {
      this.#created.set(
        name,
        isolated.run(`there is no ${name}`, () => make(meter, name)),
      );
    }
    return this.#created.get(name);
  }
}

function measure(
  name: InstrumentName,
  instrument: Instrument,
  value: number,
  attributes: Record<string, string>,
): void {
  try {
    const returned = instrument.measure(value, attributes);
    if (returned !== undefined) isolated.start(`a measurement of ${name} was lost`, () => returned);
  } catch (error) {
    isolated.fault(`a measurement of ${name} was lost`, error);
  }
}

function make(meter: Meter, name: InstrumentName): Instrument {
  const { kind, unit, description, buckets } = definitions[name];
  const valueType = unit === "s" ? ValueType.DOUBLE : ValueType.INT;
  const options = { unit, description, valueType };
  const values = new BoundedValues();
  if (kind === "histogram") {
    const advice = buckets === undefined ? {} : { advice: { explicitBucketBoundaries: [...buckets] } };
    const histogram = checked(meter.createHistogram(name, { ...options, ...advice }), "createHistogram", ["record"]);
    return { values, measure: (value, attributes) => histogram.record(value, attributes) };
  }
  const counter: Counter | UpDownCounter =
    kind === "counter"
      ? checked(meter.createCounter(name, options), "createCounter", ["add"])
      : checked(meter.createUpDownCounter(name, options), "createUpDownCounter", ["add"]);
  return { values, measure: (value, attributes) => counter.add(value, attributes) };
}
