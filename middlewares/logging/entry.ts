import type { Attributes, Context } from "@opentelemetry/api";
import type { MiddlewareLogger } from "../../src/pipeline/index.ts";

export type Level = keyof MiddlewareLogger;

/** What is logged, before it is an OpenTelemetry log record or a line of the user's logger. */
export interface LogEntry {
  readonly level: Level;
  /** For people. */
  readonly line: string;
  /** For machines: whose it is and what happened. */
  readonly attributes: Attributes;
  /** Attributes of the user's: any values. */
  readonly added?: object;
  /** The context whose span it belongs to. */
  readonly context: Context;
  /** What kind of event it records; a line of the user's own has none. */
  readonly eventName?: string;
  /** When that was; unless it is now. */
  readonly at?: Date | undefined;
}
