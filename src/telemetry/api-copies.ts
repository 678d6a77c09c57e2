import { createRequire } from "node:module";
import { trace } from "@opentelemetry/api";
import { registrations } from "./api-globals.ts";

/** A copy of `@opentelemetry/api`, of any version, or of `@opentelemetry/api-logs`. */
interface ApiCopy {
  readonly trace?: { getTracerProvider(): object };
  readonly logs?: { getLoggerProvider(): object };
}

/**
 * Notes where tracers and loggers came from so far: each copy of the OpenTelemetry API that a process has loaded, such as
 * the one for ES modules, the one for CommonJS and `@opentelemetry/api-logs`, hands out its own until a provider is
 * registered, and only the copy that registers it connects its own. So instrumentation that another copy has served
 * records nothing, ever. (Meters that are taken too early are lost in any copy.)
 *
 * @returns what has those tracers and loggers record with the providers that are registered then.
 */
export function noteTracersAndLoggers(): () => void {
  const noted = copies().map((copy) => ({ tracers: copy.trace?.getTracerProvider(), loggers: copy.logs?.getLoggerProvider() }));
  return () => {
    const { logs, apiLogs } = registrations();
    for (const { tracers, loggers } of noted) {
      connect(tracers, trace.getTracerProvider());
      connect(loggers, logs ?? apiLogs);
    }
  };
}

function copies(): readonly ApiCopy[] {
  const require = createRequire(process.execPath);
  const load = (path: string): readonly ApiCopy[] => {
    try {
      return [require(path) as ApiCopy];
    } catch {
      return []; // This process must not require ES modules.
    }
  };
  try {
    const required = Object.keys(require.cache).filter((path) => mainFile.test(path));
    // API 1.10 has a second copy for ES modules, which `require` gives as it is. What is loaded of those is not listed anywhere.
    const asModule = createRequire(import.meta.url).resolve("@opentelemetry/api").replace(/\.cjs$/, ".mjs");
    return [...new Set([...required, asModule])].flatMap(load);
  } catch {
    return []; // They are in a bundle.
  }
}

const mainFile = /[\\/]@opentelemetry[\\/]api(?:-logs)?[\\/](?:dist|build[\\/]src)[\\/]index\.c?js$/;

function connect(proxy: object | undefined, registered: unknown): void {
  // Where nothing was registered in the meantime it is the copy's own again.
  if (proxy === undefined || registered === undefined || proxy === registered) return;
  // The name differs from one version to the next.
  for (const method of ["setDelegate", "_setDelegate"]) {
    const setDelegate: unknown = Reflect.get(proxy, method);
    if (typeof setDelegate === "function") Reflect.apply(setDelegate, proxy, [registered]);
  }
}
