import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import * as events from "./history-events.ts";
import { isTerminal, statusName, type Instance } from "./instance.ts";

const Status = pb.OrchestrationStatus;

/** How an execution ended. */
export interface Outcome {
  readonly status: pb.OrchestrationStatus;
  readonly output: events.OptionalText;
  readonly failure: pb.TaskFailureDetails | undefined;
}

export function failedWith(failure: pb.TaskFailureDetails): Outcome {
  return { status: Status.ORCHESTRATION_STATUS_FAILED, output: undefined, failure };
}

/** What a worker says that the outcome is. A status in which nothing can end is a failure of its own. */
export function outcomeOf(action: pb.CompleteOrchestrationAction): Outcome {
  const status = action.getOrchestrationstatus();
  if (isTerminal(status)) return { status, output: action.getResult(), failure: action.getFailuredetails() };
  const message = `An orchestration can't complete as ${statusName(status)}.`;
  return failedWith(events.failureDetails("InvalidCompletion", message));
}

/** The outcome of a sub-orchestration, as its parent gets to know it. */
export function resultForParent(at: Date, instance: Instance, { taskId }: events.Parent): pb.HistoryEvent {
  if (instance.status === Status.ORCHESTRATION_STATUS_COMPLETED) {
    return events.subOrchestrationCompleted(at, taskId, instance.output);
  }
  const ended = `Sub-orchestration '${instance.seed.name}' (instance ID '${instance.id}') ended as`;
  const unexplained = events.failureDetails("SubOrchestrationEnded", `${ended} ${statusName(instance.status)}.`);
  return events.subOrchestrationFailed(at, taskId, instance.failure ?? unexplained);
}
