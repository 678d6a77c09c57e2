import { createRequire } from "node:module";
import * as api from "@opentelemetry/api";
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
  const noted = copies().map((copy) => ({
    tracers: copy.trace?.getTracerProvider(),
    loggers: copy.logs?.getLoggerProvider(),
  }));
  return () => {
    const { logs, apiLogs } = registrations();
    for (const { tracers, loggers } of noted) {
      connect(tracers, api.trace.getTracerProvider());
      connect(loggers, logs ?? apiLogs);
    }
  };
}

function copies(): readonly ApiCopy[] {
  const found = new Set<ApiCopy>([api]);
  // Works in a bundle too: the cache is one for the process, whatever file asks for it.
  const require = createRequire(process.execPath);
  for (const path of Object.keys(require.cache).filter((each) => mainFile.test(each)))
    found.add(require(path) as ApiCopy);
  try {
    // API 1.10 has a second copy for ES modules. Those that are loaded are listed nowhere, so this is the one beside our own.
    found.add(
      require(
        createRequire(import.meta.url)
          .resolve("@opentelemetry/api")
          .replace(/\.cjs$/, ".mjs"),
      ) as ApiCopy,
    );
  } catch {
    // This is a bundle without the package, or a process that must not require ES modules.
  }
  return [...found];
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
