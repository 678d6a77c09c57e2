import { hash } from "node:crypto";
import { createTraceState, TraceFlags, type SpanContext } from "@opentelemetry/api";
import type { TraceContext } from "../../src/pipeline/index.ts";

/**
 * Identity from durable facts (telemetry.md I1, I2): every episode, on any worker and after any crash, computes the
 * same IDs. All derivations stand here, so that they can be seen not to collide: each hashes its own label and its
 * facts, with lengths, so that no two lists of facts make the same text.
 */
function digest(label: string, facts: readonly string[], bytes: number): string {
  let text = label;
  for (const fact of facts) text += `|${fact.length}:${fact}`;
  return hash("sha256", text, "hex").slice(0, 2 * bytes);
}

/** The durable facts that name an execution. */
export interface Execution {
  readonly instanceId: string;
  /** The execution ID, or, where a backend sends none, the time of its start. */
  readonly execution: string;
}

/** The trace of an execution that nothing traced started. */
export function executionTraceId({ instanceId, execution }: Execution): string {
  return digest("trace", [instanceId, execution], 16);
}

/** The span of an execution. */
export function executionSpanId({ instanceId, execution }: Execution): string {
  return digest("orchestration", [instanceId, execution], 8);
}

/** The span of a task that an execution scheduled: an activity, a sub-orchestration, a timer. */
export function taskSpanId({ instanceId, execution }: Execution, taskId: number): string {
  return digest("task", [instanceId, execution, String(taskId)], 8);
}

/**
 * The span of an activity's execution, which follows from the span that scheduled it: so a second run, after a crash
 * of the first, adopts the spans that the first one's code had already emitted (S1).
 */
export function activitySpanId(client: Pick<SpanContext, "traceId" | "spanId">): string {
  return digest("activity", [client.traceId, client.spanId], 8);
}

const w3c = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;

/** The span context that a durable message carried; `undefined` if it carried none or what it carried is no traceparent. */
export function parseTraceContext(carried: TraceContext | undefined): SpanContext | undefined {
  const [, traceId = "", spanId = "", flags = ""] = w3c.exec(carried?.traceparent ?? "") ?? [];
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return undefined;
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(carried?.tracestate ? { traceState: createTraceState(carried.tracestate) } : {}),
  };
}

/** The trace context that goes out with a task, and names exactly `span` (I2). */
export function formatTraceContext(span: SpanContext): TraceContext {
  const flags = (span.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, "0");
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    tracestate: span.traceState?.serialize() || undefined,
  };
}
