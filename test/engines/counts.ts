/** What is wrong with spans of this package, of user code and of an engine, in numbers. */
import { SpanKind } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import type { ReceivedSpan } from "../otlp/receiver.ts";

/** A span of ours or of an engine. */
export interface AnySpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly scope: string;
}

export const recorded = (span: ReadableSpan): AnySpan => ({
  name: span.name,
  kind: SpanKind[span.kind],
  ...span.spanContext(),
  parentSpanId: span.parentSpanContext?.spanId,
  scope: span.instrumentationScope.name,
});

export const received = ({ name, kind, traceId, spanId, parentSpanId, scope }: ReceivedSpan): AnySpan => ({
  name,
  kind,
  traceId,
  spanId,
  parentSpanId,
  scope: scope.name,
});

/** What a scenario's spans are, in numbers. */
export interface Counts {
  readonly spans: number;
  /** Without those that the client makes of its own calls. */
  readonly traces: number;
  /** Spans with a parent that nobody emitted. */
  readonly orphans: number;
  /** Spans with another span's ID. */
  readonly doubled: number;
  /** SERVER spans of orchestrations, ours. */
  readonly orchestrations: number;
  /** Executions of activities that are children of what scheduled them, of all. */
  readonly "activities placed": string;
  /** Spans of user code that are below another span, of all. */
  readonly "user spans nested": string;
}

export const scopeOfOurs = "durable-telemetry";
const ofClient = /^(create_orchestration|orchestration_event):/;

/** Counts over the spans of everybody who exports. */
export function count(spans: readonly AnySpan[]): Counts {
  const idOf = ({ traceId, spanId }: Pick<AnySpan, "traceId" | "spanId">): string => `${traceId}-${spanId}`;
  const byId = new Map(spans.map((span) => [idOf(span), span]));
  const parentOf = ({ traceId, parentSpanId }: AnySpan): AnySpan | undefined =>
    byId.get(idOf({ traceId, spanId: parentSpanId ?? "" }));
  const ours = spans.filter(({ scope }) => scope === scopeOfOurs);
  const activities = ours.filter(({ kind, name }) => kind === "SERVER" && name.startsWith("activity:"));
  const placed = activities.filter((span) => parentOf(span)?.kind === "CLIENT" && parentOf(span)?.name === span.name);
  const user = spans.filter(({ scope }) => scope === "user");
  const nested = user.filter((span) => parentOf(span) !== undefined);
  return {
    spans: spans.length,
    traces: new Set(
      spans
        .filter(({ name, scope }) => scope !== "Microsoft.DurableTask" || !ofClient.test(name))
        .map(({ traceId }) => traceId),
    ).size,
    orphans: spans.filter((span) => span.parentSpanId !== undefined && parentOf(span) === undefined).length,
    doubled: spans.length - byId.size,
    orchestrations: ours.filter(({ kind, name }) => kind === "SERVER" && name.startsWith("orchestration:")).length,
    "activities placed": `${placed.length}/${activities.length}`,
    "user spans nested": `${nested.length}/${user.length}`,
  };
}
