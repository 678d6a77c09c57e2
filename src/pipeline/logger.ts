import { sharedFeature, type MiddlewareFeature, type MiddlewareFeatures } from "./features.ts";
import { isolate } from "./isolate.ts";

/** The SDK's `Logger`. winston and the console implement it; pino needs an adapter of a few lines. */
export interface MiddlewareLogger {
  error(message: string, ...args: unknown[]): void;
  warn(message: string, ...args: unknown[]): void;
  info(message: string, ...args: unknown[]): void;
  debug(message: string, ...args: unknown[]): void;
}

/** The logger that a middleware provides for a work item. The task's code gets it instead of the worker's logger. */
export const WorkItemLogger: MiddlewareFeature<MiddlewareLogger> = sharedFeature("work-item-logger");

/** The parts of a work item that its logger needs. */
interface Logging {
  readonly features: MiddlewareFeatures;
  readonly logger: MiddlewareLogger;
  fault(what: string, error: unknown): void;
}

/**
 * The logger for the code of a work item. It writes nothing while `isReplaying()` (contract.md X7); an error of the
 * underlying logger is counted and logged, and does not reach the code (telemetry.md K1).
 */
export function workItemLogger(item: Logging, isReplaying?: () => boolean): MiddlewareLogger {
  const logger = item.features.get(WorkItemLogger) ?? item.logger;
  const onFault = (error: unknown): void => item.fault("a line of the task's code was lost", error);
  const at =
    (level: keyof MiddlewareLogger) =>
    (message: string, ...args: unknown[]): void => {
      if (isReplaying?.() !== true) isolate(() => logger[level](message, ...args), onFault);
    };
  return { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
}
