import type { TaskFailure, TraceContext } from "./task-info.ts";

/** What an orchestration scheduled and waits for: an activity, a sub-orchestration, an answer or the lock of entities. */
export interface ScheduledTask {
  readonly type: "activity" | "sub_orchestration" | "entity_call" | "entity_lock";
  readonly taskId: number;
  /** The name of the activity or orchestration, or of the entity's operation; a lock has none. */
  readonly name: string;
  readonly version: string | undefined;
  /** The instance ID of the sub-orchestration or the entity. */
  readonly instanceId?: string | undefined;
  /** When it was scheduled; `undefined` while it has not left, or where the backend keeps no timestamps. */
  readonly scheduledAt: Date | undefined;
  /** The trace context that went out with it, where the backend kept it. */
  readonly traceContext: TraceContext | undefined;
  /** Which attempt it is, from 1; known only while its action has not left, as history does not tell. */
  readonly attempt?: number | undefined;
  /** Sends a trace context out with the task; there only while its action has not left, and the protocol has a place for it. */
  setTraceContext?(context: TraceContext): void;
}

/** What an orchestration sent without waiting for an answer. */
export interface SentMessage {
  readonly type: "event" | "entity_signal";
  readonly taskId: number;
  /** The name of the event, or of the entity's operation. */
  readonly name: string;
  /** The instance ID of the orchestration or entity that it is for. */
  readonly target: string;
}

/** What reached an orchestration from outside. */
export type ReceivedEvent =
  | { readonly type: "event_raised"; readonly name: string; readonly at: Date | undefined }
  | { readonly type: "suspended" | "resumed"; readonly at: Date | undefined };

/** An event of a history, as it is reported exactly once in the life of an execution. */
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

/** What an episode has to know of its history. Reading it costs nothing until a member is asked for. */
export interface EpisodeHistory {
  /** When the execution's first episode started; `undefined` where the backend keeps no timestamps. */
  readonly startedAt: Date | undefined;
  /** When this episode started, in durable time. */
  readonly episodeStartedAt: Date | undefined;
  /** How many events earlier episodes left, which this one replays. */
  readonly replayedEvents: number;
  /** How many events there are with those that are new. */
  readonly events: number;
  /** How many episodes there were, this one included. */
  readonly episodes: number;
  /** Whether the orchestration was rewound after a failure. */
  readonly rewound: boolean;
  /** What became durable since the last episode, in order; each event is new in exactly one episode. */
  newEvents(): readonly HistoryEvent[];
  /** What reached the orchestration since its start, in order. */
  received(): readonly ReceivedEvent[];
  /** Why the task of that ID failed; `undefined` if it did not, or has not finished. */
  failureOfTask(taskId: number): TaskFailure | undefined;
  /** Whether an earlier episode's action has this ID: while an orchestration is suspended, the SDK returns actions again. */
  hasLeft(taskId: number): boolean;
  /** What was scheduled and has not finished. */
  unfinishedTasks(): readonly ScheduledTask[];
}
