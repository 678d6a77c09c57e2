import * as Sentry from "@sentry/node";
import { setupOtlp } from "durable-telemetry/otlp";

Sentry.init({ dsn: process.env.SENTRY_DSN, tracesSampleRate: 1 });
const telemetry = setupOtlp();
globalThis.endTelemetry = async () => {
  await telemetry.shutdown();
  await Sentry.close(5000);
};
