import type { Attributes, TracerProvider } from "@opentelemetry/api";
import type { EmittedLog, Instrument } from "./emitted.ts";
import type { InstrumentationScope } from "./recorded-span.ts";

/** Where telemetry goes while a recorder is there. */
export interface Recording {
  readonly tracers: TracerProvider;
  emit(scope: InstrumentationScope, record: EmittedLog): void;
  measure(instrument: Instrument, value: number, attributes: Attributes | undefined): void;
  /** Has the stack of where the recorder was created. */
  readonly created: Error;
}

/** Calls a callback of observed instruments. */
export type Observer = (observe: Recording["measure"]) => unknown;

// Process-wide, so that an ESM and a CJS copy of this package agree.
const key: unique symbol = Symbol.for("durable-telemetry.recorder");
const holder = globalThis as { [key]?: { recording: Recording | undefined; readonly observers: Set<Observer> } };
const shared = (holder[key] ??= { recording: undefined, observers: new Set() });

/** All callbacks of observed instruments; those of earlier recorders go on with the next one. */
export const observers: Set<Observer> = shared.observers;

/** The recording that goes on now, if one does. */
export function currentRecording(): Recording | undefined {
  return shared.recording;
}

/** Makes `recording` the one that goes on; `undefined` ends it. */
export function setRecording(recording: Recording | undefined): void {
  shared.recording = recording;
}
