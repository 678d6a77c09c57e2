import type {
  Acknowledgement,
  EpisodeResponse,
  HistoryEvent,
  OrchestrationWorkItem,
  WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { rootCause } from "../../src/telemetry/failure-causes.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_OUTCOME,
  ATTR_TASK_ATTEMPT,
  ATTR_TASK_NAME,
  ATTR_TASK_STATUS,
  ATTR_TASK_VERSION,
  ATTR_TYPE,
  statusNames,
  TYPE_ACTIVITY,
  TYPE_ORCHESTRATION,
  type FinalOutcome,
} from "../../src/telemetry/semconv.ts";
import { attributesOfTags } from "../../src/telemetry/tags.ts";
import { inSlices } from "../../src/telemetry/slices.ts";
import type { Labels } from "./bounded-values.ts";
import type { InstrumentName } from "./definitions.ts";
import { isolated } from "./faults.ts";
import { currentInstruments, type Instruments } from "./instruments.ts";

/**
 * Measures one episode: its new history events are recorded when the backend has accepted the response. If the response was
 * rejected, another worker records them. If it is unconfirmed, the work item may arrive again: missing an event is better
 * than counting it twice.
 */
export class MeasuredEpisode implements WorkItemHooks {
  readonly #item: OrchestrationWorkItem;
  readonly #nameLimit: number;
  readonly #startedAt: number = performance.now();
  #response: EpisodeResponse | undefined;
  #endedAt: Date | undefined;
  // In seconds.
  #took = 0;

  readonly #tags: Labels | undefined;

  constructor(item: OrchestrationWorkItem, nameLimit: number, tags?: readonly string[]) {
    this.#item = item;
    this.#nameLimit = nameLimit;
    this.#tags = tags && attributesOfTags(item.tags, tags);
  }

  onResponse(response: EpisodeResponse): void {
    this.#took = (performance.now() - this.#startedAt) / 1000;
    this.#endedAt = new Date();
    this.#response = response;
  }

  onAcknowledged(acknowledgement: Acknowledgement): void {
    const instruments = currentInstruments();
    const response = this.#response;
    if (acknowledgement !== "accepted" || response === undefined || instruments === undefined) return;
    const { history, name } = this.#item;
    this.#record(instruments, "durabletask.episode.duration", this.#took, {
      [ATTR_TASK_NAME]: name,
      [ATTR_OUTCOME]: response.outcome.status,
    });
    this.#record(instruments, "durabletask.episode.replayed_events", history.replayedEvents, {
      [ATTR_TASK_NAME]: name,
    });
    inSlices(
      history.newEvents(),
      (event) => this.#recordEvent(instruments, event),
      () => this.#recordActions(instruments, response),
      onFault,
    );
  }

  #recordActions(instruments: Instruments, { outcome, scheduled }: EpisodeResponse): void {
    for (const { attempt = 1, name, taskId, type } of scheduled) {
      // While an orchestration is suspended, the SDK returns actions again that were already sent.
      if (attempt === 1 || this.#item.history.hasLeft(taskId)) continue;
      const labels = {
        [ATTR_TASK_NAME]: name,
        [ATTR_TYPE]: type === "activity" ? TYPE_ACTIVITY : TYPE_ORCHESTRATION,
        [ATTR_TASK_ATTEMPT]: attempt < manyAttempts ? String(attempt) : `${manyAttempts}+`,
      };
      this.#record(instruments, "durabletask.task.retries", 1, labels);
    }
    if (outcome.status === "waiting") return;
    // A rewound orchestration runs again.
    const change = outcome.status === "rewound" ? 1 : -1;
    this.#record(instruments, "durabletask.orchestration.active", change, { [ATTR_TASK_NAME]: this.#item.name });
    if (outcome.status !== "rewound") this.#recordFinish(instruments, outcome);
  }

  #recordEvent(instruments: Instruments, event: HistoryEvent): void {
    const { name, version } = this.#item;
    if (event.type === "started") {
      this.#record(instruments, "durabletask.orchestration.started", 1, {
        [ATTR_TASK_NAME]: name,
        [ATTR_TASK_VERSION]: version,
      });
      this.#record(instruments, "durabletask.orchestration.active", 1, { [ATTR_TASK_NAME]: name });
    } else if (event.type === "timer_fired") {
      this.#recordTime(instruments, "durabletask.timer.lag", event.dueAt, event.at, { [ATTR_TASK_NAME]: name });
    } else if (event.type === "task_finished" && event.task.type === "activity") {
      const outcome = event.failure === undefined ? "completed" : "failed";
      const labels = { [ATTR_TASK_NAME]: event.task.name, [ATTR_OUTCOME]: outcome };
      this.#recordTime(instruments, "durabletask.activity.turnaround", event.task.scheduledAt, event.at, labels);
    }
  }

  #recordFinish(instruments: Instruments, outcome: FinalOutcome): void {
    const { history, name, version } = this.#item;
    const labels = {
      [ATTR_TASK_NAME]: name,
      [ATTR_TASK_VERSION]: version,
      [ATTR_TASK_STATUS]: statusNames[outcome.status],
      [ATTR_ERROR_TYPE]: outcome.status === "failed" ? rootCause(outcome.failure).type : undefined,
    };
    this.#recordTime(instruments, "durabletask.orchestration.duration", history.startedAt, this.#endedAt, labels);
    this.#record(instruments, "durabletask.orchestration.episodes", history.episodes, { [ATTR_TASK_NAME]: name });
    this.#record(instruments, "durabletask.orchestration.history.size", history.events, { [ATTR_TASK_NAME]: name });
  }

  #record(instruments: Instruments, name: InstrumentName, value: number, labels: Labels): void {
    instruments.record(name, value, this.#tags === undefined ? labels : { ...labels, ...this.#tags }, this.#nameLimit);
  }

  // The time is unknown if the backend keeps no timestamps. If clocks differ, it must not be negative.
  #recordTime(
    instruments: Instruments,
    name: InstrumentName,
    from: Date | undefined,
    to: Date | undefined,
    labels: Labels,
  ): void {
    if (from !== undefined && to !== undefined)
      this.#record(instruments, name, Math.max(0, (to.getTime() - from.getTime()) / 1000), labels);
  }
}

// Further attempts are counted together.
const manyAttempts = 10;

const onFault = (error: unknown): void => isolated.fault("the measurements of an episode were lost", error);
