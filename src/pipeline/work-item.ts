import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { MiddlewareFeatures } from "./features.ts";
import type { CreatedTimer, EpisodeHistory, ScheduledTask, SentMessage } from "./history.ts";
import type { MiddlewareLogger } from "./logger.ts";
import type { ParentOrchestration, PersistedSpan, TaskFailure, TraceContext } from "./task-info.ts";
import type { ObservedWaits } from "./waits.ts";

/** How an episode ended. */
export type EpisodeOutcome =
  | { readonly status: "waiting" }
  | { readonly status: "completed" }
  | { readonly status: "failed"; readonly failure: TaskFailure }
  | { readonly status: "terminated" }
  | { readonly status: "continued_as_new" }
  /** The episode only rewrote the history of a failed orchestration; the next one runs it. */
  | { readonly status: "rewound" };

/** How an activity's execution ended. */
export type ActivityOutcome =
  | { readonly status: "completed" }
  | { readonly status: "failed"; readonly failure: TaskFailure };

/**
 * Whether the backend accepted a response. `rejected`: another worker has the work item now. `unconfirmed`: the connection
 * broke, so it is unknown, and the work item may arrive again.
 */
export type Acknowledgement = "accepted" | "rejected" | "unconfirmed";

/** An episode's response, before it is sent. Nothing is read before a member is used. */
export interface EpisodeResponse {
  readonly outcome: EpisodeOutcome;
  /** The number of its actions. */
  readonly actions: number;
  /** The tasks that it schedules. */
  readonly scheduled: readonly ScheduledTask[];
  /** The timers that it creates. */
  readonly timers: readonly CreatedTimer[];
  /** The messages that it sends. */
  readonly sent: readonly SentMessage[];
  /** The execution that continues this one as new, if there is one and the protocol has a place for its tags. */
  readonly continuation: Continuation | undefined;
  /** Writes the identity of the orchestration's span into the response, for the next episode; some backends have no place for it. */
  persistSpan(spanId: string, startTime: Date): void;
}

/** An execution that continues another one as new. */
export interface Continuation {
  /** Adds a tag to it. One with that name that it has already stays. */
  setTag(name: string, value: string): void;
}

/** An activity's response, before it is sent. */
export interface ActivityResponse {
  readonly outcome: ActivityOutcome;
}

/**
 * A middleware's hooks around one whole work item (contract.md W1 to W6). An error that a hook throws, or that a promise of
 * a hook rejects with, is counted and logged, and has no other effect.
 */
export interface WorkItemHooks {
  /** Runs the work item: calls `execute` once, synchronously, and returns its result. All code of the work item runs inside (W2). */
  readonly scope?: (<T>(execute: () => T) => T) | undefined;
  /** Called once, before any code of the work item runs, when its hooks are known. */
  readonly onStart?: (() => unknown) | undefined;
  /** Called once, when the response is complete and has not been sent (W3). */
  onResponse?(response: EpisodeResponse | ActivityResponse): unknown;
  /** Called once for each response that was sent, with whether the backend accepted it (W4). */
  readonly onAcknowledged?: ((acknowledgement: Acknowledgement) => unknown) | undefined;
  /** Called once, last, when the worker has finished the work item, whether or not a response was sent. */
  readonly onEnd?: (() => unknown) | undefined;
  /**
   * Called when the orchestration's code changed its custom status, with the status as JSON; during replay too, because
   * history does not record it.
   */
  readonly onCustomStatus?: ((status: string | undefined) => unknown) | undefined;
}

/** The members of every work item. */
interface AnyTask {
  /** The name of the orchestration or activity. */
  readonly name: string;
  readonly instanceId: string;
  /** `undefined` if the backend sends none. */
  readonly executionId: string | undefined;
  readonly version: string | undefined;
  /** Frozen. */
  readonly tags: Readonly<Record<string, string>>;
  /** The input's JSON as it arrived. */
  readonly rawInput: string | undefined;
  /** The trace context that came with the work item. */
  readonly traceContext: TraceContext | undefined;
  /** What middleware and hosts share during this work item. */
  readonly features: MiddlewareFeatures;
  /** The worker's logger. */
  readonly logger: MiddlewareLogger;
  /** Aborts when the worker is stopped. */
  readonly signal: AbortSignal;
  /**
   * Removes the trace contexts from the request, so that the SDK's own spans don't use them and follow the active context
   * instead (telemetry.md I9).
   */
  takeTraceContexts(): void;
  /** Logs a warning to the worker's logger. */
  readonly report: (message: string, error?: unknown) => void;
  /** Counts and logs an isolated error: `what` failed, or was lost. Never throws. */
  readonly fault: (what: string, error: unknown) => void;
}

/** One episode of an orchestration. */
export interface OrchestrationWorkItem extends AnyTask {
  readonly kind: "orchestration";
  readonly parent: ParentOrchestration | undefined;
  /** The identity of the orchestration's span, as an earlier episode left it with the backend. */
  readonly persistedSpan: PersistedSpan | undefined;
  /** The execution ID that the backend sends with the activities of this execution; `undefined` where it sends none. */
  readonly activityExecutionId: string | undefined;
  /** The ID of the span that the backend itself makes of this execution; `undefined` where it makes none. */
  readonly backendSpanId: string | undefined;
  readonly history: EpisodeHistory;
  /** Whether code of the orchestration is running now, for the first time and not as a replay. */
  readonly isLive: boolean;
  /** The SDK's context, once the orchestrator's function has been called; there are episodes that never call it. */
  readonly orchestrationContext: OrchestrationContext | undefined;
  /** Has the code's waits observed. Call it before the code runs. */
  observeWaits(): void;
  /** What the code waits for; `undefined` until the code starts, and if {@link observeWaits} was not called. */
  readonly waits: ObservedWaits | undefined;
}

/** One execution of an activity. */
export interface ActivityWorkItem extends AnyTask {
  readonly kind: "activity";
  readonly taskId: number;
  /** Whether its code has started. `false` while the SDK sends the response. */
  readonly isLive: boolean;
}

/** What a worker executes: an episode of an orchestration, or an activity. */
export type WorkItem = OrchestrationWorkItem | ActivityWorkItem;

/**
 * Called once for each work item, before any code of it runs; the outermost middleware first (contract.md W1). It must not
 * be `async`.
 *
 * @returns what to do around the work item; nothing if there is nothing to do.
 * @example
 * const timing = defineMiddleware({
 *   name: "timing",
 *   workItem(item) {
 *     const startedAt = performance.now();
 *     return { onAcknowledged: (ack) => console.log(item.kind, item.name, ack, performance.now() - startedAt) };
 *   },
 * });
 */
export type WorkItemMiddleware = (item: WorkItem) => WorkItemHooks | undefined | void;
