import { shutdownAzureMonitor, useAzureMonitor } from "@azure/monitor-opentelemetry";

// SAMPLING: options of the distribution's sampler; without, it has its defaults.
useAzureMonitor({
  azureMonitorExporterOptions: { connectionString: process.env.APPLICATIONINSIGHTS_CONNECTION_STRING },
  ...JSON.parse(process.env.SAMPLING ?? "{}"),
});
globalThis.endTelemetry = () => shutdownAzureMonitor();
