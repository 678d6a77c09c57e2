import { createRequire } from "node:module";
import { trace, type TracerProvider } from "@opentelemetry/api";

interface Proxy {
  setDelegate(provider: TracerProvider): void;
}

/**
 * Notes where tracers came from so far: each copy of the OpenTelemetry API that a process has loaded, the one for ES
 * modules and the one for CommonJS, hands out tracers of its own until a provider is registered, and only the copy
 * that registers it tells its own. So instrumentation that the other copy has served would record nothing, ever.
 *
 * @returns what has those tracers record with the provider that is registered then.
 */
export function noteTracers(): () => void {
  const require = createRequire(import.meta.url);
  const path = require.resolve("@opentelemetry/api");
  const providers = [path, path.replace(/\.cjs$/, ".mjs")].flatMap((copy) => {
    try {
      return [(require(copy) as typeof import("@opentelemetry/api")).trace.getTracerProvider()];
    } catch {
      return []; // This version has no such copy.
    }
  });
  return () => {
    const registered = trace.getTracerProvider();
    for (const provider of providers) if (provider !== registered && isProxy(provider)) provider.setDelegate(registered);
  };
}

function isProxy(provider: object): provider is Proxy {
  return "setDelegate" in provider && typeof provider.setDelegate === "function";
}
