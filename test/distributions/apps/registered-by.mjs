// Registers the providers of the project's SDK, 2.x or 3.x, with another copy of the OpenTelemetry API than the one that
// durable-telemetry finds: with the copy of the package AGENT.
import { context, metrics, propagation, trace } from "@opentelemetry/api";
import { NodeSDK } from "@opentelemetry/sdk-node";

const sdk = new NodeSDK();
sdk.start();
const registered = globalThis[Symbol.for("opentelemetry.js.api.1")];
const { trace: tracers, metrics: meters, context: contexts, propagation: propagators } = registered;
const providers = {
  trace: tracers.getDelegate?.() ?? tracers,
  metrics: meters,
  context: contexts,
  propagation: propagators,
};
for (const api of [trace, metrics, context, propagation]) api.disable();
delete globalThis[Symbol.for("opentelemetry.js.api.1")];

const other = await import(process.env.AGENT);
other.trace.setGlobalTracerProvider(providers.trace);
other.metrics.setGlobalMeterProvider(providers.metrics);
other.context.setGlobalContextManager(providers.context.enable());
other.propagation.setGlobalPropagator(providers.propagation);
globalThis.endTelemetry = () => sdk.shutdown();
