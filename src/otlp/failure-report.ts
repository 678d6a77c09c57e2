import { STATUS_CODES } from "node:http";
import { warn } from "./diagnostics.ts";

const interval = 60_000;

/**
 * Says that telemetry can't be delivered: one line for each cause, at most once a minute (telemetry.md K1), however
 * many exports fail.
 */
export class FailureReport {
  readonly #items: string;
  readonly #now: () => number;
  readonly #lastReported = new Map<string, number>();
  #failures = 0;

  /** @param items is what the signal consists of, such as `spans`. */
  constructor(items: string, now: () => number = () => performance.now()) {
    this.#items = items;
    this.#now = now;
  }

  /** How many failures there were, reported or not. */
  get failures(): number {
    return this.#failures;
  }

  /** An export to `target` failed; a collector may have answered with one of `secrets`, which is not repeated. */
  exportFailed(target: string, error: unknown, secrets: readonly string[] = []): void {
    const cause = causeOf(error);
    const text = secrets.reduce((shown, secret) => shown.replaceAll(secret, "[redacted]"), cause.text);
    this.#report(`export ${cause.kind}`, `cannot export ${this.#items} to ${target} (${text}); workflows go on without it`);
  }

  /** A processor or reader that the user added failed in `method`. */
  memberFailed(member: string, method: string, error: unknown): void {
    this.#report(`${member}.${method}`, `${member}.${method}() failed (${causeOf(error).text}); workflows go on without it`);
  }

  /** Not everything was delivered when `shutdown()` had to end after `timeout` milliseconds. */
  shutdownTimedOut(timeout: number): void {
    this.#report("shutdown", `shutdown stopped waiting after ${Math.round(timeout)} ms; ${this.#items} that were not delivered by then are lost`);
  }

  // The keys are kinds of causes, never texts that vary, so the map stays small.
  #report(key: string, message: string): void {
    this.#failures += 1;
    const now = this.#now();
    const last = this.#lastReported.get(key);
    if (last !== undefined && now - last < interval) return;
    this.#lastReported.set(key, now);
    warn(message);
  }
}

interface Cause {
  readonly kind: string;
  readonly text: string;
}

function causeOf(error: unknown): Cause {
  if (!(error instanceof Error)) return { kind: typeof error, text: typeof error === "string" ? error : "unknown cause" };
  const code: unknown = "code" in error ? error.code : undefined;
  if (typeof code === "string") return { kind: code, text: code };
  if (typeof code === "number" && error.name === "OTLPExporterError") {
    // Not the reason that the collector gives: that may be any text.
    return { kind: `HTTP ${code}`, text: `HTTP ${code} ${STATUS_CODES[code] ?? ""}`.trim() };
  }
  return { kind: `${error.name} ${String(code)}`, text: error.message === "" ? error.name : error.message };
}
