import type { Attributes, Context, TimeInput } from "@opentelemetry/api";
import { registered } from "./api-globals.ts";

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
  enabled?(options: { readonly context: Context; readonly severityNumber?: number }): boolean;
}

/** An OpenTelemetry logger provider. */
export interface LoggerProvider {
  getLogger(name: string, version?: string): Logger;
}

/**
 * The logger provider that is registered now, with the OpenTelemetry API (SDK 3.x) or with `@opentelemetry/api-logs`
 * (SDK 2.x); `undefined` if none is.
 */
export function registeredLoggerProvider(): LoggerProvider | undefined {
  return (registered("logs") ?? registered("apiLogs")) as LoggerProvider | undefined;
}
