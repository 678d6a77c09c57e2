import type { DurableTelemetryOptions } from "../src/index.ts";

/** Options that leave every built-in middleware out. */
export const customOnly: DurableTelemetryOptions = { tracing: false, metrics: false, logging: false };
