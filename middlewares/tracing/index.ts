import { ROOT_CONTEXT, type Attributes } from "@opentelemetry/api";
import {
  aroundWorkItem,
  type AnyWorkItem,
  type MiddlewareContext,
  type MiddlewareObject,
  type WorkItemMiddleware,
} from "../../src/pipeline/index.ts";
import { runIn, takeContextFault } from "../../src/telemetry/active-context.ts";
import { userAttributes } from "./attributes.ts";
import { isolated } from "./faults.ts";
import { ActivitySpan, OrchestrationSpan } from "./handles.ts";
import { suppressed, type Scope } from "./live-context.ts";
import { checkTracingOptions, tagAttributes, type TracingOptions } from "./options.ts";
import { runInActivitySpan, traceActivity } from "./trace-activity.ts";
import { traceEpisode } from "./trace-orchestration.ts";
import { currentTracer } from "./tracer.ts";

export { ActivitySpan, OrchestrationSpan, type OrchestrationSpanHandle } from "./handles.ts";
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
  const { attributes, tags } = options;
  const ownAttributes = (ctx: MiddlewareContext): Attributes => {
    const own = attributes && isolated.call("the attributes function of tracing failed", () => attributes(ctx));
    return { ...userAttributes(tagAttributes(ctx.tags, tags)), ...userAttributes(own) };
  };
  const middleware: WorkItemMiddleware = {
    name: "tracing",
    [aroundWorkItem]: <T>(item: AnyWorkItem, run: () => T): T => scopeOf(item, options)(run),
    orchestration: async (ctx, next) => {
      ctx.features.get(OrchestrationSpan)?.setAttributes(ownAttributes(ctx));
      await next(ctx);
    },
    activity: async (ctx, next) => {
      const span = ctx.features.get(ActivitySpan);
      isolated.run("attributes are left out", () => span?.setAttributes(ownAttributes(ctx)));
      await runInActivitySpan(ctx.features, () => next(ctx));
    },
  };
  return middleware;
}

/**
 * Calls `report` if the tracer provider that is registered now can't give spans their durable identity, with what is lost
 * and the way out; once for each provider. It may start one span there, which is not sampled.
 */
export function checkTracerProvider(report: (message: string) => void): void {
  currentTracer(report);
}

function scopeOf(item: AnyWorkItem, options: TracingOptions): Scope {
  const scope = isolated.run("a work item could not be traced", (): Scope => {
    const contextFault = takeContextFault();
    if (contextFault !== undefined) item.facts.report(contextFaultMessage(contextFault));
    const tracer = currentTracer(item.facts.report);
    if (tracer === undefined) return (run) => run();
    return item.kind === "orchestration" ? traceEpisode(item, tracer, options) : traceActivity(item, tracer);
  });
  if (scope !== undefined) return scope;
  // What broke here would break the SDK's own tracing too, which does not isolate it: so it stays silenced.
  item.facts.takeTraceContexts();
  return (run) => runIn(suppressed(ROOT_CONTEXT), run);
}

function contextFaultMessage(fault: string): string {
  return (
    `the registered OpenTelemetry context manager does not do its work: ${fault}. This package goes on without it. Spans of your own code have no parent, ` +
    "and the Durable Task SDK, which uses it too, may fail. " +
    "Register AsyncLocalStorageContextManager (@opentelemetry/context-async-hooks), or let setupOtlp() or NodeSDK do it."
  );
}
