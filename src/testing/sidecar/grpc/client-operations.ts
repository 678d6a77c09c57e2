import { randomUUID } from "node:crypto";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { refuseProblem, TaskHubRefusal } from "../hub/errors.ts";
import { tagsOf, text } from "../hub/history-events.ts";
import { instanceIdProblem } from "../hub/ids.ts";
import { matches, type InstanceFilter } from "../hub/instance-query.ts";
import { hasFinished, isTerminal, statusName, type Instance } from "../hub/instance.ts";
import { instanceState } from "../hub/instance-state.ts";
import { pageOf } from "../hub/paging.ts";
import type { TaskHub } from "../hub/task-hub.ts";
import { futureStart } from "../hub/time-range.ts";

const Status = pb.OrchestrationStatus;

// What the protocol allows for a single call.
const MOST_SKIPPED_TERMINATIONS = 500;

export function startInstance(hub: TaskHub, request: pb.CreateInstanceRequest): pb.CreateInstanceResponse {
  if (request.getName() === "") {
    throw new TaskHubRefusal("INVALID_ARGUMENT", "An orchestration can't be started without a name.");
  }
  const id = request.getInstanceid() || newInstanceId();
  refuseProblem(instanceIdProblem(id));
  const existing = hub.find(id);
  const replaceable = request.getOrchestrationidreusepolicy()?.getReplaceablestatusList() ?? [];
  refuseProblem(reusePolicyProblem(replaceable));
  if (existing !== undefined && !replaceable.includes(existing.status)) {
    const status = statusName(existing.status);
    throw new TaskHubRefusal(
      "ALREADY_EXISTS",
      `An orchestration instance with the ID '${id}' already exists, with status ${status}. ` +
        "Use another ID, purge that instance, or let the ID reuse policy replace it.",
    );
  }
  const instance = hub.start({
    id,
    seed: {
      name: request.getName(),
      version: request.getVersion(),
      input: request.getInput(),
      tags: tagsOf(request.getTagsMap()),
    },
    parentTraceContext: request.getParenttracecontext(),
    scheduledStart: futureStart(request.getScheduledstarttimestamp()),
  });
  return new pb.CreateInstanceResponse().setInstanceid(instance.id);
}

/** An instance that is replaced while it runs is terminated first, so both must be allowed, whether or not there is one. */
function reusePolicyProblem(replaceable: readonly pb.OrchestrationStatus[]): string | undefined {
  const running = replaceable.filter((status) => !isTerminal(status)).map(statusName);
  if (running.length === 0 || replaceable.includes(Status.ORCHESTRATION_STATUS_TERMINATED)) return undefined;
  return (
    "Invalid reusable statuses: cannot exclude 'Terminated' while also allowing reuse of running instances. " +
    `The policy allows ${running.join(", ")}, so it must allow TERMINATED too.`
  );
}

/** What is known of an instance, if there is one. */
export function instanceResponse(
  request: pb.GetInstanceRequest,
  instance: Instance | undefined,
): pb.GetInstanceResponse {
  const response = new pb.GetInstanceResponse().setExists(instance !== undefined);
  if (instance === undefined) return response;
  return response.setOrchestrationstate(instanceState(instance, request.getGetinputsandoutputs()));
}

export function raiseEvent(hub: TaskHub, request: pb.RaiseEventRequest): pb.RaiseEventResponse {
  const instance = namedInstance(hub, request.getInstanceid());
  if (request.getName() === "") {
    throw new TaskHubRefusal("INVALID_ARGUMENT", "An event can't be raised without a name.");
  }
  hub.raise(instance, request.getName(), request.getInput());
  return new pb.RaiseEventResponse();
}

export function terminateInstance(hub: TaskHub, request: pb.TerminateRequest): pb.TerminateResponse {
  hub.terminate(namedInstance(hub, request.getInstanceid()), request.getOutput(), request.getRecursive());
  return new pb.TerminateResponse();
}

export function skipGracefulTerminations(
  hub: TaskHub,
  request: pb.SkipGracefulOrchestrationTerminationsRequest,
): pb.SkipGracefulOrchestrationTerminationsResponse {
  const ids = request.getInstancebatch()?.getInstanceidsList() ?? [];
  if (ids.length > MOST_SKIPPED_TERMINATIONS) {
    throw new TaskHubRefusal(
      "INVALID_ARGUMENT",
      `At most ${MOST_SKIPPED_TERMINATIONS} orchestrations can be terminated in one call, not ${ids.length}.`,
    );
  }
  const unterminated = ids.filter((id) => {
    const instance = hub.find(id);
    if (instance === undefined || hasFinished(instance)) return true;
    hub.terminateNow(instance, request.getReason());
    return false;
  });
  return new pb.SkipGracefulOrchestrationTerminationsResponse().setUnterminatedinstanceidsList(unterminated);
}

export function suspendInstance(hub: TaskHub, request: pb.SuspendRequest): pb.SuspendResponse {
  hub.suspend(namedInstance(hub, request.getInstanceid()), request.getReason());
  return new pb.SuspendResponse();
}

export function resumeInstance(hub: TaskHub, request: pb.ResumeRequest): pb.ResumeResponse {
  hub.resume(namedInstance(hub, request.getInstanceid()), request.getReason());
  return new pb.ResumeResponse();
}

