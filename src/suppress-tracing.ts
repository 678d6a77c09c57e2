import { createContextKey } from "@opentelemetry/api";

/**
 * The key under which a context suppresses spans: that of `suppressTracing` in `@opentelemetry/core`,
 * which is not loaded for it. Context keys are registered symbols, so this is the same one.
 */
export const suppressTracingKey: symbol = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING");
