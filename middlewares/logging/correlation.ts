import {
  context,
  isSpanContextValid,
  trace,
  type Attributes,
  type Context,
  type SpanContext,
} from "@opentelemetry/api";
import type { WorkItem } from "../../src/pipeline/index.ts";
import { ActivitySpan, OrchestrationSpan } from "../../src/telemetry/handles.ts";
import { contextOf } from "../../src/telemetry/identity.ts";
import { addOrigin } from "../../src/telemetry/origins.ts";
import { attributesOfTags } from "../../src/telemetry/tags.ts";
import * as semconv from "../../src/telemetry/semconv.ts";

/** The attributes that all log entries of a work item have: its identity. */
export function identityAttributes(item: WorkItem, tags?: readonly string[]): Attributes {
  const { executionId, instanceId, name, version } = item;
  const attributes: Attributes = { [semconv.ATTR_TASK_NAME]: name, [semconv.ATTR_TASK_INSTANCE_ID]: instanceId };
  if (version !== undefined) attributes[semconv.ATTR_TASK_VERSION] = version;
  if (executionId !== undefined) attributes[semconv.ATTR_TASK_EXECUTION_ID] = executionId;
  if (item.kind === "activity") attributes[semconv.ATTR_TASK_ID] = item.taskId;
  addOrigin(item, attributes);
  if (tags !== undefined) Object.assign(attributes, attributesOfTags(item.tags, tags));
  return attributes;
}

/** The context of log entries about a work item: its own span, or none without tracing. */
export function contextOfTask(item: WorkItem): Context {
  return contextOf(spanOf(item));
}

/**
 * The context of log entries that the code of a work item writes: the active context if its span belongs to the trace of
 * the work item, as a span that the code started does; otherwise that of the work item's own span. Without tracing it is
 * the active context.
 */
export function contextOfCode(item: WorkItem): Context {
  const span = spanOf(item);
  const active = context.active();
  return span === undefined || trace.getSpanContext(active)?.traceId === span.traceId ? active : contextOfTask(item);
}

/** The fields that identify the span in log formats other than OpenTelemetry's. */
export function traceFields(of: Context): Attributes {
  const span = trace.getSpanContext(of);
  if (span === undefined || !isSpanContextValid(span)) return {};
  const flags = span.traceFlags.toString(16).padStart(2, "0");
  return { trace_id: span.traceId, span_id: span.spanId, trace_flags: flags };
}

function spanOf({ kind, features }: WorkItem): SpanContext | undefined {
  return (kind === "orchestration" ? features.get(OrchestrationSpan) : features.get(ActivitySpan))?.spanContext();
}
