import { createMiddlewareFeature, type AnyWorkItem, type MiddlewareContext, type MiddlewareFeature } from "../../src/pipeline/index.ts";
import { contextOfTask, identityAttributes } from "./correlation.ts";
import type { LogEvent } from "./events.ts";
import type { LoggingOptions } from "./options.ts";
import { isHeard, write } from "./write.ts";

/** What `logging` knows of a work item, for the part of it that runs right around the task's code. */
export interface TaskLog {
  /** The code of the task is about to run. */
  begin(ctx: MiddlewareContext): void;
}

export const TaskLog: MiddlewareFeature<TaskLog> = createMiddlewareFeature("task-log");

/** Whether anybody gets the events of a work item. */
export function isItemHeard(item: AnyWorkItem, options: LoggingOptions): boolean {
  return isHeard(contextOfTask(item), options.logger);
}

/** Writes what became of a work item, under its identity and its span. */
export function writeEvent(item: AnyWorkItem, { eventName, level, line, attributes, at }: LogEvent, options: LoggingOptions): void {
  write(
    { eventName, level, line, at, attributes: { ...identityAttributes(item), ...attributes }, context: contextOfTask(item) },
    options.logger,
  );
}
