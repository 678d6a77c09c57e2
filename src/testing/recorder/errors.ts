import type { TraceProblem } from "./trace-problems.ts";

/** The stable codes of a recorder's errors. */
export type TelemetryRecorderErrorCode =
  | "DURABLE_TELEMETRY_RECORDER_RUNNING"
  | "DURABLE_TELEMETRY_RECORDER_SHUT_DOWN"
  | "DURABLE_TELEMETRY_PROVIDER_REGISTERED"
  | "DURABLE_TELEMETRY_API_REFUSED"
  | "DURABLE_TELEMETRY_WAIT_TIMED_OUT"
  | "DURABLE_TELEMETRY_TRACE_UNKNOWN"
  | "DURABLE_TELEMETRY_TRACE_NOT_WHOLE";

/** An error of a telemetry recorder; `code` identifies it. */
export class TelemetryRecorderError extends Error {
  override readonly name = "TelemetryRecorderError";
  /** Stable code of this error. */
  readonly code: TelemetryRecorderErrorCode;
  /** All problems of the trace; empty except for `DURABLE_TELEMETRY_TRACE_NOT_WHOLE`. */
  readonly problems: readonly TraceProblem[];

  constructor(
    code: TelemetryRecorderErrorCode,
    message: string,
    more: ErrorOptions & { readonly problems?: readonly TraceProblem[] } = {},
  ) {
    super(message, more);
    this.code = code;
    this.problems = more.problems ?? [];
  }
}
