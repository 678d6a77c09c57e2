// The copy of the OpenTelemetry API of the package AGENT is the first to register anything, a propagator; then setupOtlp.
import { setupOtlp } from "durable-telemetry/otlp";

const { propagation } = await import(process.env.AGENT);
propagation.setGlobalPropagator({ inject: () => {}, extract: (context) => context, fields: () => [] });
const telemetry = setupOtlp();
globalThis.endTelemetry = () => telemetry.shutdown();
