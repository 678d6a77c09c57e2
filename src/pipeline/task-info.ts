/** A W3C trace context as it travels in durable messages. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
  /** Whether it only says in which trace an execution is, and with which flags: nobody emits the span that it names. */
  readonly startsTrace?: boolean | undefined;
  /** Whether the span is the backend's own of this run of an activity: another run, after a crash, has another one. */
  readonly isOfRun?: boolean | undefined;
}

/** The identity of an orchestration's span that an earlier episode left with the backend. */
export interface PersistedSpan {
  readonly spanId: string;
  readonly startTime: Date | undefined;
}

/** Why a task failed, as it stands in its history. */
export interface TaskFailure {
  readonly type: string;
  readonly message: string;
  readonly stack?: string | undefined;
  /** What caused it: `error.cause`, or the failure of the task that the orchestration did not catch. */
  readonly cause?: TaskFailure | undefined;
}

/** Who started a sub-orchestration. What the backend did not send is `undefined` (contract.md X3). */
export interface ParentOrchestration {
  readonly instanceId: string;
  readonly taskId: number;
  readonly name: string | undefined;
  readonly executionId: string | undefined;
}
