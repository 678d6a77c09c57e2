import type { Attributes } from "@opentelemetry/api";
import { aBoolean, aFunction, aStringArray, checkOptions, oneOf, type OptionRules } from "../../src/options.ts";
import type { MiddlewareContext } from "../../src/pipeline/index.ts";
import type { ContinueAsNew } from "./execution.ts";
import { ATTR_TAG_PREFIX } from "../../src/telemetry/semconv.ts";

/** Options of {@link tracing}. */
export interface TracingOptions {
  /** Tags that become attributes, `durabletask.tag.NAME`; none by default, as tags may hold what is nobody's business (S6). */
  readonly tags?: readonly string[] | undefined;
  /**
   * Attributes of one's own, for the orchestration's span or the activity's SERVER span. Called before the task's code,
   * in each episode anew, so it must be cheap and deterministic. If it throws, the span goes without.
   */
  readonly attributes?: ((ctx: MiddlewareContext) => Attributes) | undefined;
  /**
   * What becomes of the trace when an orchestration continues as new: each execution is a trace of its own, linked to
   * what came before where that is known (`"new-trace"`, the default), or all are in the trace of the first where the
   * backend carries its trace context over (`"same-trace"`) (S4). The same for all workers of a task hub.
   */
  readonly continueAsNew?: ContinueAsNew | undefined;
  /** Whether each episode makes a span `episode:NAME` as well, with the size of its history; `false` by default. */
  readonly episodes?: boolean | undefined;
}

const rules: OptionRules<TracingOptions> = {
  tags: aStringArray,
  attributes: aFunction,
  continueAsNew: oneOf("new-trace", "same-trace"),
  episodes: aBoolean,
};

/** Checks the options; see {@link checkOptions} for what is thrown. */
export function checkTracingOptions(options: unknown): asserts options is TracingOptions {
  checkOptions<TracingOptions>("tracing", options, rules);
}

/** The attributes that the allow-listed tags make. */
export function tagAttributes(tags: Readonly<Record<string, string>>, allowed: readonly string[] = []): Attributes {
  return Object.fromEntries(
    allowed.flatMap((tag) => (Object.hasOwn(tags, tag) ? [[`${ATTR_TAG_PREFIX}${tag}`, tags[tag]]] : [])),
  );
}
