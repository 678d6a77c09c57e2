import { aBoolean, aFunction, anObject, checkOptions, type OptionRules } from "../../src/options.ts";
import type { MiddlewareLogger } from "../../src/pipeline/index.ts";

/** Which payloads `logging` records; none by default (telemetry.md L3). */
export interface LoggedPayloads {
  /** The inputs of orchestrations and activities, when they start. */
  readonly input?: boolean | undefined;
  /** Their outputs, when they complete. */
  readonly output?: boolean | undefined;
}

/** Identifies the payload that a redact function gets. */
export interface PayloadContext {
  readonly payload: "input" | "output";
  readonly kind: "orchestration" | "activity";
  /** The name of the orchestration or activity. */
  readonly name: string;
  readonly version: string | undefined;
  readonly instanceId: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Options of {@link logging}. */
export interface LoggingOptions {
  /**
   * A logger that gets all records too, in addition to the OpenTelemetry `LoggerProvider`: a readable line, and an object
   * with the attributes, `trace_id` and `span_id`. `ctx.logger` and `currentLogger()` write to it instead of the worker's
   * own logger.
   */
  readonly logger?: MiddlewareLogger | undefined;
  /** Which payloads are recorded; none by default. */
  readonly include?: LoggedPayloads | undefined;
  /**
   * Gets each payload that `include` requests, and returns what to record instead. If it returns `undefined` or throws,
   * the payload is omitted. It must not be `async`.
   */
  readonly redact?: ((value: unknown, context: PayloadContext) => unknown) | undefined;
}

const levels = ["error", "warn", "info", "debug"];

const rules: OptionRules<LoggingOptions> = {
  logger: {
    is: `an object with the methods ${levels.join(", ")}`,
    test: (value) => isObject(value) && levels.every((level) => typeof Reflect.get(value, level) === "function"),
  },
  include: anObject,
  redact: aFunction,
};

const payloadRules: OptionRules<LoggedPayloads> = { input: aBoolean, output: aBoolean };

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkLoggingOptions(options: unknown): asserts options is LoggingOptions {
  checkOptions<LoggingOptions>("logging", options, rules);
  if (options.include !== undefined) checkOptions<LoggedPayloads>("logging: include", options.include, payloadRules);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
