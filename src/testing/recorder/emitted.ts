import type { Attributes, Context, TimeInput } from "@opentelemetry/api";

/** What a program passes to a logger of any version of the logs API. */
export interface EmittedLog {
  readonly timestamp?: TimeInput | undefined;
  readonly observedTimestamp?: TimeInput | undefined;
  readonly severityNumber?: number | undefined;
  readonly severityText?: string | undefined;
  readonly body?: unknown;
  readonly eventName?: string | undefined;
  readonly attributes?: Attributes | undefined;
  readonly exception?: unknown;
  readonly context?: Context | undefined;
}

/** An instrument that a program created. */
export interface Instrument {
  readonly name: string;
  readonly kind: "counter" | "up-down counter" | "gauge" | "histogram";
  readonly unit: string;
  readonly description: string;
  /** The name of its instrumentation scope. */
  readonly scope: string;
  /** Whether callbacks report its values: a counter's value is its total then, not an increment. */
  readonly observed: boolean;
  readonly isInteger: boolean;
  /** A histogram's boundaries, sorted. */
  readonly boundaries: readonly number[];
}
