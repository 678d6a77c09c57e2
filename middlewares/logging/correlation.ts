import { context, isSpanContextValid, ROOT_CONTEXT, trace, type Attributes, type Context, type SpanContext } from "@opentelemetry/api";
import type { AnyWorkItem } from "../../src/pipeline/index.ts";
import { ActivitySpan, OrchestrationSpan } from "../tracing/handles.ts";
import * as semconv from "./semconv.ts";

/** Whose log entries they are: the attributes that all entries of a work item have. */
export function identityAttributes({ kind, facts }: AnyWorkItem): Attributes {
  return {
    [semconv.ATTR_TASK_NAME]: facts.name,
    ...(facts.version === undefined ? {} : { [semconv.ATTR_TASK_VERSION]: facts.version }),
    [semconv.ATTR_TASK_INSTANCE_ID]: facts.instanceId,
    ...(facts.executionId === undefined ? {} : { [semconv.ATTR_TASK_EXECUTION_ID]: facts.executionId }),
    ...(kind === "activity" ? { [semconv.ATTR_TASK_ID]: facts.taskId } : {}),
  };
}

/** The context of what is logged of a work item itself: its own span, and none where there is no tracing. */
export function contextOfTask(item: AnyWorkItem): Context {
  const span = spanOf(item);
  return span === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, span);
}

/**
 * The context of what the code of a work item logs: the active one, whose span may be one that the code opened, if it
 * belongs to the trace of the work item; else the work item's own span. Where there is no tracing, all there is to know
 * is the active context.
 */
export function contextOfCode(item: AnyWorkItem): Context {
  const span = spanOf(item);
  const active = context.active();
  return span === undefined || trace.getSpanContext(active)?.traceId === span.traceId ? active : contextOfTask(item);
}

/** The fields by which logs in other formats than OpenTelemetry's name their span. */
export function traceFields(of: Context): Attributes {
  const span = trace.getSpanContext(of);
  if (span === undefined || !isSpanContextValid(span)) return {};
  const flags = span.traceFlags.toString(16).padStart(2, "0");
  return { trace_id: span.traceId, span_id: span.spanId, trace_flags: flags };
}

function spanOf({ kind, facts: { features } }: AnyWorkItem): SpanContext | undefined {
  return (kind === "orchestration" ? features.get(OrchestrationSpan) : features.get(ActivitySpan))?.spanContext();
}
