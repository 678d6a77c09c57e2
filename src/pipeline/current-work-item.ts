import { AsyncLocalStorage } from "node:async_hooks";
import type { MiddlewareFeatures } from "./features.ts";
import { workItemLogger, type MiddlewareLogger } from "./logger.ts";
import type { ActivityExecution, Episode } from "./execution.ts";

// Process-wide, so that task code which imports the other copy (ESM or CJS) of this package sees the same work item.
const key: unique symbol = Symbol.for("durable-telemetry.current-work-item");
const holder = globalThis as { [key]?: AsyncLocalStorage<Episode | ActivityExecution> };
const current: AsyncLocalStorage<Episode | ActivityExecution> = (holder[key] ??= new AsyncLocalStorage());

/** The work item whose code is running; it may be of the other copy of this package. */
export function currentWorkItem(): Episode | ActivityExecution | undefined {
  return current.getStore();
}

/** Runs `fn` as code of `item`. */
export function runInWorkItem<T>(item: Episode | ActivityExecution, fn: () => T): T {
  return current.run(item, fn);
}

/**
 * The features of the current work item (contract.md F6), for orchestrator and activity functions, which have no
 * middleware context. `undefined` outside a work item.
 *
 * @example
 * async function charge(_: ActivityContext, order: Order) {
 *   const tenant = currentFeatures()?.get(Tenant);
 * }
 */
export function currentFeatures(): MiddlewareFeatures | undefined {
  return currentWorkItem()?.features;
}

/**
 * The logger of the current work item, for orchestrator and activity functions, which have no middleware context. It is
 * the same as `ctx.logger` in middleware, and writes nothing while an orchestration replays (contract.md X7,
 * telemetry.md L2).
 *
 * `undefined` if the pipeline does not run: outside a work item, and in an orchestrator whose worker has no
 * orchestration middleware.
 *
 * @example
 * async function charge(_: ActivityContext, order: Order) {
 *   (currentLogger() ?? console).info("charging", { "order.id": order.id });
 * }
 */
export function currentLogger(): MiddlewareLogger | undefined {
  const item = currentWorkItem();
  if (item === undefined) return undefined;
  if (item.kind === "activity") return workItemLogger(item);
  const { code } = item;
  // Before the orchestrator is called it is unknown whether the orchestration replays.
  return code && workItemLogger(item, () => code.isReplaying);
}
