/**
 * A process's own account of what it does and records, in a file that outlives it: for tests of what dies with a process.
 * Each entry is in the file before anything else happens, so the account is true up to the moment of a SIGKILL.
 */
import { appendFileSync } from "node:fs";
import { logs, metrics, type Attributes, type LogRecord } from "@opentelemetry/api";
import type { EventRecord, Measurement } from "./counted-once-history.ts";

/**
 * What a process has come to with a work item: it began; the code of the activity runs; the response stands and is about
 * to leave; the process hears that the hub has taken it; all that there is to tell of the work item has been recorded.
 */
export type Step = "began" | "runs" | "answers" | "accepted" | "told";

export type Entry =
  | ({ readonly kind: "measurement" } & Measurement)
  | ({ readonly kind: "log" } & EventRecord)
  | { readonly kind: Step; readonly workItem: string }
  | { readonly kind: "flushed" };

/** Writes the account. */
export class Ledger {
  readonly #file: string;
  readonly #beforeEntry: (entry: Entry) => void;

  /**
   * @param file may exist already.
   * @param beforeEntry called before an entry is written.
   */
  constructor(file: string, beforeEntry: (entry: Entry) => void = () => undefined) {
    this.#file = file;
    this.#beforeEntry = beforeEntry;
    // It may stay empty.
    appendFileSync(file, "");
  }

  /** From now on, what is recorded through the API is written down too. */
  watch(): void {
    const meters = watched(metrics.getMeterProvider(), (_scope, meter) =>
      watched(meter, ([instrument], made) =>
        watched(made, ([value, attributes]) =>
          this.#measured(String(instrument), Number(value), attributes as Attributes),
        ),
      ),
    );
    const loggers = watched(logs.getLoggerProvider(), (_scope, logger) =>
      watched(logger, ([record], result, method) => {
        if (method === "emit") this.#wrote(record as LogRecord);
        return result;
      }),
    );
    metrics.disable();
    logs.disable();
    metrics.setGlobalMeterProvider(meters);
    logs.setGlobalLoggerProvider(loggers);
  }

  /** Notes what the process has come to with a work item. */
  note(step: Step, workItem: string): void {
    this.#write({ kind: step, workItem });
  }

  /** Notes that all there is so far has been delivered. */
  flushed(): void {
    this.#write({ kind: "flushed" });
  }

  #measured(instrument: string, value: number, attributes: Attributes = {}): void {
    // It is the difference of two others.
    if (instrument !== "durabletask.orchestration.active")
      this.#write({ kind: "measurement", instrument, value, attributes });
  }

  #wrote({ eventName, attributes = {} }: LogRecord): void {
    // What an orchestration waits for is in no history.
    if (eventName !== "durabletask.orchestration.waiting") this.#write({ kind: "log", eventName, attributes });
  }

  #write(entry: Entry): void {
    this.#beforeEntry(entry);
    appendFileSync(this.#file, `${JSON.stringify(entry)}\n`);
  }
}

// `target` with `told` called after each call of a method; what that returns is returned.
function watched<T>(target: T, told: (args: readonly unknown[], result: unknown, method: PropertyKey) => unknown): T {
  if (typeof target !== "object" || target === null) return target;
  return new Proxy(target, {
    get: (_, member): unknown => {
      const value: unknown = Reflect.get(target, member);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => told(args, value.apply(target, args), member);
    },
  });
}
