import type {
  DurableFact,
  EpisodeHistory,
  EpisodeResponse,
  OrchestrationWorkItem,
  OrchestrationWorkItemFacts,
  ScheduledTask,
} from "../../src/pipeline/index.ts";
import { rootCause } from "../../src/telemetry/failure-causes.ts";
import { statusNames, TYPE_ACTIVITY, TYPE_ORCHESTRATION, type FinalOutcome } from "../tracing/semconv.ts";
import type { Labels } from "./bounded-values.ts";
import { isolated } from "./faults.ts";
import type { InstrumentName } from "./instruments.ts";
import { currentRecorder, type Recorder } from "./recorder.ts";
import { ATTR_ERROR_TYPE, ATTR_OUTCOME, ATTR_TASK_NAME, ATTR_TASK_STATUS, ATTR_TASK_VERSION, ATTR_TYPE } from "./semconv.ts";

/** An episode that has answered. */
interface Answered extends Pick<EpisodeResponse, "outcome" | "scheduled"> {
  readonly at: Date;
  /** How long it took, in seconds. */
  readonly took: number;
}

/**
 * Measures one episode: what became durable in it is recorded when the backend has taken the response. If it refused
 * it, the work item is another worker's; if nobody knows, the work item may come again, and a fact that is missed is
 * better than one that is counted twice.
 */
export function measureEpisode(item: OrchestrationWorkItem, nameLimit: number): void {
  const startedAt = performance.now();
  let answered: Answered | undefined;
  item.onResponse(({ outcome, scheduled }) => {
    answered = { outcome, scheduled, at: new Date(), took: (performance.now() - startedAt) / 1000 };
  });
  item.onDelivered((delivery) =>
    isolated.run("the measurements of an episode were lost", () => {
      const record = currentRecorder(nameLimit);
      if (delivery === "accepted" && answered !== undefined && record !== undefined) recordEpisode(item.facts, answered, record);
    }),
  );
}

function recordEpisode(facts: OrchestrationWorkItemFacts, { outcome, scheduled, at, took }: Answered, record: Recorder): void {
  const { history, name } = facts;
  record("durabletask.episode.duration", took, { [ATTR_TASK_NAME]: name, [ATTR_OUTCOME]: outcome.status });
  record("durabletask.episode.replayed_events", history.replayedEvents, { [ATTR_TASK_NAME]: name });
  for (const fact of history.facts()) recordFact(facts, fact, record);
  recordRetries(scheduled, history, record);
  if (outcome.status !== "waiting" && outcome.status !== "rewound") recordFinish(facts, outcome, at, record);
}

function recordFact({ name, version }: OrchestrationWorkItemFacts, fact: DurableFact, record: Recorder): void {
  if (fact.type === "started") {
    record("durabletask.orchestration.started", 1, { [ATTR_TASK_NAME]: name, [ATTR_TASK_VERSION]: version });
  } else if (fact.type === "timer_fired") {
    recordTime("durabletask.timer.lag", fact.dueAt, fact.at, { [ATTR_TASK_NAME]: name }, record);
  } else if (fact.type === "task_finished" && fact.task.type === "activity") {
    const outcome = fact.failure === undefined ? "completed" : "failed";
    const labels = { [ATTR_TASK_NAME]: fact.task.name, [ATTR_OUTCOME]: outcome };
    recordTime("durabletask.activity.turnaround", fact.task.scheduledAt, fact.at, labels, record);
  }
}

function recordRetries(scheduled: readonly ScheduledTask[], history: EpisodeHistory, record: Recorder): void {
  for (const { taskId, name, type, attempt = 1 } of scheduled) {
    // While an orchestration is suspended, the SDK returns actions again that have left already.
    if (attempt === 1 || history.hasLeft(taskId)) continue;
    record("durabletask.task.retries", 1, {
      [ATTR_TASK_NAME]: name,
      [ATTR_TYPE]: type === "activity" ? TYPE_ACTIVITY : TYPE_ORCHESTRATION,
    });
  }
}

function recordFinish({ history, name, version }: OrchestrationWorkItemFacts, outcome: FinalOutcome, at: Date, record: Recorder): void {
  const labels = {
    [ATTR_TASK_NAME]: name,
    [ATTR_TASK_VERSION]: version,
    [ATTR_TASK_STATUS]: statusNames[outcome.status],
    [ATTR_ERROR_TYPE]: outcome.status === "failed" ? rootCause(outcome.failure).type : undefined,
  };
  recordTime("durabletask.orchestration.duration", history.startedAt, at, labels, record);
  record("durabletask.orchestration.episodes", history.episodes, { [ATTR_TASK_NAME]: name });
  record("durabletask.orchestration.history.size", history.events, { [ATTR_TASK_NAME]: name });
}

// A backend that keeps no timestamps leaves the time unknown; clocks that differ don't make it negative.
function recordTime(name: InstrumentName, from: Date | undefined, to: Date | undefined, labels: Labels, record: Recorder): void {
  if (from !== undefined && to !== undefined) record(name, Math.max(0, (to.getTime() - from.getTime()) / 1000), labels);
}
