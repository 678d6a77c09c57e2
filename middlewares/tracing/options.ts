import type { Attributes } from "@opentelemetry/api";
import {
  aBoolean,
  aBooleanOrFunction,
  aFunction,
  aStringArray,
  checkOptions,
  oneOf,
  type OptionRules,
} from "../../src/options.ts";
import type { MiddlewareContext } from "../../src/pipeline/index.ts";
import type { CustomStatusOption } from "../../src/telemetry/custom-status.ts";
import type { BackendSpans, ContinueAsNew } from "./execution.ts";

/** Options of {@link tracing}. */
export interface TracingOptions {
  /** Tags that become attributes, `durabletask.tag.NAME`; none by default, because tags can contain private data (S6). */
  readonly tags?: readonly string[] | undefined;
  /**
   * Returns custom attributes for the orchestration's span or the activity's SERVER span. It is called before the task's
   * code, in every episode: it must be cheap and deterministic. If it throws, the span has no custom attributes.
   */
  readonly attributes?: ((ctx: MiddlewareContext) => Attributes) | undefined;
  /**
   * The trace of an orchestration that continues as new (S4). `"new-trace"`, the default: each execution has a separate
   * trace, linked to the previous one if that is known. `"same-trace"`: all executions are in the trace of the first one,
   * if the backend keeps the trace context at continue-as-new. Use the same value for all workers of a task hub.
   */
  readonly continueAsNew?: ContinueAsNew | undefined;
  /**
   * What stands in a trace if the backend makes spans itself, as durabletask-go and Dapr do with tracing (I11). `"beside"`,
   * the default: its spans and all of this package's. `"instead"`: its spans of orchestrations, tasks and timers take the
   * place of this package's, which only emits what the backend has no span for; attributes, events and links of the
   * orchestration's span are not recorded. A backend without tracing makes no difference. Use the same value for all workers
   * of a task hub.
   */
  readonly backendSpans?: BackendSpans | undefined;
  /** Whether each episode also emits a span `episode:NAME`, with the size of its history; `false` by default. */
  readonly episodes?: boolean | undefined;
  /**
   * Whether an execution that is not finished by its first episode emits a short span `orchestration_started:NAME` then, a
   * child of the orchestration's span; `false` by default. So a trace viewer shows the orchestration while it runs: its own
   * span comes when it finishes. Use the same value for all workers of a task hub.
   */
  readonly running?: boolean | undefined;
  /**
   * What the event `durabletask.orchestration.custom_status_changed` records of the status: `true` a status that is a
   * string; a function gets the status and returns what to record. Nothing by default, because a status can contain
   * private data (S6).
   */
  readonly customStatus?: CustomStatusOption | undefined;
}

const rules: OptionRules<TracingOptions> = {
  tags: aStringArray,
  attributes: aFunction,
  continueAsNew: oneOf("new-trace", "same-trace"),
  backendSpans: oneOf("beside", "instead"),
  episodes: aBoolean,
  running: aBoolean,
  customStatus: aBooleanOrFunction,
};

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkTracingOptions(options: unknown): asserts options is TracingOptions {
  checkOptions<TracingOptions>("tracing", options, rules);
}
