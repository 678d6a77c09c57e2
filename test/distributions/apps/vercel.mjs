import { registerOTel } from "@vercel/otel";

const { BARE } = process.env;
const idGenerator = BARE === undefined ? { idGenerator: new (await import("durable-telemetry/otlp")).DurableIdGenerator() } : {};
registerOTel({ serviceName: "lab", ...idGenerator });
await import("./flush.mjs");
