import type { Attributes } from "@opentelemetry/api";
import { attributesOf } from "../../src/telemetry/attribute-values.ts";
import { recordedStrings } from "../../src/telemetry/recorded-string.ts";
import { spanValueLimit } from "../../src/telemetry/value-limits.ts";
import { isolated } from "./faults.ts";

/**
 * Attributes of the user's, as a copy whose strings, depth and width are bounded (telemetry.md K4). What can't be read is
 * isolated, and costs its own value: an attribute that breaks when the span is made would cost the span.
 */
export function userAttributes(source: unknown): Attributes {
  if (typeof source !== "object" || source === null) return {};
  // The API's type is narrower than what the SDK takes; SDK 2.x leaves out what is nested.
  return attributesOf(source, spanValueLimit(), (error) => isolated.fault("an attribute can't be read", error));
}

/** Attributes that this package writes, with their strings cut at the limit of spans. */
export function cutAttributes(attributes: Attributes): Attributes {
  return recordedStrings(attributes, spanValueLimit());
}
