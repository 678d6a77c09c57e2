import type { TaskFailure, TraceContext } from "./task-info.ts";

/** A task that an orchestration waits for: an activity, a sub-orchestration, an entity's answer or the lock of entities. */
export interface ScheduledTask {
  readonly type: "activity" | "sub_orchestration" | "entity_call" | "entity_lock";
  readonly taskId: number;
  /** The name of the activity or orchestration, or of the entity's operation; a lock has none. */
  readonly name: string;
  readonly version: string | undefined;
  /** The instance ID of the sub-orchestration or the entity. */
  readonly instanceId?: string | undefined;
  /** When it was scheduled; `undefined` before its response is sent, or if the backend keeps no timestamps. */
  readonly scheduledAt: Date | undefined;
  /** The trace context that was sent with it, if the backend kept it. */
  readonly traceContext: TraceContext | undefined;
  /** The number of the attempt, from 1; known only of the tasks of a response, because history does not record it. */
  readonly attempt?: number | undefined;
  /** Whether it has a retry policy or handler that may retry it if this attempt fails; known only of the tasks of a response. */
  readonly mayRetry?: boolean | undefined;
  /**
   * Sends a tag with the task; present only before its response is sent, if the protocol has a place for it.
   *
   * @param replaces whether it takes the place of a tag with that name that the task has already.
   */
  setTag?(name: string, value: string, replaces: boolean): void;
  /** Sends a trace context with the task; present only before its response is sent, if the protocol has a place for it. */
  setTraceContext?(context: TraceContext): void;
}

/** A timer that an orchestration created. */
export interface CreatedTimer {
  readonly taskId: number;
  readonly createdAt: Date | undefined;
  readonly dueAt: Date | undefined;
}

/** A message that an orchestration sent without waiting for an answer. */
export interface SentMessage {
  readonly type: "event" | "entity_signal";
  readonly taskId: number;
  /** The name of the event, or of the entity's operation. */
  readonly name: string;
  /** The instance ID of the orchestration or entity that gets it. */
  readonly target: string;
}

/** An event that reached an orchestration from outside. */
export type ReceivedEvent =
  | { readonly type: "event_raised"; readonly name: string; readonly at: Date | undefined }
  | { readonly type: "suspended" | "resumed"; readonly at: Date | undefined };

/** A history event. Each one is reported exactly once in the life of an execution. */
export type HistoryEvent =
  | { readonly type: "started"; readonly at: Date | undefined }
  | ReceivedEvent
  | {
      readonly type: "task_finished";
      readonly task: ScheduledTask;
      readonly at: Date | undefined;
      readonly failure: TaskFailure | undefined;
    }
  | {
      readonly type: "timer_fired";
      readonly taskId: number;
      readonly createdAt: Date | undefined;
      readonly dueAt: Date | undefined;
      readonly at: Date | undefined;
    };

/** The history of an episode. Nothing is read before a member is used. */
export interface EpisodeHistory {
  /** When the execution's first episode started; `undefined` if the backend keeps no timestamps. */
  readonly startedAt: Date | undefined;
  /** When this episode started, in durable time. */
  readonly episodeStartedAt: Date | undefined;
  /**
   * Whether the event that started the execution was written before its first episode started, as those of a client or a
   * parent are. durabletask-go writes the event of an execution that continues another one afterwards.
   */
  readonly startPrecedesFirstEpisode: boolean;
  /** The number of events of earlier episodes, which this one replays. */
  readonly replayedEvents: number;
  /** The number of all events, including new ones. */
  readonly events: number;
  /** The number of episodes, including this one. */
  readonly episodes: number;
  /** Whether the orchestration was rewound after a failure. */
  readonly rewound: boolean;
  /** The events since the last episode, in order; each event is new in exactly one episode. */
  newEvents(): readonly HistoryEvent[];
  /** The events from outside since the orchestration started, in order. */
  received(): readonly ReceivedEvent[];
  /**
   * When an event with this name, whose case does not matter, was raised.
   *
   * @param index its number among the events with that name since the orchestration started, from 0.
   */
  raisedAt(name: string, index: number): Date | undefined;
  /** The tasks and timers with these IDs, as they were scheduled or created; the latest first. */
  scheduledAs(taskIds: readonly number[]): {
    readonly tasks: readonly ScheduledTask[];
    readonly timers: readonly CreatedTimer[];
  };
  /** The failures of those of the tasks with these IDs that failed, by ID. */
  failuresOf(taskIds: readonly number[]): ReadonlyMap<number, TaskFailure>;
  /** Whether an earlier episode's action has this ID: while an orchestration is suspended, the SDK returns actions again. */
  hasLeft(taskId: number): boolean;
  /** Whether the action with this ID is one of the episode before this one: no code has run since. */
  isOfLastEpisode(taskId: number): boolean;
  /** The tasks that were scheduled and have not finished. */
  unfinishedTasks(): readonly ScheduledTask[];
  /** The timers that were created and have not fired. */
  unfiredTimers(): readonly CreatedTimer[];
}
