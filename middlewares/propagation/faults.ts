import { Isolation } from "../../src/telemetry/isolate.ts";

/** Isolates the faults of `propagation` (telemetry.md K1). */
export const isolated: Isolation = new Isolation("propagation");
