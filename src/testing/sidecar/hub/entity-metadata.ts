import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Entity } from "./entity.ts";
import { text, timestamp } from "./history-events.ts";
import { within } from "./time-range.ts";

/** Whether an entity is one that a query is for. */
export function matchesQuery(entity: Entity, query: pb.EntityQuery): boolean {
  return (
    (entity.state !== undefined || query.getIncludetransient()) &&
    entity.id.startsWith(query.getInstanceidstartswith()?.getValue() ?? "") &&
    within(entity.lastModifiedAt, query.getLastmodifiedfrom(), query.getLastmodifiedto())
  );
}

/** What a client gets of an entity. */
export function entityMetadata(entity: Entity, includeState: boolean): pb.EntityMetadata {
  const metadata = new pb.EntityMetadata()
    .setInstanceid(entity.id)
    .setLastmodifiedtime(timestamp(entity.lastModifiedAt))
    .setBacklogqueuesize(entity.inbox.length);
  if (entity.lock !== undefined) metadata.setLockedby(text(entity.lock.owner.instanceId));
  return includeState ? metadata.setSerializedstate(entity.state) : metadata;
}
