import { sharedFeature, type MiddlewareFeature, type MiddlewareFeatures } from "./features.ts";

/** The SDK's `Logger`, which pino, winston and the console fit as they are or with a line of code. */
export interface MiddlewareLogger {
  error(message: string, ...args: unknown[]): void;
  warn(message: string, ...args: unknown[]): void;
  info(message: string, ...args: unknown[]): void;
  debug(message: string, ...args: unknown[]): void;
}

/** The logger of a work item where a middleware provides one; the code of the task gets it in place of the worker's. */
export const WorkItemLogger: MiddlewareFeature<MiddlewareLogger> = sharedFeature("work-item-logger");

/** The logger for the code of a work item. An orchestration's is still to be made replay-safe. */
export function workItemLogger(facts: { readonly features: MiddlewareFeatures; readonly logger: MiddlewareLogger }): MiddlewareLogger {
  return facts.features.get(WorkItemLogger) ?? facts.logger;
}

/** A logger that writes nothing while `isReplaying()` (contract.md X7). */
export function replaySafeLogger(logger: MiddlewareLogger, isReplaying: () => boolean): MiddlewareLogger {
  const when =
    (level: keyof MiddlewareLogger) =>
    (message: string, ...args: unknown[]): void => {
      if (!isReplaying()) logger[level](message, ...args);
    };
  return { error: when("error"), warn: when("warn"), info: when("info"), debug: when("debug") };
}
