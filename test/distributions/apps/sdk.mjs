// The OpenTelemetry SDK's own NodeSDK, 2.x or 3.x.
import { NodeSDK } from "@opentelemetry/sdk-node";

const { BARE } = process.env;
const idGenerator = BARE === undefined ? { idGenerator: new (await import("durable-telemetry/otlp")).DurableIdGenerator() } : {};
const sdk = new NodeSDK(idGenerator);
sdk.start();
globalThis.endTelemetry = () => sdk.shutdown();
