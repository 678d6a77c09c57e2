import type { Sampler } from "@opentelemetry/sdk-trace";

/** The samplers that OpenTelemetry has names for and the SDK has. */
export type SamplerName =
  | "always_on"
  | "always_off"
  | "traceidratio"
  | "parentbased_always_on"
  | "parentbased_always_off"
  | "parentbased_traceidratio";

export const samplerNames: readonly SamplerName[] = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
];

export function isSampler(value: unknown): value is Sampler {
  return typeof value === "object" && value !== null && "shouldSample" in value && typeof value.shouldSample === "function";
}
