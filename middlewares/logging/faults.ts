import { Isolation } from "../../src/telemetry/isolate.ts";

/** Isolates the faults of `logging` (telemetry.md K1). */
export const isolated: Isolation = new Isolation("logging");
