import type { Attributes } from "@opentelemetry/api";
import { attributesOf } from "../../src/telemetry/attribute-values.ts";
import { recordedString } from "../../src/telemetry/recorded-string.ts";
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

/** Cuts the strings among attributes that this package writes: a name or an ID may be of any length. */
export function cutAttributes(attributes: Attributes): Attributes {
  const limit = spanValueLimit();
  const cutted: Attributes = {};
  for (const key in attributes) {
    const value = attributes[key];
    cutted[key] = typeof value === "string" ? recordedString(value, limit) : value;
  }
  return cutted;
}
