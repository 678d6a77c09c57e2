import crypto from "node:crypto";
import type { Attributes } from "@opentelemetry/api";
import {
  sharedFeature,
  type EpisodeResponse,
  type MiddlewareFeature,
  type OrchestrationWorkItem,
  type WorkItem,
} from "../pipeline/index.ts";
import { ATTR_PARENT_INSTANCE_ID, ATTR_ROOT_INSTANCE_ID, ATTR_TASK_ATTEMPT } from "./semconv.ts";

/**
 * What a task's own messages do not say of where it comes from (telemetry.md S10): it is known in the process that scheduled
 * it, and where `propagate` carries it.
 */
export interface Origin {
  /** The number of the attempt, from 1. */
  readonly attempt?: number | undefined;
  /** Whether the task can be retried if this attempt fails. */
  readonly mayRetry?: boolean | undefined;
  /** The instance ID of the orchestration at the top. */
  readonly root?: string | undefined;
}

/** Feature key of what travelled with a work item. */
export const CarriedOrigin: MiddlewareFeature<Origin> = sharedFeature("carried-origin");

const slot: unique symbol = Symbol.for("durable-telemetry.origins");
const kept = 4096;
const longestKey = 64;

// All copies of this package in a process share it.
function remembered(): Map<string, Origin> {
  const shared = globalThis as { [slot]?: Map<string, Origin> };
  return (shared[slot] ??= new Map());
}

function keyOf(instanceId: string, taskId: number): string {
  const key = `${taskId}:${instanceId}`;
  return key.length <= longestKey ? key : crypto.hash("sha256", key);
}

/** What is known of where a work item comes from; `undefined` if nothing is. */
export function originOf(item: WorkItem): Origin | undefined {
  const carried = item.features.get(CarriedOrigin);
  if (carried?.root !== undefined) return carried;
  const origins = remembered();
  if (origins.size === 0) return carried;
  const { instanceId, taskId } = item.kind === "activity" ? item : (item.parent ?? {});
  const own = instanceId === undefined || taskId === undefined ? undefined : origins.get(keyOf(instanceId, taskId));
  // A root that can't travel may be known here.
  return carried === undefined || own === undefined ? (carried ?? own) : { ...carried, root: own.root };
}

/** The instance ID of the orchestration at the top of an orchestration's callers; `undefined` if it is not known. */
export function rootOf(item: OrchestrationWorkItem): string | undefined {
  return item.parent === undefined ? item.instanceId : originOf(item)?.root;
}

/** The origin of a task that `item` schedules; `undefined` if there is nothing to say. */
export function originOfTask(
  item: OrchestrationWorkItem,
  { attempt = 1, mayRetry = false, type }: EpisodeResponse["scheduled"][number],
): Origin | undefined {
  const root = type === "sub_orchestration" || item.parent !== undefined ? rootOf(item) : undefined;
  return attempt > 1 || mayRetry || root !== undefined ? { attempt, mayRetry, root } : undefined;
}

/** Remembers where the tasks of a response come from, for those of them that run in this process. */
export function rememberOrigins(item: OrchestrationWorkItem, response: EpisodeResponse): void {
  const origins = remembered();
  for (const task of response.scheduled) {
    const origin = originOfTask(item, task);
    if (origin === undefined && origins.size === 0) continue;
    const key = keyOf(item.instanceId, task.taskId);
    // Another execution of the instance may have had a task with this ID.
    origins.delete(key);
    if (origin === undefined) continue;
    origins.set(key, origin);
    if (origins.size <= kept) continue;
    const [oldest] = origins.keys();
    if (oldest !== undefined) origins.delete(oldest);
  }
}

/** Adds what is known of where `item` comes from: the attempt, if it is not the first, its parent and its root. */
export function addOrigin(item: WorkItem, attributes: Attributes): void {
  if (item.kind === "orchestration" && item.parent !== undefined)
    attributes[ATTR_PARENT_INSTANCE_ID] = item.parent.instanceId;
  const origin = originOf(item);
  if (origin === undefined) return;
  if (origin.root !== undefined) attributes[ATTR_ROOT_INSTANCE_ID] = origin.root;
  if (origin.attempt !== undefined && origin.attempt > 1) attributes[ATTR_TASK_ATTEMPT] = origin.attempt;
}
