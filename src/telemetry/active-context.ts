import { context, ROOT_CONTEXT, type Context } from "@opentelemetry/api";
import { isolate } from "../pipeline/isolate.ts";

// What the context manager did wrong first, until it is reported.
let fault: string | undefined;
let isReported = false;

/** What the registered context manager did wrong first, once: whoever gets it reports it where a user looks. */
export function takeContextFault(): string | undefined {
  if (fault === undefined || isReported) return undefined;
  isReported = true;
  return fault;
}

/**
 * The active context, from whatever context manager is registered. What is no context is taken for the root: a foreign
 * context manager must not stop the code that asks (telemetry.md K1).
 */
export function activeContext(): Context {
  try {
    const active: unknown = context.active();
    if (isContext(active)) return active;
    fault ??= "its active() returns no context";
  } catch {
    fault ??= "its active() throws";
  }
  return ROOT_CONTEXT;
}

function isContext(value: unknown): value is Context {
  if (typeof value !== "object" || value === null) return false;
  const { getValue, setValue, deleteValue } = value as Partial<Context>;
  return typeof getValue === "function" && typeof setValue === "function" && typeof deleteValue === "function";
}

type Outcome<T> = { readonly returned: T } | { readonly thrown: unknown };

/**
 * Runs `run` with `active` as the active context. Whatever the registered context manager does, `run` is called exactly
 * once and before this returns, and what it returns or throws is the result.
 */
export function runIn<T>(active: Context, run: () => T): T {
  let outcome: Outcome<T> | undefined;
  // A second call, or one that comes late, runs nothing.
  const once = (): T => {
    outcome ??= outcomeOf(run);
    if ("thrown" in outcome) throw outcome.thrown;
    return outcome.returned;
  };
  try {
    const returned: unknown = context.with(active, once);
    // An async with() returns a promise of its own, which rejects where what `run` returned does: that is the caller's to handle.
    if (outcome === undefined || !("returned" in outcome) || returned !== outcome.returned) isolate(() => returned, ignore);
  } catch {
    // What `run` threw is thrown again below; what the context manager threw is not for the caller.
    if (outcome === undefined) fault ??= "its with() throws";
  }
  if (outcome === undefined) fault ??= "its with() does not call the function";
  return once();
}

function ignore(): void {}

function outcomeOf<T>(run: () => T): Outcome<T> {
  try {
    return { returned: run() };
  } catch (thrown) {
    return { thrown };
  }
}
