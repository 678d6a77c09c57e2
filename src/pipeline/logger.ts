/** The SDK's `Logger`, which pino, winston and the console fit as they are or with a line of code. */
export interface MiddlewareLogger {
  error(message: string, ...args: unknown[]): void;
  warn(message: string, ...args: unknown[]): void;
  info(message: string, ...args: unknown[]): void;
  debug(message: string, ...args: unknown[]): void;
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
