import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { recordMessage } from "./entity-messages.ts";
import { copyTags, event, failureDetails, tagsOf, timestamp } from "./history-events.ts";
import { actionProblem } from "./ids.ts";

const { OrchestratoractiontypeCase: ActionType } = pb.OrchestratorAction;

/** How an episode ended, when it ended the execution. */
export interface Completion {
  readonly actionId: number;
  readonly action: pb.CompleteOrchestrationAction;
}

/** What a worker's answer means: what goes into history, and what has no event there. */
export interface EpisodeResult {
  /** One event for each task, timer, sub-orchestration, event and message to an entity, in the order of the actions. */
  readonly events: readonly pb.HistoryEvent[];
  readonly terminations: readonly pb.TerminateOrchestrationAction[];
  readonly completion: Completion | undefined;
  readonly rewind: pb.RewindOrchestrationAction | undefined;
  /** Set when the task hub can't do what the orchestrator asks for: the orchestration fails with it. */
  readonly refusal: pb.TaskFailureDetails | undefined;
}

export interface ReadOptions {
  /** The execution that the actions belong to. */
  readonly executionId: string;
  /** Whether trace contexts are kept. */
  readonly traceContexts: boolean;
}

/** Reads the actions of an episode. Changes nothing. */
export function readActions(at: Date, actions: readonly pb.OrchestratorAction[], options: ReadOptions): EpisodeResult {
  const events: pb.HistoryEvent[] = [];
  const terminations: pb.TerminateOrchestrationAction[] = [];
  let completion: Completion | undefined;
  let rewind: pb.RewindOrchestrationAction | undefined;
  let refusal: pb.TaskFailureDetails | undefined;
  for (const action of actions) {
    switch (action.getOrchestratoractiontypeCase()) {
      case ActionType.COMPLETEORCHESTRATION: {
        const complete = action.getCompleteorchestration();
        if (complete !== undefined) completion ??= { actionId: action.getId(), action: complete };
        break;
      }
      case ActionType.REWINDORCHESTRATION:
        rewind = action.getRewindorchestration();
        break;
      case ActionType.TERMINATEORCHESTRATION: {
        const terminate = action.getTerminateorchestration();
        if (terminate !== undefined) terminations.push(terminate);
        break;
      }
      default: {
        const problem = actionProblem(action);
        const scheduled = scheduledBy(at, action, options);
        if (problem !== undefined) refusal ??= failureDetails("InvalidArgument", problem, { retriable: false });
        else if (scheduled !== undefined) events.push(scheduled);
        else refusal ??= unknownAction(action);
      }
    }
  }
  return { events, terminations, completion, rewind, refusal };
}

/** The event that records an action in history, as real task hubs do. */
function scheduledBy(
  at: Date,
  action: pb.OrchestratorAction,
  { executionId, traceContexts }: ReadOptions,
): pb.HistoryEvent | undefined {
  const scheduled = event(at, action.getId());
  const task = action.getScheduletask();
  if (task !== undefined) {
    const taskScheduled = new pb.TaskScheduledEvent()
      .setName(task.getName())
      .setVersion(task.getVersion())
      .setInput(task.getInput())
      .setParenttracecontext(traceContexts ? task.getParenttracecontext() : undefined);
    copyTags(tagsOf(task.getTagsMap()), taskScheduled.getTagsMap());
    return scheduled.setTaskscheduled(taskScheduled);
  }
  const child = action.getCreatesuborchestration();
  if (child !== undefined) {
    const created = new pb.SubOrchestrationInstanceCreatedEvent()
      .setInstanceid(child.getInstanceid() || `${executionId}:${action.getId().toString(16).padStart(4, "0")}`)
      .setName(child.getName())
      .setVersion(child.getVersion())
      .setInput(child.getInput())
      .setParenttracecontext(traceContexts ? child.getParenttracecontext() : undefined);
    copyTags(tagsOf(child.getTagsMap()), created.getTagsMap());
    return scheduled.setSuborchestrationinstancecreated(created);
  }
  const timer = action.getCreatetimer();
  if (timer !== undefined) {
    return scheduled.setTimercreated(new pb.TimerCreatedEvent().setFireat(timer.getFireat() ?? timestamp(at)));
  }
  const message = action.getSendevent();
  if (message !== undefined) {
    const sent = new pb.EventSentEvent()
      .setInstanceid(message.getInstance()?.getInstanceid() ?? "")
      .setName(message.getName())
      .setInput(message.getData());
    return scheduled.setEventsent(sent);
  }
  const entityMessage = action.getSendentitymessage();
  return entityMessage && recordMessage(scheduled, entityMessage);
}

function unknownAction(action: pb.OrchestratorAction): pb.TaskFailureDetails {
  return failureDetails(
    "UnknownAction",
    `Action ${action.getId()} of the orchestrator is of a kind that the local sidecar doesn't know. ` +
      "Does the worker use a newer SDK than the sidecar?",
    { retriable: false },
  );
}
