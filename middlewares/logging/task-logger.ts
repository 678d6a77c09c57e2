import { format } from "node:util";
import type { Attributes } from "@opentelemetry/api";
import type { AnyWorkItem, MiddlewareLogger } from "../../src/pipeline/index.ts";
import { contextOfCode, identityAttributes } from "./correlation.ts";
import type { Level } from "./entry.ts";
import { isolated } from "./faults.ts";
import * as semconv from "./semconv.ts";
import { isHeard, write } from "./write.ts";

/**
 * The logger that the code of a work item gets (telemetry.md L2): what it writes belongs to the work item and its span.
 * The engine makes an orchestration's replay-safe.
 *
 * @param logger the user's; without one, what is written goes to the worker's own logger, as it is.
 */
export function taskLogger(item: AnyWorkItem, logger: MiddlewareLogger | undefined): MiddlewareLogger {
  const writeLine = (level: Level, message: string, args: readonly unknown[]): void => {
    if (logger === undefined) {
      isolated.start("a line of the worker's logger was lost", () => item.facts.logger[level](message, ...args));
    }
    const context = contextOfCode(item);
    if (!isHeard(context, logger)) return;
    const { line, attributes } = read(message, args);
    const identity = identityAttributes(item);
    // Whose it is can't be overwritten, and comes first, as there may be more attributes than a record takes.
    write({ level, line, attributes: { ...identity, ...attributes, ...identity }, context }, logger);
  };
  const at =
    (level: Level) =>
    (message: string, ...args: unknown[]): void =>
      isolated.run("a line of the task's code was lost", () => alone(() => writeLine(level, message, args)));
  return { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
}

let writing = false;

// What gets a line and writes one of its own in turn would never come to an end.
function alone(writeLine: () => void): void {
  if (writing) throw new Error("a logger or a log record processor writes to currentLogger() or ctx.logger itself");
  writing = true;
  try {
    writeLine();
  } finally {
    writing = false;
  }
}

// An object at the end holds attributes, and an error before it or at the end is the exception; all else belongs to the
// line, as in the console, and so does what the line has a place for.
function read(message: unknown, args: readonly unknown[]): { readonly line: string; readonly attributes: Attributes } {
  const places = typeof message === "string" ? [...message.matchAll(/%[%sdifjoOc]/g)].filter(([place]) => place !== "%%").length : 0;
  const placed = args.slice(0, places);
  const rest = args.slice(places);
  const attributes = isPlainObject(rest.at(-1)) ? (rest.pop() as Attributes) : {};
  const error = rest.at(-1) instanceof Error ? (rest.pop() as Error) : undefined;
  return { line: format(message, ...placed, ...rest), attributes: { ...exceptionAttributes(error), ...attributes } };
}

function isPlainObject(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function exceptionAttributes(error: Error | undefined): Attributes {
  if (error === undefined) return {};
  return {
    [semconv.ATTR_EXCEPTION_TYPE]: error.name,
    [semconv.ATTR_EXCEPTION_MESSAGE]: error.message,
    ...(error.stack === undefined ? {} : { [semconv.ATTR_EXCEPTION_STACKTRACE]: error.stack }),
  };
}
