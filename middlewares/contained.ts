import { Isolation } from "../src/telemetry/isolate.ts";

const isolation = new Isolation("tracing");

/** Isolates the faults of `tracing`. */
export const contained = <T>(what: string, code: () => T): T | undefined => isolation.run(what, code);
