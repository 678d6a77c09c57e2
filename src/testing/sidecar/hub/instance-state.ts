import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { copyTags, text, timestamp } from "./history-events.ts";
import type { Instance } from "./instance.ts";

/** What a client gets of an instance. Payloads are the input, the output and the custom status. */
export function instanceState(instance: Instance, payloads: boolean): pb.OrchestrationState {
  const { generation } = instance;
  const state = new pb.OrchestrationState()
    .setInstanceid(instance.id)
    .setName(instance.seed.name)
    .setVersion(generation.version)
    .setOrchestrationstatus(instance.status)
    .setCreatedtimestamp(timestamp(instance.createdAt))
    .setLastupdatedtimestamp(timestamp(instance.lastUpdatedAt))
    .setFailuredetails(instance.failure)
    .setExecutionid(text(generation.executionId));
  copyTags(generation.tags, state.getTagsMap());
  if (instance.scheduledStart !== undefined) state.setScheduledstarttimestamp(timestamp(instance.scheduledStart));
  if (instance.completedAt !== undefined) state.setCompletedtimestamp(timestamp(instance.completedAt));
  if (instance.parent !== undefined) state.setParentinstanceid(text(instance.parent.instanceId));
  if (payloads) state.setInput(generation.input).setOutput(instance.output).setCustomstatus(instance.customStatus);
  return state;
}
