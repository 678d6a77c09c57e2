import { createRequire } from "node:module";
import * as api from "@opentelemetry/api";

// API 1.9 has no logs.
type Api = Pick<typeof api, "trace"> & Partial<Pick<typeof api, "logs">>;

/**
 * Notes where tracers and loggers came from so far: each copy of the OpenTelemetry API that a process has loaded, the
 * one for ES modules and the one for CommonJS, hands out its own until a provider is registered, and only the copy
 * that registers it tells its own. So instrumentation that the other copy has served would record nothing, ever.
 * (Meters that are taken too early are lost in any copy.)
 *
 * @returns what has those tracers and loggers record with the providers that are registered then.
 */
export function noteTracersAndLoggers(): () => void {
  const noted = copies().map((copy) => ({ tracers: copy.trace.getTracerProvider(), loggers: copy.logs?.getLoggerProvider() }));
  return () => {
    for (const { tracers, loggers } of noted) {
      connect(tracers, "setDelegate", api.trace.getTracerProvider());
      const { logs }: Api = api;
      connect(loggers, "_setDelegate", logs?.getLoggerProvider());
    }
  };
}

function copies(): readonly Api[] {
  const load = (find: () => Api): readonly Api[] => {
    try {
      return [find()];
    } catch {
      return []; // It is in a bundle, or this process must not require ES modules.
    }
  };
  const require = (file: (path: string) => string): Api => {
    const fromHere = createRequire(import.meta.url);
    return fromHere(file(fromHere.resolve("@opentelemetry/api"))) as Api;
  };
  const required = [(path: string) => path, (path: string) => path.replace(/\.cjs$/, ".mjs")].flatMap((file) => load(() => require(file)));
  return [api, ...required];
}

function connect(proxy: object | undefined, method: string, registered: object | undefined): void {
  if (proxy === undefined || registered === undefined) return;
  const setDelegate: unknown = Reflect.get(proxy, method);
  // Where nothing was registered in the meantime it is the copy's own again.
  if (proxy !== registered && typeof setDelegate === "function") Reflect.apply(setDelegate, proxy, [registered]);
}
