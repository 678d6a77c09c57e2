import type { Attributes } from "@opentelemetry/api";
import { attributesOf } from "../../src/telemetry/attribute-values.ts";
import { recordedStrings } from "../../src/telemetry/recorded-string.ts";
import { spanValueLimit } from "../../src/telemetry/value-limits.ts";
import { isolated } from "./faults.ts";

/**
 * A copy of the user's attributes with bounded strings, depth and width (telemetry.md K4). An attribute that can't be read
 * is isolated, and only its value is lost: an attribute that throws while the span is created would lose the span.
 */
export function userAttributes(source: unknown): Attributes {
  if (typeof source !== "object" || source === null) return {};
  // The API's type is narrower than what the SDK accepts; SDK 2.x omits nested values.
  return attributesOf(source, spanValueLimit(), (error) => isolated.fault("an attribute can't be read", error));
}

/** Attributes that this package writes, with their strings cut at the limit of spans. */
export function cutAttributes(attributes: Attributes): Attributes {
  return recordedStrings(attributes, spanValueLimit());
}
