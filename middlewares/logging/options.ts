import {
  aBoolean,
  aBooleanOrFunction,
  aFunction,
  anObject,
  aStringArray,
  checkOptions,
  oneOf,
  type OptionRules,
} from "../../src/options.ts";
import type { MiddlewareLogger } from "../../src/pipeline/index.ts";
import type { CustomStatusOption } from "../../src/telemetry/custom-status.ts";
import type { Level } from "./write.ts";

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

/** What `logging` says when an episode ends waiting (telemetry.md L5). */
export interface LoggedWaiting {
  /** The severity of the record; `"debug"` by default. */
  readonly level?: Level | undefined;
  /**
   * Whether there is a record also if an episode waits for activities, sub-orchestrations or entities alone. `false` by
   * default: it would be one more record for each step of a workflow.
   */
  readonly tasks?: boolean | undefined;
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
  /** Tags, by name, that become attributes `durabletask.tag.NAME` of records and of lines of the task's code; none by default. */
  readonly tags?: readonly string[] | undefined;
  /** How an episode is logged that ends waiting; `false` omits it. */
  readonly waiting?: LoggedWaiting | false | undefined;
  /**
   * Whether changes of the custom status are logged: `true` records a status that is a string; a function gets the status
   * and returns what to record of it. Off by default, because a status can contain private data.
   */
  readonly customStatus?: CustomStatusOption | undefined;
}

const levels = ["error", "warn", "info", "debug"];

const rules: OptionRules<LoggingOptions> = {
  logger: {
    is: `an object with the methods ${levels.join(", ")}`,
    test: (value) => isObject(value) && levels.every((level) => typeof Reflect.get(value, level) === "function"),
  },
  include: anObject,
  redact: aFunction,
  tags: aStringArray,
  waiting: {
    is: "an object with the options of waiting records, or false",
    test: (value) => value === false || anObject.test(value),
  },
  customStatus: aBooleanOrFunction,
};

const waitingRules: OptionRules<LoggedWaiting> = { level: oneOf("error", "warn", "info", "debug"), tasks: aBoolean };

const payloadRules: OptionRules<LoggedPayloads> = { input: aBoolean, output: aBoolean };

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkLoggingOptions(options: unknown): asserts options is LoggingOptions {
  checkOptions<LoggingOptions>("logging", options, rules);
  if (options.include !== undefined) checkOptions<LoggedPayloads>("logging: include", options.include, payloadRules);
  if (typeof options.waiting === "object")
    checkOptions<LoggedWaiting>("logging: waiting", options.waiting, waitingRules);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
