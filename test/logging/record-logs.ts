/** A real LoggerProvider, and what it was given; and how tests look at it. */
import { logs, type Attributes } from "@opentelemetry/api";
import { LoggerProvider, type LogRecordProcessor, type ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { onTestFinished } from "vitest";
import type { Middleware } from "../../src/index.ts";
import { logging, tracing, type LoggingOptions } from "../../middlewares/index.ts";

/** All records that a provider got, in order. */
export interface RecordedLogs {
  readonly provider: LoggerProvider;
  readonly records: readonly ReadableLogRecord[];
  /** Those that tell of a durable fact. */
  readonly events: readonly ReadableLogRecord[];
  /** Those that the code of a task wrote. */
  readonly lines: readonly ReadableLogRecord[];
  /** Resolves when `predicate` is true for the records. */
  waitFor(predicate: (records: readonly ReadableLogRecord[]) => boolean): Promise<void>;
}

/** A provider that nobody knows yet. */
export function loggerProvider(): RecordedLogs {
  const records: ReadableLogRecord[] = [];
  const changes = new EventTarget();
  const collector: LogRecordProcessor = {
    onEmit(record) {
      records.push(record);
      changes.dispatchEvent(new Event("change"));
    },
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
  return {
    provider: new LoggerProvider({ processors: [collector] }),
    records,
    get events() {
      return records.filter(
        ({ eventName }) => eventName !== undefined && eventName !== "durabletask.orchestration.waiting",
      );
    },
    get lines() {
      return records.filter(({ eventName }) => eventName === undefined);
    },
    waitFor: (predicate) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!predicate(records)) return;
          changes.removeEventListener("change", check);
          resolve();
        };
        changes.addEventListener("change", check);
        check();
      }),
  };
}

/** Registers a provider for one test, and unregisters it after that test. */
export function recordLogs(): RecordedLogs {
  const recorded = loggerProvider();
  if (!logs.setGlobalLoggerProvider(recorded.provider)) throw new Error("Another LoggerProvider is registered.");
  onTestFinished(() => logs.disable());
  return recorded;
}

/** Options of a worker that has tracing, logging, and what more is asked for. */
export const logged = (
  options: LoggingOptions = {},
  ...more: readonly Middleware[]
): { middlewares: () => readonly Middleware[] } => ({
  middlewares: () => [tracing(), logging(options), ...more],
});

/** The same without tracing. */
export const untraced = (
  options: LoggingOptions = {},
  ...more: readonly Middleware[]
): { middlewares: () => readonly Middleware[] } => ({
  middlewares: () => [logging(options), ...more],
});

/** An attribute of a record, as text. */
export function attribute({ attributes }: { readonly attributes: Attributes }, name: string): string | undefined {
  const value = attributes[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** A record in short: its event, the name of the task, its instance, and its status and error if it has them. */
export function labelOf(record: ReadableLogRecord): string {
  const attributes = [
    "durabletask.task.name",
    "durabletask.task.instance_id",
    "durabletask.task.task_id",
    "durabletask.task.status",
    "error.type",
  ];
  return label(record.eventName, ...attributes.map((name) => attribute(record, name)));
}

/** What there is of `parts`, in one text. */
export const label = (...parts: readonly (string | number | undefined)[]): string =>
  parts.flatMap((part) => (part === undefined ? [] : [String(part).replace("durabletask.", "")])).join(" ");

/** Whether a record is the last one of an orchestration of that name. */
export const isEnd =
  (name: string) =>
  ({ eventName, attributes }: ReadableLogRecord): boolean =>
    eventName === "durabletask.orchestration.finished" && attributes["durabletask.task.name"] === name;