export function rewindInstance(hub: TaskHub, request: pb.RewindInstanceRequest): pb.RewindInstanceResponse {
  const instance = namedInstance(hub, request.getInstanceid());
  if (instance.status !== Status.ORCHESTRATION_STATUS_FAILED) {
    throw new TaskHubRefusal(
      "FAILED_PRECONDITION",
      `The orchestration instance '${instance.id}' is not in a failed state: it is ${statusName(instance.status)}, ` +
        "and only failed orchestrations can be rewound.",
    );
  }
  hub.rewind(instance, request.getReason());
  return new pb.RewindInstanceResponse();
}

export function restartInstance(hub: TaskHub, request: pb.RestartInstanceRequest): pb.RestartInstanceResponse {
  const instance = namedInstance(hub, request.getInstanceid());
  const anew = request.getRestartwithnewinstanceid();
  if (!anew && !hasFinished(instance)) {
    throw new TaskHubRefusal(
      "FAILED_PRECONDITION",
      `The orchestration instance '${instance.id}' can't be restarted while it is ${statusName(instance.status)}. ` +
        "Wait for it to finish, terminate it, or restart it with a new instance ID.",
    );
  }
  const restarted = hub.start({ id: anew ? newInstanceId() : instance.id, seed: instance.seed });
  return new pb.RestartInstanceResponse().setInstanceid(restarted.id);
}

export function queryInstances(hub: TaskHub, request: pb.QueryInstancesRequest): pb.QueryInstancesResponse {
  // The sidecar is one task hub without a name, so a query's task hub names don't restrict it.
  const query = request.getQuery() ?? new pb.InstanceQuery();
  const filter: InstanceFilter = {
    statuses: query.getRuntimestatusList(),
    prefix: query.getInstanceidprefix()?.getValue(),
    createdFrom: query.getCreatedtimefrom(),
    createdTo: query.getCreatedtimeto(),
  };
  const { items, continuationToken } = pageOf(hub.all(), {
    matches: (instance) => matches(instance, filter),
    size: query.getMaxinstancecount(),
    token: query.getContinuationtoken()?.getValue(),
  });
  const states = items.map((instance) => instanceState(instance, query.getFetchinputsandoutputs()));
  return new pb.QueryInstancesResponse()
    .setOrchestrationstateList(states)
    .setContinuationtoken(continuationToken === undefined ? undefined : text(continuationToken));
}

export function listInstanceIds(hub: TaskHub, request: pb.ListInstanceIdsRequest): pb.ListInstanceIdsResponse {
  const filter: InstanceFilter = {
    statuses: request.getRuntimestatusList(),
    completedFrom: request.getCompletedtimefrom(),
    completedTo: request.getCompletedtimeto(),
  };
  const { items, continuationToken } = pageOf(hub.all(), {
    matches: (instance) => matches(instance, filter),
    size: request.getPagesize(),
    token: request.getLastinstancekey()?.getValue(),
  });
  return new pb.ListInstanceIdsResponse()
    .setInstanceidsList(items.map(({ id }) => id))
    .setLastinstancekey(continuationToken === undefined ? undefined : text(continuationToken));
}

export function purgeInstances(hub: TaskHub, request: pb.PurgeInstancesRequest): pb.PurgeInstancesResponse {
  const doomed = new Set<Instance>();
  for (const instance of purgeCandidates(hub, request)) collect(hub, instance, request.getRecursive(), doomed);
  for (const instance of doomed) hub.remove(instance);
  return new pb.PurgeInstancesResponse()
    .setDeletedinstancecount(doomed.size)
    .setIscomplete(new wrappers.BoolValue().setValue(true));
}

function purgeCandidates(hub: TaskHub, request: pb.PurgeInstancesRequest): (Instance | undefined)[] {
  const filter = request.getPurgeinstancefilter();
  const batch = request.getInstancebatch();
  if (filter !== undefined) {
    const restriction = {
      statuses: filter.getRuntimestatusList(),
      createdFrom: filter.getCreatedtimefrom(),
      createdTo: filter.getCreatedtimeto(),
    };
    return [...hub.all()].filter((instance) => matches(instance, restriction));
  }
  if (batch !== undefined) return batch.getInstanceidsList().map((id) => hub.find(id));
  if (request.getInstanceid() === "") {
    throw new TaskHubRefusal("INVALID_ARGUMENT", "A purge needs an instance ID, a batch of instance IDs, or a filter.");
  }
  return [hub.find(request.getInstanceid())];
}

/** Only what has finished is purged; what is still running below it stays. */
function collect(hub: TaskHub, instance: Instance | undefined, recursive: boolean, doomed: Set<Instance>): void {
  if (instance === undefined || !hasFinished(instance) || doomed.has(instance)) return;
  doomed.add(instance);
  if (recursive) for (const child of hub.childrenOf(instance)) collect(hub, child, true, doomed);
}

/** The instance with an ID that a request must name. */
export function namedInstance(hub: TaskHub, id: string): Instance {
  if (id === "") throw new TaskHubRefusal("INVALID_ARGUMENT", "The request names no instance ID.");
  const instance = hub.find(id);
  if (instance !== undefined) return instance;
  throw new TaskHubRefusal("NOT_FOUND", `There is no orchestration instance with the ID '${id}'.`);
}

function newInstanceId(): string {
  return randomUUID().replaceAll("-", "");
}
