import type { ResourceDetector } from "@opentelemetry/resources";
import packageJson from "../../package.json" with { type: "json" };
import { load } from "./packages.ts";
import type { GeneralSettings } from "./settings.ts";

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

/** How this package is called, and its version. */
export const distribution: { readonly name: string; readonly version: string } = packageJson;

// The names that the OpenTelemetry SDK for Node.js knows in OTEL_NODE_RESOURCE_DETECTORS; what the environment says
// ("env") is always heard.
function detectorsByName(): Readonly<Record<string, ResourceDetector>> {
  const { hostDetector, osDetector, processDetector, serviceInstanceIdDetector } = load("@opentelemetry/resources");
  return { serviceinstance: serviceInstanceIdDetector, process: processDetector, host: hostDetector, os: osDetector };
}

/**
 * What describes the service, the weakest first: what is detected, then the environment, then this package, then code.
 *
 * These are detectors because the SDK merges what is detected over a `resource` that it is given: the environment
 * would win over code.
 */
export function resourceDetectors(settings: GeneralSettings): ResourceDetector[] {
  const { serviceName } = settings;
  const given = settings.resourceAttributes.toReversed().map(({ value, source }) => ({ source, value: definedOnly(value) }));
  const from = (kind: "env" | "code"): Record<string, unknown> => {
    const attributes = Object.assign({}, ...given.filter(({ source }) => source.startsWith(kind)).map(({ value }) => value));
    if (serviceName.source.startsWith(kind)) attributes["service.name"] = serviceName.value;
    return attributes;
  };
  return [
    ...detected(settings),
    {
      detect: () => ({
        attributes: {
          ...from("env"),
          "telemetry.distro.name": distribution.name,
          "telemetry.distro.version": distribution.version,
          ...from("code"),
        },
      }),
    },
  ];
}

function detected({ resourceDetectors: { value: names } }: GeneralSettings): ResourceDetector[] {
  if (names.includes("none")) return [];
  if (names.every((name) => name === "env") || names.includes("all")) return Object.values(detectorsByName());
  const detectors = detectorsByName();
  return names.flatMap((name) => detectors[name] ?? []);
}

function definedOnly(attributes: ResourceAttributes): Record<string, unknown> {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
