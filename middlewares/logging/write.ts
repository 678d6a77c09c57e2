import type { Attributes, Context } from "@opentelemetry/api";
import type { MiddlewareLogger } from "../../src/pipeline/index.ts";
import { attributesOf } from "../../src/telemetry/attribute-values.ts";
import { resultNow } from "../../src/telemetry/isolate.ts";
import { registeredLoggerProvider, SeverityNumber, type Logger, type LoggerProvider } from "../../src/telemetry/logs-api.ts";
import { recordedString } from "../../src/telemetry/recorded-string.ts";
import { logValueLimit } from "../../src/telemetry/value-limits.ts";
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
export function write(given: LogEntry, logger: MiddlewareLogger | undefined): void {
  const entry = bounded(given);
  isolated.start("a log record was lost", () => emit(entry));
  if (logger !== undefined) isolated.start("a line of the logger was lost", () => logger[entry.level](entry.line, fieldsOf(entry)));
}

// A provider gives the same logger each time; asking it anew may be expensive. `undefined` stands for one that can't be
// used: it is not asked again.
const loggers = new WeakMap<LoggerProvider, Logger | undefined>();

// Of the provider that is registered now; `undefined` if none is.
function currentLogger(): Logger | undefined {
  const provider = registeredLoggerProvider();
  if (provider === undefined) return undefined;
  if (!loggers.has(provider)) {
    // Before it is asked: what it throws is written to the worker's logger, which may come back here.
    loggers.set(provider, undefined);
    loggers.set(provider, isolated.run("there are no log records", () => checked(provider.getLogger(LOGGER_NAME, version))));
  }
  return loggers.get(provider);
}

function checked(logger: Logger): Logger {
  const { emit: method } = resultNow<Partial<Logger> | null>(logger, "getLogger") ?? {};
  if (typeof method !== "function") throw new TypeError("getLogger returned what has no method emit");
  return logger;
}

function isRecorded(context: Context): boolean {
  const recorded = isolated.run("log records were lost", () => {
    const logger = currentLogger();
    if (logger === undefined) return false;
    // Loggers of OpenTelemetry SDK 2.x may have no `enabled`.
    return resultNow(logger.enabled?.({ context }), "enabled") ?? true;
  });
  return recorded ?? false;
}

const severities: Readonly<Record<Level, number>> = {
  error: SeverityNumber.ERROR,
  warn: SeverityNumber.WARN,
  info: SeverityNumber.INFO,
  debug: SeverityNumber.DEBUG,
};

function emit({ level, line, attributes, context, eventName, at }: LogEntry): unknown {
  return currentLogger()?.emit({
    severityNumber: severities[level],
    severityText: level.toUpperCase(),
    body: line,
    attributes,
    context,
    ...(eventName === undefined ? {} : { eventName }),
    ...(at === undefined ? {} : { timestamp: at }),
  });
}

// The same for OpenTelemetry and for the logger. Whose it is can't be overwritten, and comes first, as there may be more
// attributes than a record takes.
function bounded({ line, attributes, added, ...entry }: LogEntry): LogEntry {
  const limit = logValueLimit();
  const readable = (source: object): Attributes => attributesOf(source, limit, attributeFault);
  const own = readable(attributes);
  return { ...entry, line: recordedString(line, limit), attributes: added === undefined ? own : { ...own, ...readable(added), ...own } };
}

const attributeFault = (error: unknown): void => isolated.fault("an attribute was not logged", error);

function fieldsOf({ attributes, context, eventName }: LogEntry): object {
  return { ...(eventName === undefined ? {} : { [ATTR_EVENT_NAME]: eventName }), ...attributes, ...traceFields(context) };
}
