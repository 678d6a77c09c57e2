import type { Attributes, Context, TimeInput } from "@opentelemetry/api";

/** The severity numbers of OpenTelemetry's log data model that this package uses. */
export const SeverityNumber = { DEBUG: 5, INFO: 9, WARN: 13, ERROR: 17 } as const;

/** A log record, as far as this package writes one. */
export interface LogRecord {
  readonly eventName?: string;
  readonly timestamp?: TimeInput;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: string;
  readonly attributes: Attributes;
  readonly context: Context;
}

/** An OpenTelemetry logger. Those of SDK 2.x may lack `enabled`. */
export interface Logger {
  emit(record: LogRecord): void;
  enabled?(options: { readonly context: Context }): boolean;
}

/** An OpenTelemetry logger provider. */
export interface LoggerProvider {
  getLogger(name: string, version?: string): Logger;
}

// Where the copies of an API in a process find one another. SDK 3.x registers its logger provider with API 1.10 and later;
// SDK 2.x with the package @opentelemetry/api-logs, whose versions all ask for generation 1 of it.
const api = Symbol.for("opentelemetry.js.api.1");
const apiLogs = Symbol.for("io.opentelemetry.js.api.logs");
const apiLogsGeneration = 1;

/**
 * The logger provider that is registered now, with the OpenTelemetry API or with `@opentelemetry/api-logs`; `undefined` if
 * none is. Read from the process's globals, as API 1.9 has no logs and this package depends on no version of either.
 */
export function registeredLoggerProvider(): LoggerProvider | undefined {
  const globals = globalThis as { [api]?: { readonly logs?: LoggerProvider }; [apiLogs]?: (generation: number) => LoggerProvider | undefined };
  return globals[api]?.logs ?? globals[apiLogs]?.(apiLogsGeneration);
}
