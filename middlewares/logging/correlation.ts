import { context, isSpanContextValid, trace, type Attributes, type Context, type SpanContext } from "@opentelemetry/api";
import type { WorkItem } from "../../src/pipeline/index.ts";
import { ActivitySpan, OrchestrationSpan } from "../../src/telemetry/handles.ts";
import { contextOf } from "../../src/telemetry/identity.ts";
import * as semconv from "../../src/telemetry/semconv.ts";

/** The attributes that all log entries of a work item have: whose they are. */
export function identityAttributes(item: WorkItem): Attributes {
  const { executionId, instanceId, name, version } = item;
  const attributes: Attributes = { [semconv.ATTR_TASK_NAME]: name, [semconv.ATTR_TASK_INSTANCE_ID]: instanceId };
  if (version !== undefined) attributes[semconv.ATTR_TASK_VERSION] = version;
  if (executionId !== undefined) attributes[semconv.ATTR_TASK_EXECUTION_ID] = executionId;
  if (item.kind === "activity") attributes[semconv.ATTR_TASK_ID] = item.taskId;
  return attributes;
}

/** The context of what is logged of a work item itself: its own span, and none where there is no tracing. */
export function contextOfTask(item: WorkItem): Context {
  return contextOf(spanOf(item));
}

/**
 * The context of what the code of a work item logs: the active one, whose span may be one that the code opened, if it
 * belongs to the trace of the work item; else the work item's own span. Where there is no tracing, all there is to know
 * is the active context.
 */
export function contextOfCode(item: WorkItem): Context {
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

function spanOf({ kind, features }: WorkItem): SpanContext | undefined {
  return (kind === "orchestration" ? features.get(OrchestrationSpan) : features.get(ActivitySpan))?.spanContext();
}
