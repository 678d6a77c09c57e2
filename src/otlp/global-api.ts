import * as api from "@opentelemetry/api";

const { context, metrics, propagation, trace } = api;

// API 1.9 has none.
const logs = Reflect.get(api, "logs") as typeof api.logs | undefined;

/** What a process can register once with the OpenTelemetry API. */
export type Slot = "trace" | "context" | "propagation" | "metrics" | "logs" | "diag";

/** What is registered in each slot. */
export type Registrations = Readonly<Partial<Record<Slot, unknown>>>;

// The API has no public question for "is anything registered?". All copies of API 1.x in a process share this
// object, and each of them must find it, so its place is as stable as the API's major version.
const apiKey = Symbol.for("opentelemetry.js.api.1");

/** What is registered now. */
export function registrations(): Registrations {
  return { ...(Reflect.get(globalThis, apiKey) as Registrations | undefined) };
}

/** Takes back what was registered after `before` was noted, and leaves alone what others have registered. */
export function unregister(before: Registrations, ours: Registrations): void {
  const now = registrations();
  const isOurs = (slot: Slot): boolean => ours[slot] !== before[slot] && now[slot] === ours[slot];
  if (isOurs("trace")) trace.disable();
  if (isOurs("metrics")) metrics.disable();
  if (isOurs("logs")) logs?.disable();
  if (isOurs("propagation")) propagation.disable();
  if (isOurs("context")) context.disable();
}
