import { ROOT_CONTEXT, type Attributes } from "@opentelemetry/api";
import type { MiddlewareContext, MiddlewareObject, WorkItem, WorkItemHooks } from "../../src/pipeline/index.ts";
import { runIn, takeContextFault } from "../../src/telemetry/active-context.ts";
import { ActivitySpan, OrchestrationSpan } from "../../src/telemetry/handles.ts";
import { attributesOfTags } from "../../src/telemetry/tags.ts";
import { TracedActivity } from "./activity.ts";
import { userAttributes } from "./attributes.ts";
import { TracedEpisode } from "./episode.ts";
import { isolated } from "./faults.ts";
import { suppressed } from "./live-context.ts";
import { checkTracingOptions, type TracingOptions } from "./options.ts";
import { currentTracer } from "./tracer.ts";

export { silenceUnfitProviders } from "./tracer.ts";
export type { TracingOptions } from "./options.ts";

/**
 * Replay-aware tracing: one trace per orchestration, with one span for the orchestration and one for each of its
 * activities, sub-orchestrations and timers, however often it replays (telemetry.md I1 to S7). In the default pipeline it
 * is the outermost middleware.
 *
 * @param options what to record beyond the names and IDs.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @example
 * withDurableTelemetry(worker, { middlewares: () => [tracing({ tags: ["tenant"] }), audit] });
 */
export function tracing(options: TracingOptions = {}): MiddlewareObject {
  checkTracingOptions(options);
  const middleware: MiddlewareObject = { name: "tracing", workItem: (item) => hooksOf(item, options) };
  const { attributes } = options;
  if (attributes === undefined) return middleware;
  const ownAttributes = (ctx: MiddlewareContext): Attributes =>
    userAttributes(isolated.call("the attributes function of tracing failed", () => attributes(ctx)));
  return {
    ...middleware,
    orchestration: (ctx, next) => {
      ctx.features.get(OrchestrationSpan)?.setAttributes(ownAttributes(ctx));
      return next(ctx);
    },
    activity: (ctx, next) => {
      isolated.run("attributes are left out", () => ctx.features.get(ActivitySpan)?.setAttributes(ownAttributes(ctx)));
      return next(ctx);
    },
  };
}

/**
 * Calls `report` if the tracer provider that is registered now can't give spans their durable identity, with what is lost
 * and the way out; once for each provider. It may start one span there, which is not sampled.
 */
export function checkTracerProvider(report: (message: string) => void): void {
  currentTracer(report);
}

function hooksOf(item: WorkItem, options: TracingOptions): WorkItemHooks | undefined {
  try {
    const contextFault = takeContextFault();
    if (contextFault !== undefined) item.report(contextFaultMessage(contextFault));
    const tracer = currentTracer(item.report);
    if (tracer === undefined) return undefined;
    const traced =
      item.kind === "orchestration" ? new TracedEpisode(item, tracer, options) : new TracedActivity(item, tracer);
    if (options.tags !== undefined) recordTags(item, options.tags);
    return traced;
  } catch (error) {
    isolated.fault("a work item could not be traced", error);
    // What broke here would break the SDK's own tracing too, which does not isolate it: so it is silenced.
    item.takeTraceContexts();
    return silenced;
  }
}

function recordTags(item: WorkItem, allowed: readonly string[]): void {
  isolated.run("tags are left out", () => {
    const tags = attributesOfTags(item.tags, allowed);
    if (tags === undefined) return;
    const { features } = item;
    const span = item.kind === "orchestration" ? features.get(OrchestrationSpan) : features.get(ActivitySpan);
    span?.setAttributes(userAttributes(tags));
  });
}

const silenced: WorkItemHooks = { scope: (execute) => runIn(suppressed(ROOT_CONTEXT), execute) };

function contextFaultMessage(fault: string): string {
  return (
    `the registered OpenTelemetry context manager does not do its work: ${fault}. This package goes on without it. Spans of your own code have no parent, ` +
    "and the Durable Task SDK, which uses it too, may fail. " +
    "Register AsyncLocalStorageContextManager (@opentelemetry/context-async-hooks), or let setupOtlp() or NodeSDK do it."
  );
}
