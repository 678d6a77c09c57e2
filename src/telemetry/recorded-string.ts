import type { Attributes } from "@opentelemetry/api";
import { logLoss } from "./loss-log.ts";
import { cut, type ValueLimit } from "./value-limits.ts";

/** A string as it is recorded: within the limit (telemetry.md K4). That it was cut is logged, with the number of such strings (K5). */
export function recordedString(value: string, limit: ValueLimit): string {
  const kept = cut(value, limit);
  if (kept.length !== value.length)
    logLoss(`a string was cut at ${limit.size} ${limit.unit}; OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT sets that limit`);
  return kept;
}

/** How long an entry of a list is at most, so that a list of 32 is no longer than one string at the default limit. */
const longestEntry = 1024;

/** An entry of an attribute that is a list, as it is recorded (telemetry.md K4). */
export function recordedEntry(value: string, limit: ValueLimit): string {
  if (limit.size <= longestEntry) return recordedString(value, limit);
  const kept = cut(value, { size: longestEntry, unit: limit.unit });
  if (kept.length !== value.length) logLoss(`an entry of a list was cut at ${longestEntry} ${limit.unit}`);
  return kept;
}

/** Attributes that this package writes, whose strings may be of any length: a name, an ID. As a copy only if one is too long. */
export function recordedStrings(attributes: Attributes, limit: ValueLimit): Attributes {
  let recorded: Attributes | undefined;
  for (const key in attributes) {
    const value = attributes[key];
    if (typeof value !== "string") continue;
    const kept = recordedString(value, limit);
    if (kept === value) continue;
    recorded ??= { ...attributes };
    recorded[key] = kept;
  }
  return recorded ?? attributes;
}
