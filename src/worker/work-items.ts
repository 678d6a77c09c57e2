import type {
  ActivityRequest,
  HistoryEvent,
  OrchestrationTraceContext,
  OrchestratorAction,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import {
  ActivityWorkItem,
  featuresForWorkItem,
  OrchestrationWorkItem,
  type EpisodeResponse,
  type ParentOrchestration,
} from "../pipeline/index.ts";
import { ProtoHistory } from "./history.ts";
import type { PipelineHost } from "./host.ts";
import { outcomeOf, scheduledBy, sentBy, tagsOf, timeOf, traceContextOf } from "./messages.ts";
import { lostInternals, orchestrationContextInternals, reportLost } from "./sdk-internals.ts";

/** What a worker hands over of an episode. */
export interface Episode {
  readonly instanceId: string;
  readonly executionId: string | undefined;
  readonly past: readonly HistoryEvent[];
  readonly fresh: readonly HistoryEvent[];
  readonly carried?: OrchestrationTraceContext | undefined;
  /** Takes the carried identity off the request. */
  readonly clearCarried?: () => void;
}

// Empty texts count as absent (contract.md X3), as in the SDK: it sends an input that is not there as one.

/** The work item of an episode; `undefined` if its history has no start, which is the SDK's to complain about. */
export function orchestrationWorkItem(episode: Episode, host: PipelineHost): OrchestrationWorkItem | undefined {
  const history = new ProtoHistory(episode.past, episode.fresh);
  const started = history.started?.getExecutionstarted();
  if (started === undefined) return undefined;
  const spanId = episode.carried?.getSpanid()?.getValue();
  return new OrchestrationWorkItem({
    name: started.getName(),
    instanceId: episode.instanceId,
    // What replays wins, as in the SDK.
    executionId: started.getOrchestrationinstance()?.getExecutionid()?.getValue() || episode.executionId || undefined,
    version: started.getVersion()?.getValue() || undefined,
    tags: tagsOf(started.getTagsMap()),
    rawInput: started.getInput()?.getValue() || undefined,
    parent: parentOf(started.getParentinstance()),
    traceContext: traceContextOf(started.getParenttracecontext()),
    carriedSpan: spanId ? { spanId, startTime: timeOf(episode.carried?.getSpanstarttime()) } : undefined,
    history,
    features: featuresForWorkItem(),
    logger: host.logger,
    signal: host.signal,
    report: host.report,
    fault: host.fault,
    takeTraceContexts: () => {
      started.setParenttracecontext(undefined);
      episode.clearCarried?.();
    },
  });
}

const contextInternals = Object.values(orchestrationContextInternals);

/** What the episode of `item` answers with `actions`. */
export function episodeResponse(
  item: OrchestrationWorkItem,
  actions: readonly OrchestratorAction[],
  carrySpan: EpisodeResponse["carrySpan"],
): EpisodeResponse {
  const context = item.run?.orchestrationContext;
  if (context !== undefined) {
    reportLost(item.facts.report, "The context of an orchestration", lostInternals(context, contextInternals));
  }
  return {
    outcome: outcomeOf(actions, item.facts.history),
    scheduled: scheduledBy(actions, context),
    sent: sentBy(actions),
    actions: actions.length,
    carrySpan,
  };
}

/** The work item of an activity. */
export function activityWorkItem(request: ActivityRequest, host: PipelineHost): ActivityWorkItem {
  const instance = request.getOrchestrationinstance();
  return new ActivityWorkItem({
    name: request.getName(),
    instanceId: instance?.getInstanceid() ?? "",
    executionId: instance?.getExecutionid()?.getValue() || undefined,
    taskId: request.getTaskid(),
    version: request.getVersion()?.getValue() || undefined,
    tags: tagsOf(request.getTagsMap()),
    rawInput: request.getInput()?.getValue() || undefined,
    traceContext: traceContextOf(request.getParenttracecontext()),
    features: featuresForWorkItem(),
    logger: host.logger,
    signal: host.signal,
    report: host.report,
    fault: host.fault,
    takeTraceContexts: () => request.setParenttracecontext(undefined),
  });
}

type ParentMessage = ReturnType<NonNullable<ReturnType<HistoryEvent["getExecutionstarted"]>>["getParentinstance"]>;

function parentOf(parent: ParentMessage): ParentOrchestration | undefined {
  if (parent === undefined) return undefined;
  const instance = parent.getOrchestrationinstance();
  return {
    instanceId: instance?.getInstanceid() ?? "",
    executionId: instance?.getExecutionid()?.getValue() || undefined,
    name: parent.getName()?.getValue(),
    taskId: parent.getTaskscheduledid(),
  };
}
