import type { Context } from "@opentelemetry/api";
import type { MiddlewareLogger } from "../../src/pipeline/index.ts";
import { registeredLoggerProvider, SeverityNumber, type Logger, type LoggerProvider } from "../../src/telemetry/logs-api.ts";
import { version } from "../../src/version.ts";
import { traceFields } from "./correlation.ts";
import type { Level, LogEntry } from "./entry.ts";
import { isolated } from "./faults.ts";
import { ATTR_EVENT_NAME, LOGGER_NAME } from "./semconv.ts";

/** Whether anybody gets what is written in `context`: where nobody does, nothing need be put together. */
export function isHeard(context: Context, logger: MiddlewareLogger | undefined): boolean {
  return logger !== undefined || isRecorded(context);
}

/** Writes an entry as an OpenTelemetry log record, and to `logger` if there is one. Neither one's fault reaches the other. */
export function write(entry: LogEntry, logger: MiddlewareLogger | undefined): void {
  isolated.run("a log record was lost", () => emit(entry));
  if (logger !== undefined) isolated.start("a line of the logger was lost", () => logger[entry.level](entry.line, fieldsOf(entry)));
}

// A provider gives the same logger each time; asking it anew may be expensive.
const loggers = new WeakMap<LoggerProvider, Logger>();

// Of the provider that is registered now; `undefined` if none is.
function currentLogger(): Logger | undefined {
  const provider = registeredLoggerProvider();
  if (provider === undefined) return undefined;
  let logger = loggers.get(provider);
  if (logger === undefined) {
    logger = provider.getLogger(LOGGER_NAME, version);
    loggers.set(provider, logger);
  }
  return logger;
}

function isRecorded(context: Context): boolean {
  const recorded = isolated.run("log records were lost", () => {
    const logger = currentLogger();
    if (logger === undefined) return false;
    // Loggers of OpenTelemetry SDK 2.x may have no `enabled`.
    return logger.enabled?.({ context }) ?? true;
  });
  return recorded ?? false;
}

const severities: Readonly<Record<Level, number>> = {
  error: SeverityNumber.ERROR,
  warn: SeverityNumber.WARN,
  info: SeverityNumber.INFO,
  debug: SeverityNumber.DEBUG,
};

function emit({ level, line, attributes, context, eventName, at }: LogEntry): void {
  currentLogger()?.emit({
    severityNumber: severities[level],
    severityText: level.toUpperCase(),
    body: line,
    attributes,
    context,
    ...(eventName === undefined ? {} : { eventName }),
    ...(at === undefined ? {} : { timestamp: at }),
  });
}

function fieldsOf({ attributes, context, eventName }: LogEntry): object {
  return { ...(eventName === undefined ? {} : { [ATTR_EVENT_NAME]: eventName }), ...attributes, ...traceFields(context) };
}
