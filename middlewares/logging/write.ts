import type { Attributes, Context } from "@opentelemetry/api";
import type { MiddlewareLogger } from "../../src/pipeline/index.ts";
import { attributesOf } from "../../src/telemetry/attribute-values.ts";
import { resultNow } from "../../src/telemetry/isolate.ts";
import {
  registeredLoggerProvider,
  SeverityNumber,
  type Logger,
  type LoggerProvider,
  type LogRecord,
} from "../../src/telemetry/logs-api.ts";
import { recordedString, recordedStrings } from "../../src/telemetry/recorded-string.ts";
import { SCOPE_NAME } from "../../src/telemetry/semconv.ts";
import { logValueLimit } from "../../src/telemetry/value-limits.ts";
import { version } from "../../src/version.ts";
import { traceFields } from "./correlation.ts";
import { isolated } from "./faults.ts";

export type Level = keyof MiddlewareLogger;

/** A log entry, before it becomes an OpenTelemetry log record or a line of the user's logger. */
export interface LogEntry {
  readonly level: Level;
  /** The readable line. */
  readonly line: string;
  /** The identity of the work item, and what happened. */
  readonly attributes: Attributes;
  /** The user's attributes, with any values. */
  readonly added?: object;
  /** The context with the span that it belongs to. */
  readonly context: Context;
  /** The name of the event; a line of the user's has none. */
  readonly eventName?: string;
  /** The time of the event, if it is not now. */
  readonly at?: Date | undefined;
}

// Log records have a field for it; for the user's logger it is an attribute.
const ATTR_EVENT_NAME = "event.name";

/** Whether anybody receives entries that are written in `context`; if not, none need be created. */
export function isReceived(context: Context, logger: MiddlewareLogger | undefined, level?: Level): boolean {
  return logger !== undefined || isRecorded(context, level);
}

/** Writes an entry as an OpenTelemetry log record, and to `logger` if there is one. A fault of one does not affect the other. */
export function write(given: LogEntry, logger: MiddlewareLogger | undefined): void {
  const entry = bounded(given);
  try {
    const returned = emit(entry);
    if (returned !== undefined) isolated.start("a log record was lost", () => returned);
  } catch (error) {
    isolated.fault("a log record was lost", error);
  }
  if (logger !== undefined)
    isolated.start("a line of the logger was lost", () => logger[entry.level](entry.line, fieldsOf(entry)));
}

// A provider returns the same logger each time, and asking again can be expensive. `undefined` stands for a provider that
// can't be used; it is not asked again.
const loggers = new WeakMap<LoggerProvider, Logger | undefined>();

// The logger of the registered provider; `undefined` if there is none.
function currentLogger(): Logger | undefined {
  const provider = registeredLoggerProvider();
  if (provider === undefined) return undefined;
  if (!loggers.has(provider)) {
    // Set before it is asked: its error is written to the worker's logger, which can call this function again.
    loggers.set(provider, undefined);
    loggers.set(
      provider,
      isolated.run("there are no log records", () => checked(provider.getLogger(SCOPE_NAME, version))),
    );
  }
  return loggers.get(provider);
}

/** Whether a logger provider is registered now. */
export function hasLoggerProvider(): boolean {
  return registeredLoggerProvider() !== undefined;
}

function checked(logger: Logger): Logger {
  const { emit: method } = resultNow<Partial<Logger> | null>(logger, "getLogger") ?? {};
  if (typeof method !== "function") throw new TypeError("getLogger returned what has no method emit");
  return logger;
}

function isRecorded(context: Context, level: Level | undefined): boolean {
  try {
    const logger = currentLogger();
    if (logger === undefined) return false;
    // Loggers of OpenTelemetry SDK 2.x may have no `enabled`.
    const asked = level === undefined ? { context } : { context, severityNumber: severities[level] };
    return logger.enabled === undefined || (resultNow(logger.enabled(asked), "enabled") ?? true);
  } catch (error) {
    isolated.fault("log records were lost", error);
    return false;
  }
}

const severities: Readonly<Record<Level, number>> = {
  error: SeverityNumber.ERROR,
  warn: SeverityNumber.WARN,
  info: SeverityNumber.INFO,
  debug: SeverityNumber.DEBUG,
};

function emit({ level, line, attributes, context, eventName, at }: LogEntry): unknown {
  const record: Mutable<LogRecord> = {
    severityNumber: severities[level],
    severityText: level.toUpperCase(),
    body: line,
    attributes,
    context,
  };
  if (eventName !== undefined) record.eventName = eventName;
  if (at !== undefined) record.timestamp = at;
  return currentLogger()?.emit(record);
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

// The same for OpenTelemetry and for the logger. The identity can't be overwritten, and is first, because there may be more
// attributes than a record can have.
function bounded(entry: LogEntry): LogEntry {
  const limit = logValueLimit();
  const line = recordedString(entry.line, limit);
  const own = recordedStrings(entry.attributes, limit);
  if (entry.added !== undefined)
    return { ...entry, line, attributes: { ...own, ...attributesOf(entry.added, limit, attributeFault), ...own } };
  return line === entry.line && own === entry.attributes ? entry : { ...entry, line, attributes: own };
}

const attributeFault = (error: unknown): void => isolated.fault("an attribute was not logged", error);

function fieldsOf({ attributes, context, eventName }: LogEntry): object {
  return {
    ...(eventName === undefined ? {} : { [ATTR_EVENT_NAME]: eventName }),
    ...attributes,
    ...traceFields(context),
  };
}
