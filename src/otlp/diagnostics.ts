import { diag, DiagConsoleLogger, DiagLogLevel, type DiagLogger } from "@opentelemetry/api";
import { registrations } from "../telemetry/api-globals.ts";

const prefix = "durable-telemetry: ";

/** Says something to the operator: through `diag` where the program has set a logger for that, else on the console. */
export function warn(message: string): void {
  const hasLogger = registrations().diag !== undefined;
  diag.warn(prefix + message);
  if (!hasLogger) console.warn(prefix + message);
}

/**
 * Runs `fn`, which must be synchronous, so that what OpenTelemetry has to say about wrong settings is seen:
 * without a `diag` logger it would be lost.
 *
 * A logger that the program has set stays as it is. Else `logLevel` is obeyed, for good; else warnings and errors go
 * to the console while `fn` runs.
 *
 * @returns what `fn` returned, and what takes back a logger that `logLevel` installed.
 */
export function withVisibleDiagnostics<T>(
  logLevel: string | undefined,
  fn: () => T,
): { readonly result: T; readonly removeLogger: () => void } {
  if (registrations().diag !== undefined) return { result: fn(), removeLogger: () => {} };

  const level = levels.find(([name]) => name === logLevel?.toUpperCase())?.[1];
  if (level === undefined) diag.setLogger(consoleLogger(), DiagLogLevel.WARN);
  else diag.setLogger(new DiagConsoleLogger(), level);
  const installed = registrations().diag;
  const removeLogger = (): void => {
    if (registrations().diag === installed) diag.disable();
  };

  let failed = true;
  try {
    const result = fn();
    failed = false;
    return { result, removeLogger };
  } finally {
    if (failed || level === undefined) removeLogger();
  }
}

const levels = Object.entries(DiagLogLevel).filter((entry): entry is [string, DiagLogLevel] => typeof entry[1] === "number");

const ignore = (): void => {};

// Several parts of the SDK read the same variables; each problem is told once.
function consoleLogger(): DiagLogger {
  const printed = new Set<string>();
  const print = (message: string): void => {
    if (printed.has(message)) return;
    printed.add(message);
    console.warn(message.startsWith(prefix) ? message : prefix + message);
  };
  return { error: print, warn: print, info: ignore, debug: ignore, verbose: ignore };
}
