import { diag, type Attributes } from "@opentelemetry/api";
import {
  aroundWorkItem,
  type AnyWorkItem,
  type MiddlewareContext,
  type MiddlewareObject,
  type WorkItemMiddleware,
} from "../../src/pipeline/index.ts";
import { ActivitySpan, OrchestrationSpan } from "./handles.ts";
import { checkTracingOptions, tagAttributes, type TracingOptions } from "./options.ts";
import { runInActivitySpan, traceActivity } from "./trace-activity.ts";
import { traceEpisode } from "./trace-orchestration.ts";

export { ActivitySpan, OrchestrationSpan, type OrchestrationSpanHandle } from "./handles.ts";
export type { TracingOptions } from "./options.ts";

/**
 * Replay-aware tracing: one trace for an orchestration, with one span for the orchestration and one for each of its
 * activities, sub-orchestrations and timers, however often it replays (telemetry.md I1 to S7). In the default pipeline it is the outermost.
 *
 * @param options what to record beyond the names and IDs.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @example
 * withDurableTelemetry(worker, { middlewares: () => [tracing({ tags: ["tenant"] }), audit] });
 */
export function tracing(options: TracingOptions = {}): MiddlewareObject {
  checkTracingOptions(options);
  const ownAttributes = (ctx: MiddlewareContext): Attributes => ({
    ...tagAttributes(ctx.tags, options.tags),
    ...contained(() => options.attributes?.(ctx)),
  });
  const middleware: WorkItemMiddleware = {
    name: "tracing",
    [aroundWorkItem]: <T>(item: AnyWorkItem, run: () => T): T =>
      // A fault of tracing must not keep the work from being done (K1): then it is done without.
      (contained(() => (item.kind === "orchestration" ? traceEpisode(item) : traceActivity(item))) ?? untraced)(run),
    orchestration: async (ctx, next) => {
      ctx.features.get(OrchestrationSpan)?.setAttributes(ownAttributes(ctx));
      await next(ctx);
    },
    activity: async (ctx, next) => {
      ctx.features.get(ActivitySpan)?.setAttributes(ownAttributes(ctx));
      await runInActivitySpan(ctx.features, () => next(ctx));
    },
  };
  return middleware;
}

const untraced = <T>(run: () => T): T => run();

function contained<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    diag.error("durable-telemetry: tracing failed and was left out", error);
    return undefined;
  }
}
