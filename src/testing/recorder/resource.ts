import type { Attributes } from "@opentelemetry/api";
import type { RecordedResource } from "./recorded-span.ts";

/** What a recorder's telemetry is about, with the name that OpenTelemetry gives a service without one. */
export const resource: RecordedResource = resourceOf({ "service.name": "unknown_service:node" });

function resourceOf(attributes: Attributes): RecordedResource {
  return {
    attributes,
    merge: (other) => resourceOf({ ...attributes, ...other?.attributes }),
    getRawAttributes: () => Object.entries(attributes),
  };
}
