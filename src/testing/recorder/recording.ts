import type { LoggerProvider, MeterProvider, TracerProvider } from "@opentelemetry/api";

/** Where telemetry goes while a recorder is there. */
export interface Recording {
  readonly tracers: TracerProvider;
  readonly loggers: LoggerProvider;
  /** Another one after each reset. */
  readonly meters: MeterProvider;
  /** Is called after each measurement. */
  measured(): void;
  /** Has the stack of where the recorder was created. */
  readonly created: Error;
}

// Process-wide, so that an ESM and a CJS copy of this package agree.
const key: unique symbol = Symbol.for("durable-telemetry.recording");
const holder = globalThis as { [key]?: Recording | undefined };

/** The recording that goes on now, if one does. */
export function currentRecording(): Recording | undefined {
  return holder[key];
}

/** Makes `recording` the one that goes on; `undefined` ends it. */
export function setRecording(recording: Recording | undefined): void {
  holder[key] = recording;
}
