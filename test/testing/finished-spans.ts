import type { FinishedSpan } from "../../src/testing/waterfall/span-tree.ts";

/** What a test wants to say about a span; times in milliseconds after the trace's start. */
export interface SpanShape {
  readonly name?: string;
  readonly id?: number;
  readonly parent?: number;
  readonly remote?: boolean;
  readonly trace?: string;
  readonly kind?: number;
  readonly start?: number;
  readonly end?: number;
  readonly error?: string;
}

export const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";

export const spanId = (id: number): string => id.toString(16).padStart(16, "0");

function time(milliseconds: number): [number, number] {
  const seconds = Math.floor(milliseconds / 1000);
  return [1_700_000_000 + seconds, Math.round((milliseconds - seconds * 1000) * 1e6)];
}

/** A finished span as an exporter gets it, made of plain values so that every time and ID is the test's choice. */
export function finishedSpan(shape: SpanShape): FinishedSpan {
  const { name = "span", id = 1, parent, remote = false, trace = traceId, kind = 0, start = 0, end = start } = shape;
  return {
    name,
    kind,
    spanContext: () => ({ traceId: trace, spanId: spanId(id) }),
    parentSpanContext: parent === undefined ? undefined : { spanId: spanId(parent), isRemote: remote },
    startTime: time(start),
    endTime: time(end),
    status: shape.error === undefined ? { code: 0 } : { code: 2, message: shape.error },
    attributes: {},
  };
}
