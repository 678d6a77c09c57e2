/** A process's own account of what it has recorded, in a file that outlives it: for tests of what dies with a process. */
import { appendFileSync, readFileSync } from "node:fs";
import { logs, metrics, type Attributes, type LogRecord } from "@opentelemetry/api";
import { isLevel, type LogOfFact, type Measurement } from "./counted-once-facts.ts";

type WorkItemKind = "orchestration" | "activity";

type Entry =
  | ({ readonly kind: "measurement" } & Measurement)
  | ({ readonly kind: "log" } & LogOfFact)
  | { readonly kind: "began" | "ended"; readonly workItem: WorkItemKind }
  | { readonly kind: "flushed" };

/** Writes the account. */
export class Ledger {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    // It may stay empty.
    appendFileSync(file, "");
  }

  /** From now on, what is recorded through the API is written down too. */
  watch(): void {
    const meters = watched(metrics.getMeterProvider(), (_scope, meter) =>
      watched(meter, ([instrument], made) =>
        watched(made, ([value, attributes]) => this.#measured(String(instrument), Number(value), attributes as Attributes)),
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

  /** Notes that a work item began. */
  began(workItem: WorkItemKind): void {
    this.#write({ kind: "began", workItem });
  }

  /** Notes that a work item is over: what there is to record of it has been recorded. */
  ended(workItem: WorkItemKind): void {
    this.#write({ kind: "ended", workItem });
  }

  /** Notes that all there is so far has been delivered. */
  flushed(): void {
    this.#write({ kind: "flushed" });
  }

  #measured(instrument: string, value: number, attributes: Attributes = {}): void {
    this.#write({ kind: "measurement", instrument, value, attributes });
  }

  #wrote({ eventName, attributes = {} }: LogRecord): void {
    this.#write({ kind: "log", eventName, attributes });
  }

  #write(entry: Entry): void {
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

/** What a process has recorded. */
export interface Recorded {
  /** Without those of levels. */
  readonly measurements: readonly Measurement[];
  readonly logs: readonly LogOfFact[];
}

/** The account of a process. */
export interface Account {
  readonly delivered: Recorded;
  /** What it had when it ended. */
  readonly left: Recorded;
  /** How many work items it had begun by then, and not ended. */
  readonly open: Readonly<Record<WorkItemKind, number>>;
}

export function readLedger(file: string): Account {
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
  const entries = lines.map((line): Entry => JSON.parse(line));
  const flushed = entries.findLastIndex(({ kind }) => kind === "flushed") + 1;
  const count = (kind: string, workItem: WorkItemKind): number =>
    entries.filter((entry) => entry.kind === kind && "workItem" in entry && entry.workItem === workItem).length;
  const open = (workItem: WorkItemKind): number => count("began", workItem) - count("ended", workItem);
  return {
    delivered: recordedIn(entries.slice(0, flushed)),
    left: recordedIn(entries.slice(flushed)),
    open: { orchestration: open("orchestration"), activity: open("activity") },
  };
}

function recordedIn(entries: readonly Entry[]): Recorded {
  return {
    measurements: entries.flatMap((entry) => (entry.kind === "measurement" && !isLevel(entry) ? [entry] : [])),
    logs: entries.flatMap((entry) => (entry.kind === "log" ? [entry] : [])),
  };
}
