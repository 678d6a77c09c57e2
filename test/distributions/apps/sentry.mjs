import * as Sentry from "@sentry/node";

const { SENTRY_DSN: dsn, ENABLE_OTEL } = process.env;
Sentry.init({
  dsn,
  tracesSampleRate: 1,
  enableLogs: true,
  ...(ENABLE_OTEL === undefined ? {} : { enableOpenTelemetrySetup: true }),
});
globalThis.endTelemetry = () => Sentry.close(5000);
