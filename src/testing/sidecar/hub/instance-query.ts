import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import { TaskHubRefusal } from "./errors.ts";
import type { Instance } from "./instance.ts";

type Timestamp = timestamps.Timestamp | undefined;

const DEFAULT_PAGE_SIZE = 100;

/** Which instances a query is for. What is left out does not restrict it. */
export interface InstanceFilter {
  readonly statuses?: readonly pb.OrchestrationStatus[];
  readonly prefix?: string | undefined;
  readonly createdFrom?: Timestamp;
  readonly createdTo?: Timestamp;
  readonly completedFrom?: Timestamp;
  readonly completedTo?: Timestamp;
}

export interface Page {
  readonly instances: readonly Instance[];
  /** Asks for the page after this one; absent on the last page. */
  readonly continuationToken: string | undefined;
}

export function matches(instance: Instance, filter: InstanceFilter): boolean {
  const { statuses = [], prefix = "" } = filter;
  return (
    (statuses.length === 0 || statuses.includes(instance.status)) &&
    instance.id.startsWith(prefix) &&
    within(instance.createdAt, filter.createdFrom, filter.createdTo) &&
    within(instance.completedAt, filter.completedFrom, filter.completedTo)
  );
}

/**
 * A page of the instances that match, in the order of their creation. Instances that come and go between two pages
 * neither repeat nor hide others.
 *
 * @param size - Most instances on the page; zero and less stand for 100.
 */
export function pageOf(instances: Iterable<Instance>, filter: InstanceFilter, size: number, token?: string): Page {
  const after = token === undefined || token === "" ? 0 : sequenceOf(token);
  const limit = size > 0 ? size : DEFAULT_PAGE_SIZE;
  const found: Instance[] = [];
  for (const instance of instances) {
    if (instance.sequence <= after || !matches(instance, filter)) continue;
    if (found.length === limit) return { instances: found, continuationToken: tokenOf(found.at(-1)) };
    found.push(instance);
  }
  return { instances: found, continuationToken: undefined };
}

function within(time: Date | undefined, from: Timestamp, to: Timestamp): boolean {
  if (from === undefined && to === undefined) return true;
  if (time === undefined) return false;
  return (from === undefined || from.toDate() <= time) && (to === undefined || time <= to.toDate());
}

// Opaque, so that nobody counts on what it is.
function tokenOf(last: Instance | undefined): string {
  return Buffer.from(`after:${last?.sequence ?? 0}`).toString("base64url");
}

function sequenceOf(token: string): number {
  const sequence = /^after:(\d+)$/.exec(Buffer.from(token, "base64url").toString())?.[1];
  if (sequence === undefined) {
    throw new TaskHubRefusal("INVALID_ARGUMENT", `'${token}' is not a continuation token of this task hub.`);
  }
  return Number(sequence);
}
