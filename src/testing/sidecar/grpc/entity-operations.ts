import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { signalOf } from "../hub/entity-messages.ts";
import { entityMetadata, matchesQuery } from "../hub/entity-metadata.ts";
import { entityNameOf } from "../hub/entity.ts";
import { refuseProblem, TaskHubRefusal } from "../hub/errors.ts";
import { text } from "../hub/history-events.ts";
import { entityIdProblem } from "../hub/ids.ts";
import { pageOf } from "../hub/paging.ts";
import type { TaskHub } from "../hub/task-hub.ts";

export function signalEntity(hub: TaskHub, request: pb.SignalEntityRequest): pb.SignalEntityResponse {
  const id = request.getInstanceid();
  if (entityNameOf(id) === undefined) {
    throw new TaskHubRefusal("INVALID_ARGUMENT", `'${id}' is not the ID of an entity, which looks like '@name@key'.`);
  }
  refuseProblem(entityIdProblem(id));
  if (request.getName() === "") {
    throw new TaskHubRefusal("INVALID_ARGUMENT", `The signal to the entity '${id}' names no operation.`);
  }
  hub.entities.send(id, signalOf(request), request.getScheduledtime());
  return new pb.SignalEntityResponse();
}

/** What is known of an entity. One without a state is no more than an address. */
export function getEntity(hub: TaskHub, request: pb.GetEntityRequest): pb.GetEntityResponse {
  refuseProblem(entityIdProblem(request.getInstanceid()));
  const entity = hub.entities.find(request.getInstanceid());
  if (entity?.state === undefined) return new pb.GetEntityResponse().setExists(false);
  return new pb.GetEntityResponse().setExists(true).setEntity(entityMetadata(entity, request.getIncludestate()));
}

export function queryEntities(hub: TaskHub, request: pb.QueryEntitiesRequest): pb.QueryEntitiesResponse {
  const query = request.getQuery() ?? new pb.EntityQuery();
  const { items, continuationToken } = pageOf(hub.entities.all(), {
    matches: (entity) => matchesQuery(entity, query),
    size: query.getPagesize()?.getValue() ?? 0,
    token: query.getContinuationtoken()?.getValue(),
  });
  return new pb.QueryEntitiesResponse()
    .setEntitiesList(items.map((entity) => entityMetadata(entity, query.getIncludestate())))
    .setContinuationtoken(continuationToken === undefined ? undefined : text(continuationToken));
}

export function cleanEntityStorage(hub: TaskHub, request: pb.CleanEntityStorageRequest): pb.CleanEntityStorageResponse {
  const removed = request.getRemoveemptyentities() ? hub.entities.removeVacant() : 0;
  // Locks end with the execution that holds them, so none is ever orphaned.
  return new pb.CleanEntityStorageResponse().setEmptyentitiesremoved(removed).setOrphanedlocksreleased(0);
}
