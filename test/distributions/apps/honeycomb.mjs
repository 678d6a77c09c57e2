import { HoneycombSDK } from "@honeycombio/opentelemetry-node";
import { flush } from "./flush.mjs";

const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = process.env;
const sdk = new HoneycombSDK({
  apiKey: "0123456789abcdef0123456789abcdef",
  serviceName: "lab",
  endpoint,
  metricsDataset: "lab",
});
sdk.start();
globalThis.endTelemetry = async () => {
  // Its shutdown leaves metrics behind.
  await flush();
  await sdk.shutdown();
};
