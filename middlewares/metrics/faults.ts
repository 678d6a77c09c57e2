import { containedIn, type Contained } from "../contained.ts";

/** Contains the faults of `metrics` (telemetry.md K1). */
export const contained: Contained = containedIn("metrics");
