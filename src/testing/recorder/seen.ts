/** Says what was recorded instead, for those who wait for something else. */
import { inspect } from "node:util";
import type { RecordedLogRecord } from "./recorded-logs.ts";
import type { RecordedMetric } from "./recorded-metrics.ts";
import type { RecordedSpan } from "./recorded-span.ts";

export function spansSeen(ended: readonly RecordedSpan[], open: readonly RecordedSpan[]): string {
  const names = (spans: readonly RecordedSpan[]): string => list(spans.map(({ name }) => name));
  return `Spans that ended: ${names(ended)}.${open.length === 0 ? "" : ` Spans that are open: ${names(open)}.`}`;
}

export function logsSeen(records: readonly RecordedLogRecord[]): string {
  return `Log records: ${list(records.map(({ eventName, body }) => eventName ?? bodyText(body)))}.`;
}

export function metricsSeen(metrics: readonly RecordedMetric[]): string {
  return `Instruments that have measured something: ${list(metrics.map(({ name }) => name))}.`;
}

// A body is any value.
function bodyText(body: RecordedLogRecord["body"]): string {
  if (body === undefined) return "one without a body";
  return typeof body === "string" ? body : inspect(body, { breakLength: Infinity, compact: true });
}

const longest = 20;

/** Each distinct string once, with its number of occurrences. */
function list(strings: readonly string[]): string {
  const counts = [...Map.groupBy(strings, (each) => each)].map(([each, all]) =>
    all.length === 1 ? each : `${all.length} × ${each}`,
  );
  if (counts.length === 0) return "none";
  const more = counts.length - longest;
  return counts.slice(0, longest).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
