import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Instance } from "./instance.ts";
import { within, type TimeBound } from "./time-range.ts";

/** Which instances a query is for. What is left out does not restrict it. */
export interface InstanceFilter {
  readonly statuses?: readonly pb.OrchestrationStatus[];
  readonly prefix?: string | undefined;
  readonly createdFrom?: TimeBound;
  readonly createdTo?: TimeBound;
  readonly completedFrom?: TimeBound;
  readonly completedTo?: TimeBound;
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
