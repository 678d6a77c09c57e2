// Delivers what the registered providers have, whatever SDK they are of.
import { metrics, trace } from "@opentelemetry/api";

export async function flush() {
  const logs =
    globalThis[Symbol.for("io.opentelemetry.js.api.logs")]?.(1) ??
    globalThis[Symbol.for("opentelemetry.js.api.1")]?.logs;
  const providers = [trace.getTracerProvider().getDelegate?.(), metrics.getMeterProvider(), logs];
  await Promise.allSettled(providers.map((provider) => provider?.forceFlush?.()));
}

globalThis.endTelemetry = flush;
