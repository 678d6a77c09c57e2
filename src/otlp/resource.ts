import { diag } from "@opentelemetry/api";
import { getStringListFromEnv } from "@opentelemetry/core";
import {
  envDetector,
  hostDetector,
  osDetector,
  processDetector,
  type ResourceDetector,
  serviceInstanceIdDetector,
} from "@opentelemetry/resources";
import packageJson from "../../package.json" with { type: "json" };

/** A value of a resource attribute. */
export type ResourceAttributeValue =
  | string
  | number
  | boolean
  | readonly string[]
  | readonly number[]
  | readonly boolean[];

/** Attributes of the resource, by name. */
export type ResourceAttributes = Readonly<Record<string, ResourceAttributeValue | undefined>>;

// The names that the OpenTelemetry SDK for Node.js knows in OTEL_NODE_RESOURCE_DETECTORS.
const detectorsByName: ReadonlyMap<string, ResourceDetector> = new Map([
  ["serviceinstance", serviceInstanceIdDetector],
  ["process", processDetector],
  ["host", hostDetector],
  ["os", osDetector],
]);

/**
 * What describes the service, the weakest first: what is detected, then the environment, then this package, then code.
 *
 * These are detectors because the SDK merges what is detected over a `resource` that it is given: the environment
 * would win over code.
 */
export function resourceDetectors(attributes: ResourceAttributes): ResourceDetector[] {
  return [
    ...detectorsFromEnv(),
    envDetector,
    {
      detect: () => ({
        attributes: {
          "telemetry.distro.name": packageJson.name,
          "telemetry.distro.version": packageJson.version,
          ...definedOnly(attributes),
        },
      }),
    },
  ];
}

function detectorsFromEnv(): ResourceDetector[] {
  const names = (getStringListFromEnv("OTEL_NODE_RESOURCE_DETECTORS") ?? []).filter((name) => name !== "env");
  if (names.includes("none")) return [];
  if (names.length === 0 || names.includes("all")) return [...detectorsByName.values()];
  return names.flatMap((name) => {
    const detector = detectorsByName.get(name);
    if (detector !== undefined) return [detector];
    const known = ["all", "none", "env", ...detectorsByName.keys()].join(", ");
    diag.warn(`OTEL_NODE_RESOURCE_DETECTORS: "${name}" is ignored; allowed are ${known}`);
    return [];
  });
}

function definedOnly(attributes: ResourceAttributes): Record<string, unknown> {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
