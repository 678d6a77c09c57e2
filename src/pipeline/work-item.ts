import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { sharedFeature, type MiddlewareFeature, type MiddlewareFeatures } from "./features.ts";
import type { DurableFact, ReceivedFact, ScheduledTask, SentMessage } from "./history.ts";
import { isolate } from "./isolate.ts";
import type { MiddlewareLogger } from "./logger.ts";

/** A W3C trace context as it travels in durable messages. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/** Why a task failed, as it stands in durable history. */
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
 * What became of a response: the backend took it; refused it (the work item is another worker's by now); or nobody
 * knows (the connection broke), and the work item may come again.
 */
export type Delivery = "accepted" | "rejected" | "unconfirmed";

/** An episode's response, before it leaves. */
export interface EpisodeResponse {
  readonly outcome: EpisodeOutcome;
  /** How many actions it has. */
  readonly actions: number;
  /** What it schedules. */
  readonly scheduled: readonly ScheduledTask[];
  /** What it sends. */
  readonly sent: readonly SentMessage[];
  /** Writes the identity of the orchestration's span into the response, for the next episode. */
  readonly carrySpan: (spanId: string, startTime: Date) => void;
}

/** An activity's response, before it leaves. */
export interface ActivityResponse {
  readonly outcome: ActivityOutcome;
}

interface WorkItemFacts {
  readonly name: string;
  readonly instanceId: string;
  readonly executionId: string | undefined;
  readonly version: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** The input's JSON text as it came. */
  readonly rawInput: string | undefined;
  /** The trace context that came with the work item. */
  readonly traceContext: TraceContext | undefined;
  readonly features: MiddlewareFeatures;
  readonly logger: MiddlewareLogger;
  readonly signal: AbortSignal;
  /**
   * Takes the trace contexts off the request, so that the SDK's own spans don't use them; from then on they follow the
   * active context (telemetry.md I9).
   */
  readonly takeTraceContexts: () => void;
  /** Logs a warning. */
  readonly report: (message: string, error?: unknown) => void;
  /** Counts and logs an isolated error: `what` failed, or was lost. Never throws. */
  readonly fault: (what: string, error: unknown) => void;
}

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
  /** What became durable since the last episode, in order; each fact stands in exactly one episode. */
  facts(): readonly DurableFact[];
  /** What reached the orchestration since its start, in order. */
  received(): readonly ReceivedFact[];
  /** Why the task of that ID failed; `undefined` if it did not, or has not finished. */
  failureOfTask(taskId: number): TaskFailure | undefined;
  /** Whether an earlier episode's action has this ID: while an orchestration is suspended, the SDK returns actions again. */
  hasLeft(taskId: number): boolean;
  /** What was scheduled and has not finished. */
  unfinishedTasks(): readonly ScheduledTask[];
}

/** One episode of an orchestration, in durable terms; made by the SDK adapter. */
export interface OrchestrationWorkItemFacts extends WorkItemFacts {
  readonly parent: ParentOrchestration | undefined;
  /** The identity of the orchestration's span, as an earlier episode left it with the backend. */
  readonly carriedSpan: { readonly spanId: string; readonly startTime: Date | undefined } | undefined;
  readonly history: EpisodeHistory;
}

/** One execution of an activity, in durable terms; made by the SDK adapter. */
export interface ActivityWorkItemFacts extends WorkItemFacts {
  readonly taskId: number;
}

/**
 * A work item in the hands of the engine. Besides its facts it has the two moments at which telemetry acts: the
 * response before it leaves, and its acknowledgement. A callback that fails is reported and stops nothing (telemetry.md K1).
 */
abstract class WorkItem<TFacts extends WorkItemFacts, TResponse> {
  abstract readonly kind: "orchestration" | "activity";
  readonly facts: TFacts;
  readonly #onResponse: ((response: TResponse) => void)[] = [];
  readonly #onDelivered: ((delivery: Delivery) => void)[] = [];

  constructor(facts: TFacts) {
    this.facts = facts;
  }

  onResponse(callback: (response: TResponse) => void): void {
    this.#onResponse.push(callback);
  }

  onDelivered(callback: (delivery: Delivery) => void): void {
    this.#onDelivered.push(callback);
  }

  /** The SDK adapter calls it once, when the response stands and has not left yet. */
  respond(response: TResponse): void {
    this.#run(this.#onResponse, response);
  }

  /** The SDK adapter calls it once, when it knows what became of the response. */
  delivered(delivery: Delivery): void {
    this.#run(this.#onDelivered, delivery);
  }

  #run<T>(callbacks: readonly ((value: T) => void)[], value: T): void {
    const onFault = (error: unknown): void =>
      this.facts.fault(`a hook of ${this.kind} "${this.facts.name}" failed`, error);
    for (const callback of callbacks) isolate(() => callback(value), onFault);
  }
}

/** What the engine tells of the code of an orchestration that runs in this episode. */
export interface EpisodeRun {
  /** Whether the orchestration's code (middleware or orchestrator) runs at this moment. */
  readonly running: boolean;
  readonly isReplaying: boolean;
  /** The SDK's context of the orchestration. */
  readonly orchestrationContext: OrchestrationContext;
  /** Tells the run that its episode is over (contract.md O7). */
  end(outcome: EpisodeOutcome): void;
}

/** One episode. */
export class OrchestrationWorkItem extends WorkItem<OrchestrationWorkItemFacts, EpisodeResponse> {
  readonly kind = "orchestration";
  /** Set once the orchestrator's function has been called; there are episodes that never call it. */
  run: EpisodeRun | undefined;
  /** Called when the orchestration's code gives it another custom status, in replay too. */
  onCustomStatus: (() => void) | undefined;

  /** Whether code of the orchestration is running now, for the first time and not as a replay. */
  get isLive(): boolean {
    return this.run !== undefined && this.run.running && !this.run.isReplaying;
  }

  override respond(response: EpisodeResponse): void {
    this.run?.end(response.outcome);
    super.respond(response);
  }
}

/** The work item that runs, in its own features. */
export const CurrentWorkItem: MiddlewareFeature<AnyWorkItem> = sharedFeature<AnyWorkItem>("work-item");

/** One execution of an activity. */
export class ActivityWorkItem extends WorkItem<ActivityWorkItemFacts, ActivityResponse> {
  readonly kind = "activity";
}

export type AnyWorkItem = OrchestrationWorkItem | ActivityWorkItem;
