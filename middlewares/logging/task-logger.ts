import { format } from "../../src/on-demand.ts";
import type { MiddlewareLogger, WorkItem } from "../../src/pipeline/index.ts";
import { isError } from "../../src/telemetry/attribute-values.ts";
import { failureFrom } from "../../src/telemetry/failure-causes.ts";
import { contextOfCode, identityAttributes } from "./correlation.ts";
import { exceptionAttributes } from "./exception.ts";
import { isolated } from "./faults.ts";
import type { LoggingOptions } from "./options.ts";
import { isReceived, write, type Level } from "./write.ts";

/**
 * The logger that the code of a work item gets (telemetry.md L2): its entries belong to the work item and its span. The
 * engine silences an orchestration's logger during replay.
 */
export class TaskLogger implements MiddlewareLogger {
  readonly #item: WorkItem;
  readonly #logger: MiddlewareLogger | undefined;
  readonly #tags: readonly string[] | undefined;

  /** @param options with the user's logger; without one, entries go unchanged to the worker's own logger. */
  constructor(item: WorkItem, { logger, tags }: LoggingOptions) {
    this.#item = item;
    this.#logger = logger;
    this.#tags = tags;
  }

  error(message: string, ...args: unknown[]): void {
    this.#write("error", message, args);
  }
  warn(message: string, ...args: unknown[]): void {
    this.#write("warn", message, args);
  }
  info(message: string, ...args: unknown[]): void {
    this.#write("info", message, args);
  }
  debug(message: string, ...args: unknown[]): void {
    this.#write("debug", message, args);
  }

  #write(level: Level, message: string, args: readonly unknown[]): void {
    isolated.run("a line of the task's code was lost", () => alone(() => this.#writeLine(level, message, args)));
  }

  #writeLine(level: Level, message: string, args: readonly unknown[]): void {
    if (this.#logger === undefined) {
      isolated.start("a line of the worker's logger was lost", () => this.#item.logger[level](message, ...args));
    }
    const context = contextOfCode(this.#item);
    if (!isReceived(context, this.#logger)) return;
    write(
      { level, ...read(message, args), attributes: identityAttributes(this.#item, this.#tags), context },
      this.#logger,
    );
  }
}

let writing = false;

// A logger that writes another line for each line would never end.
function alone(writeLine: () => void): void {
  if (writing) throw new Error("a logger or a log record processor writes to currentLogger() or ctx.logger itself");
  writing = true;
  try {
    writeLine();
  } finally {
    writing = false;
  }
}

/** A line with its attributes. */
interface Line {
  readonly line: string;
  readonly added: object;
}

// A last argument that is an object has the attributes, and an error before it or in its place is the exception. All other
// arguments belong to the line, as with the console, and so does each one that the line has a placeholder for.
function read(message: unknown, args: readonly unknown[]): Line {
  const rest = args.slice(placesIn(message));
  const placed = args.slice(0, args.length - rest.length);
  const attributes = isPlainObject(rest.at(-1)) ? (rest.pop() as object) : {};
  const error = isError(rest.at(-1)) ? rest.pop() : undefined;
  if (isError(message)) {
    const { type, message: line } = failureFrom(message);
    return { line: format(`${type}: ${line}`, ...placed, ...rest), added: withException(attributes, error ?? message) };
  }
  return { line: format(message, ...placed, ...rest), added: withException(attributes, error) };
}

function placesIn(message: unknown): number {
  if (typeof message !== "string" || !message.includes("%")) return 0;
  return [...message.matchAll(/%[%sdifjoOc]/g)].filter(([place]) => place !== "%%").length;
}

function isPlainObject(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

// Loggers expect an error under these names; it is the exception unless there is another one.
const errorNames = ["err", "error"] as const;

function withException(attributes: object, error: unknown): object {
  if (error !== undefined) return { ...exceptionAttributes(failureFrom(error)), ...attributes };
  for (const name of errorNames) {
    const { [name]: value, ...others } = attributes as Readonly<Record<string, unknown>>;
    if (isError(value)) return { ...exceptionAttributes(failureFrom(value)), ...others };
  }
  return attributes;
}
