import { currentFeatures } from "./features.ts";
import { workItemLogger, type MiddlewareLogger } from "./logger.ts";
import { CurrentWorkItem } from "./work-item.ts";

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
  const item = currentFeatures()?.get(CurrentWorkItem);
  if (item === undefined) return undefined;
  if (item.kind === "activity") return workItemLogger(item.facts);
  const { run } = item;
  // Without a run it is unknown whether the orchestration replays.
  return run && workItemLogger(item.facts, () => run.isReplaying);
}
