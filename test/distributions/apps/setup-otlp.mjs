import { setupOtlp } from "durable-telemetry/otlp";

const telemetry = setupOtlp();
globalThis.endTelemetry = () => telemetry.shutdown();
