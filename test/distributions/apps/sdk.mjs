// The OpenTelemetry SDK's own NodeSDK, 2.x or 3.x.
import { NodeSDK } from "@opentelemetry/sdk-node";

const sdk = new NodeSDK();
sdk.start();
globalThis.endTelemetry = () => sdk.shutdown();
