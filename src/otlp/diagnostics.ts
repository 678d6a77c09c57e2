import { diag, DiagConsoleLogger, DiagLogLevel } from "@opentelemetry/api";
import { registrations } from "../telemetry/api-globals.ts";

type Code =
  | "DURABLE_TELEMETRY_OTLP_RUNNING"
  | "DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED"
  | "DURABLE_TELEMETRY_SDK_MISSING";

const messages: Readonly<Record<Code, string>> = {
  DURABLE_TELEMETRY_OTLP_RUNNING:
    "setupOtlp: it is running in this process already. Call and await shutdown() on what the first call returned before you call it again.",
  DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED:
    "setupOtlp: this process has another OpenTelemetry TracerProvider, so no span would come here. Shut that one down first (and call " +
    "trace.disable()), or keep it, and leave setupOtlp out.",
  DURABLE_TELEMETRY_SDK_MISSING:
    "setupOtlp needs OpenTelemetry's SDK 3.x. Install it with: npm install @opentelemetry/sdk-node@latest. " +
    "(A program that has SDK 2.x keeps its own set-up and leaves setupOtlp out.)",
};

/** `setupOtlp` can't set up: OpenTelemetry is set up already, or a package is missing. */
export class OtlpSetupError extends Error {
  override readonly name = "OtlpSetupError";
  /** Stable code of this error. */
  readonly code: Code;

  constructor(code: Code, cause?: string) {
    super(cause === undefined ? messages[code] : `${messages[code]} The cause: ${cause}.`);
    this.code = code;
  }
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === "string" ? error : "unknown cause";
  return error.message === "" ? error.name : error.message;
}

const prefix = "durable-telemetry: ";

/** Logs a warning: through `diag` if the program has set a logger there, otherwise on the console. */
export function warn(message: string): void {
  const hasLogger = registrations().diag !== undefined;
  diag.warn(prefix + message);
  if (!hasLogger) console.warn(prefix + message);
}

/**
 * Logs OpenTelemetry's own diagnostics to the console, at `logLevel`. A logger that the program has set is kept.
 *
 * @returns removes the logger.
 */
export function installLogger(logLevel: string | undefined): () => void {
  const level = Object.entries(DiagLogLevel).find(([name]) => name === logLevel?.toUpperCase())?.[1];
  if (typeof level !== "number" || registrations().diag !== undefined) return () => {};
  diag.setLogger(new DiagConsoleLogger(), level);
  const installed = registrations().diag;
  return () => {
    if (registrations().diag === installed) diag.disable();
  };
}

const interval = 60_000;
const mostCauses = 100;

/** What was lost for one cause since its last line. */
interface Known {
  count: number;
  saidAt: number;
  say: (count: number) => string;
  timer?: NodeJS.Timeout;
}

/**
 * Counts what is lost, and reports it: for each cause at most one line per minute, with the number lost since the last line
 * (telemetry.md K5).
 */
export class LossReport {
  readonly #causes = new Map<string, Known>();

  /** `count` items were lost for `cause`, a constant per kind of cause; `say` returns the line for a number of items. */
  lost(cause: string, count: number, say: (count: number) => string): void {
    const key = this.#causes.has(cause) || this.#causes.size < mostCauses ? cause : "others";
    const known: Known = this.#causes.get(key) ?? { count: 0, saidAt: Number.NEGATIVE_INFINITY, say };
    this.#causes.set(key, known);
    known.count += count;
    known.say = say;
    const wait = known.saidAt + interval - performance.now();
    if (wait <= 0) this.#say(known);
    else known.timer ??= setTimeout(() => this.#say(known), wait).unref();
  }

  /** A problem without loss: the line is written at most once per minute. */
  failed(cause: string, message: string): void {
    const { saidAt = Number.NEGATIVE_INFINITY } = this.#causes.get(cause) ?? {};
    if (performance.now() - saidAt < interval) return;
    this.#causes.set(cause, { count: 0, saidAt: performance.now(), say: () => message });
    warn(message);
  }

  /** Reports what was lost since the last lines. */
  flush(): void {
    for (const known of this.#causes.values()) if (known.timer !== undefined) this.#say(known);
  }

  #say(known: Known): void {
    clearTimeout(known.timer);
    delete known.timer;
    known.saidAt = performance.now();
    warn(known.say(known.count));
    known.count = 0;
  }
}
