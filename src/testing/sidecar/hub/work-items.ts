import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Entity, Operation } from "./entity.ts";
import { copyTags, orchestrationInstance, orchestratorStarted, tagsOf, text } from "./history-events.ts";
import type { Episode, Instance } from "./instance.ts";
import type { ActivityWork } from "./work.ts";

/** The next episode of an instance: all that has arrived for it. */
export function nextEpisode(at: Date, { generation, rewinding }: Instance): Episode {
  const started = orchestratorStarted(at);
  // The worker wants the request for a rewind by itself.
  if (rewinding !== undefined) return { events: [started, rewinding], taken: 0 };
  return { events: [started, ...generation.inbox], taken: generation.inbox.length };
}

/** The work item of an episode. It has no completion token yet. */
export function orchestratorItem({ id, generation }: Instance, episode: Episode): pb.WorkItem {
  const request = new pb.OrchestratorRequest()
    .setInstanceid(id)
    .setExecutionid(text(generation.executionId))
    // Copies: gRPC may serialize a message later, when the history has grown.
    .setPasteventsList([...generation.history])
    .setNeweventsList([...episode.events])
    .setOrchestrationtracecontext(generation.traceContext);
  return new pb.WorkItem().setOrchestratorrequest(request);
}

/** The work item of an activity. It has no completion token yet. */
export function activityItem({ instance, executionId, taskId, scheduled }: ActivityWork): pb.WorkItem {
  const request = new pb.ActivityRequest()
    .setName(scheduled.getName())
    .setVersion(scheduled.getVersion())
    .setInput(scheduled.getInput())
    .setOrchestrationinstance(orchestrationInstance(instance.id, executionId))
    .setTaskid(taskId)
    .setParenttracecontext(scheduled.getParenttracecontext());
  copyTags(tagsOf(scheduled.getTagsMap()), request.getTagsMap());
  return new pb.WorkItem().setActivityrequest(request);
}

/**
 * The work item of a batch of an entity's operations. It has no completion token yet. Of the two forms that workers
 * take it is the one whose operations have a trace context.
 */
export function entityItem({ id, state }: Entity, batch: readonly Operation[]): pb.WorkItem {
  const operations = batch.map(({ requestId, name, input, traceContext }) =>
    new pb.OperationRequest().setRequestid(requestId).setOperation(name).setInput(input).setTracecontext(traceContext),
  );
  const request = new pb.EntityBatchRequest().setInstanceid(id).setEntitystate(state).setOperationsList(operations);
  return new pb.WorkItem().setEntityrequest(request);
}
