import { context, ROOT_CONTEXT, type Context } from "@opentelemetry/api";
import { runThrough, type Problem } from "../pipeline/run-through.ts";

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
    if (active === ROOT_CONTEXT || isContext(active)) return active as Context;
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

/**
 * Runs `run` with `active` as the active context. Whatever the registered context manager does, `run` is called exactly
 * once and before this returns, and what it returns or throws is the result.
 */
export function runIn<T>(active: Context, run: () => T): T {
  return runThrough(callWith, active, run, noteFault);
}

function callWith(active: Context, once: () => unknown): unknown {
  return context.with(active, once);
}

function noteFault(_: Context, problem: Problem): void {
  // The promise of an async with() rejects where what it ran does: that is the caller's to handle.
  if (problem !== "rejects") fault ??= `its with() ${problem}`;
}
