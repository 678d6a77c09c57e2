import type { TaskFailure, TraceContext } from "./work-item.ts";

/** An activity or sub-orchestration that an orchestration scheduled. */
export interface ScheduledTask {
  readonly type: "activity" | "sub_orchestration";
  readonly taskId: number;
  readonly name: string;
  readonly version: string | undefined;
  /** The instance ID of the sub-orchestration. */
  readonly instanceId?: string | undefined;
  /** When it was scheduled; `undefined` while it has not left, or where the backend keeps no timestamps. */
  readonly scheduledAt: Date | undefined;
  /** The trace context that went out with it, where the backend kept it. */
  readonly traceContext: TraceContext | undefined;
  /** Which attempt it is, from 1; known only while its action has not left, as history does not tell. */
  readonly attempt?: number | undefined;
  /** Sends a trace context out with the task; there only while its action has not left. */
  readonly carry?: (context: TraceContext) => void;
}

/** Something that became durable, told once in the life of an execution. */
export type DurableFact =
  | { readonly type: "started"; readonly at: Date | undefined }
  | { readonly type: "event_raised"; readonly name: string; readonly at: Date | undefined }
  | { readonly type: "suspended" | "resumed"; readonly at: Date | undefined }
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
