import { HoneycombSDK } from "@honeycombio/opentelemetry-node";

const { BARE, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = process.env;
const idGenerator = BARE === undefined ? { idGenerator: new (await import("durable-telemetry/otlp")).DurableIdGenerator() } : {};
const sdk = new HoneycombSDK({ apiKey: "0123456789abcdef0123456789abcdef", serviceName: "lab", endpoint, ...idGenerator });
sdk.start();
globalThis.endTelemetry = () => sdk.shutdown();
