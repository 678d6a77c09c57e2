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

/** What is remembered of a task. */
interface RememberedOrigin extends Origin {
  /** The execution that scheduled it, {@link shortened}. */
  readonly executionId: string | undefined;
}

const slot: unique symbol = Symbol.for("durable-telemetry.origins");
const kept = 4096;
const longestKey = 64;
// In characters: a root is recorded, and a digest of it would be no use (telemetry.md K2).
const longestRoot = 256;

// All copies of this package in a process share it.
function remembered(): Map<string, RememberedOrigin> {
  const shared = globalThis as { [slot]?: Map<string, RememberedOrigin> };
  return (shared[slot] ??= new Map());
}

const keyOf = (instanceId: string, taskId: number): string => shortened(`${taskId}:${instanceId}`);

function shortened(id: string): string {
  return id.length <= longestKey ? id : crypto.hash("sha256", id);
}

function recall(item: WorkItem): Origin | undefined {
  const { instanceId, executionId, taskId } = item.kind === "activity" ? item : (item.parent ?? {});
  if (instanceId === undefined || taskId === undefined) return undefined;
  const origin = remembered().get(keyOf(instanceId, taskId));
  // Another process may have scheduled the task that has this ID in another execution of the instance.
  const isOther =
    executionId !== undefined && origin?.executionId !== undefined && origin.executionId !== shortened(executionId);
  return isOther ? undefined : origin;
}

/** What is known of where a work item comes from; `undefined` if nothing is. */
export function originOf(item: WorkItem): Origin | undefined {
  const carried = item.features.get(CarriedOrigin);
  if (carried?.root !== undefined) return carried;
  const own = remembered().size === 0 ? undefined : recall(item);
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
    origins.set(key, {
      attempt: origin.attempt,
      mayRetry: origin.mayRetry,
      root: origin.root !== undefined && origin.root.length <= longestRoot ? origin.root : undefined,
      executionId: item.executionId === undefined ? undefined : shortened(item.executionId),
    });
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
