import * as logfire from "@pydantic/logfire-node";

logfire.configure({
  token: "pylf_v1_us_0123456789",
  serviceName: "lab",
  console: false,
  advanced: { baseUrl: process.env.OTEL_EXPORTER_OTLP_ENDPOINT },
});
await import("./flush.mjs");
