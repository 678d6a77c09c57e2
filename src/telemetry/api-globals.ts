import * as api from "@opentelemetry/api";

/** What a process can register once with the OpenTelemetry API; `apiLogs` is the logs API of SDK 2.x, which is a package of its own. */
export type Slot = "trace" | "context" | "propagation" | "metrics" | "logs" | "apiLogs" | "diag";

/** What is registered in each slot. */
export type Registrations = Readonly<Partial<Record<Slot, unknown>>>;

/** What a logger provider of any version of the logs API can do. */
export interface AnyLoggerProvider {
  getLogger(name: string, version?: string, options?: object): object;
}

// The API has no public question for "is anything registered?". All copies of API 1.x in a process share this
// object, and each of them must find it, so its place is as stable as the API's major version.
const apiKey: unique symbol = Symbol.for("opentelemetry.js.api.1");

// Versions 0.35 to 0.223 of @opentelemetry/api-logs, which the SDKs 1.x and 2.x use, share this one. Each asks it for the
// provider of the version of the interface that it knows, and all of them know version 1.
const apiLogsKey: unique symbol = Symbol.for("io.opentelemetry.js.api.logs");
const apiLogsVersion = 1;
const holder = globalThis as { [apiKey]?: Registrations & { readonly version?: unknown }; [apiLogsKey]?: unknown };

// Since API 1.10. By reflection, so that this module loads where the API does not export it.
const logs = Reflect.get(api, "logs") as
  | { setGlobalLoggerProvider(provider: AnyLoggerProvider): boolean; disable(): void }
  | undefined;

/** What is registered now. */
export function registrations(): Registrations {
  return { ...holder[apiKey], apiLogs: registered("apiLogs") };
}

/** What is registered in `slot` now. */
export function registered(slot: Slot): unknown {
  if (slot !== "apiLogs") return holder[apiKey]?.[slot];
  const { [apiLogsKey]: get } = holder;
  return typeof get === "function" ? get(apiLogsVersion) : undefined;
}

/** The version of the copy of the API that registered first: it refuses what other versions register. */
export function registeredVersion(): string | undefined {
  const version = holder[apiKey]?.version;
  return typeof version === "string" ? version : undefined;
}

/**
 * Registers a logger provider with the API, if it has logs, and with `@opentelemetry/api-logs`, whether or not the program
 * has loaded it yet.
 *
 * @returns whether the API accepts it.
 */
export function registerLoggers(provider: AnyLoggerProvider): boolean {
  holder[apiLogsKey] ??= (version: unknown) => (version === apiLogsVersion ? provider : undefined);
  return logs?.setGlobalLoggerProvider(provider) ?? true;
}

/** Takes back what was registered after `before` was noted, and leaves alone what others have registered. */
export function unregister(before: Registrations, ours: Registrations): void {
  const now = registrations();
  const isOurs = (slot: Slot): boolean => ours[slot] !== before[slot] && now[slot] === ours[slot];
  if (isOurs("trace")) api.trace.disable();
  if (isOurs("metrics")) api.metrics.disable();
  if (isOurs("logs")) logs?.disable();
  if (isOurs("apiLogs")) delete holder[apiLogsKey];
  if (isOurs("propagation")) api.propagation.disable();
  if (isOurs("context")) api.context.disable();
}
