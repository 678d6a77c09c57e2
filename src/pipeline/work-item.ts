import { isPromise } from "node:util/types";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { hostFeatures, MiddlewareFeatures } from "./features.ts";
import type { HistoryEvent, ReceivedEvent, ScheduledTask, SentMessage } from "./history.ts";
import { isolate } from "./isolate.ts";
import type { MiddlewareLogger } from "./logger.ts";
import type { WorkItemMiddleware } from "./middleware.ts";
import { runThrough } from "./run-through.ts";

/** A W3C trace context as it travels in durable messages. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
  /** Whether it only says in which trace an execution is, and with which flags: nobody emits the span that it names. */
  readonly startsTrace?: boolean | undefined;
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
 * What became of a response: the backend accepted it; rejected it (the work item is another worker's by now); or nobody
 * knows (the connection broke), and the work item may come again.
 */
export type Acknowledgement = "accepted" | "rejected" | "unconfirmed";

/** An episode's response, before it leaves. Reading it costs nothing until a member is asked for. */
export interface EpisodeResponse {
  readonly outcome: EpisodeOutcome;
  /** How many actions it has. */
  readonly actions: number;
  /** What it schedules. */
  readonly scheduled: readonly ScheduledTask[];
  /** What it sends. */
  readonly sent: readonly SentMessage[];
  /** Writes the identity of the orchestration's span into the response, for the next episode; some backends have no place for it. */
  persistSpan(spanId: string, startTime: Date): void;
}

/** An activity's response, before it leaves. */
export interface ActivityResponse {
  readonly outcome: ActivityOutcome;
}

/**
 * What a middleware does around one whole work item (contract.md W1 to W6). What a hook throws, and what a promise that it
 * returns rejects with, is counted and logged, and changes nothing.
 */
export interface WorkItemHooks {
  /**
   * Runs the work item: calls `execute` once, at once, and returns what that returned. All code of the work item runs inside
   * (W2).
   */
  scope?<T>(execute: () => T): T;
  /** All hooks of the work item are known, and none of its code has run; called once. */
  onStart?(): unknown;
  /** The response stands and has not left yet; called once (W3). */
  onResponse?(response: EpisodeResponse | ActivityResponse): unknown;
  /** What became of the response; called once for each response that left (W4). */
  onAcknowledged?(acknowledgement: Acknowledgement): unknown;
  /** The worker is done with the work item, whether or not a response has left; called once, last. */
  onEnd?(): unknown;
  /** The orchestration's code set another custom status; in replay too, as its history does not have it. */
  onCustomStatus?(): unknown;
}

/** What middleware knows of every work item. */
interface AnyTask {
  /** The name of the orchestration or activity. */
  readonly name: string;
  readonly instanceId: string;
  /** `undefined` where the backend sends none. */
  readonly executionId: string | undefined;
  readonly version: string | undefined;
  /** Frozen. */
  readonly tags: Readonly<Record<string, string>>;
  /** The input's JSON text as it came. */
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
   * Takes the trace contexts off the request, so that the SDK's own spans don't use them; from then on they follow the
   * active context (telemetry.md I9).
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
  readonly history: EpisodeHistory;
  /** Whether code of the orchestration is running now, for the first time and not as a replay. */
  readonly isLive: boolean;
  /** The SDK's context, once the orchestrator's function has been called; there are episodes that never call it. */
  readonly orchestrationContext: OrchestrationContext | undefined;
}

/** One execution of an activity. */
export interface ActivityWorkItem extends AnyTask {
  readonly kind: "activity";
  readonly taskId: number;
  /** Whether its code has started, and is not the SDK's own that sends the response. */
  readonly isLive: boolean;
}

/** What a worker executes: an episode of an orchestration, or an activity. */
export type WorkItem = OrchestrationWorkItem | ActivityWorkItem;

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

/** What all work items of one worker have in common. */
export interface WorkItemHost {
  readonly logger: MiddlewareLogger;
  readonly signal: AbortSignal;
  readonly report: (message: string, error?: unknown) => void;
  readonly fault: (what: string, error: unknown) => void;
}

const none: readonly WorkItemHooks[] = [];

/** A work item in the hands of the engine; an SDK adapter derives it from what a worker hands over. */
abstract class Task<TResponse extends EpisodeResponse | ActivityResponse> {
  abstract readonly kind: "orchestration" | "activity";
  abstract readonly name: string;
  abstract readonly instanceId: string;
  abstract readonly executionId: string | undefined;
  abstract readonly version: string | undefined;
  abstract readonly tags: Readonly<Record<string, string>>;
  abstract readonly rawInput: string | undefined;
  abstract readonly traceContext: TraceContext | undefined;
  readonly host: WorkItemHost;
  // Those of the moment at which the work item came.
  readonly #hostFeatures: MiddlewareFeatures | undefined = hostFeatures();
  #features: MiddlewareFeatures | undefined;
  #hooks: readonly WorkItemHooks[] = none;
  /** For an adapter whose worker may respond more than once. */
  hasResponded = false;

  constructor(host: WorkItemHost) {
    this.host = host;
  }

  abstract takeTraceContexts(): void;

  get features(): MiddlewareFeatures {
    return (this.#features ??= new MiddlewareFeatures(this.#hostFeatures));
  }
  get logger(): MiddlewareLogger {
    return this.host.logger;
  }
  get signal(): AbortSignal {
    return this.host.signal;
  }

  get report(): WorkItemHost["report"] {
    return this.host.report;
  }
  get fault(): WorkItemHost["fault"] {
    return this.host.fault;
  }

  /** Asks each middleware for its hooks (contract.md W1), and runs `execute` in their scopes (W2). */
  run<T>(middlewares: readonly WorkItemMiddleware[], execute: () => T): T {
    if (middlewares.length === 0) return execute();
    const hooks: WorkItemHooks[] = [];
    for (const workItem of middlewares) {
      try {
        const own: unknown = workItem(this as unknown as WorkItem);
        if (typeof own !== "object" || own === null) continue;
        // A promise has no hooks.
        if (isPromise(own)) this.#isolate(own);
        else hooks.push(own);
      } catch (error) {
        this.#onFault(error);
      }
    }
    this.#hooks = hooks;
    for (const each of hooks) if (each.onStart !== undefined) this.#call(() => each.onStart?.());
    const result = this.#inScopes(0, execute);
    if (hooks.some((each) => each.onEnd !== undefined)) this.#end(result);
    return result;
  }

  #end(result: unknown): void {
    const end = (): void => {
      for (const each of this.#hooks) if (each.onEnd !== undefined) this.#call(() => each.onEnd?.());
    };
    if (isPromise(result)) result.then(end, end);
    else end();
  }

  #inScopes<T>(from: number, execute: () => T): T {
    for (let index = from; index < this.#hooks.length; index += 1) {
      const hooks = this.#hooks[index];
      if (hooks?.scope === undefined) continue;
      return runThrough(
        (run) => hooks.scope?.(run),
        () => this.#inScopes(index + 1, execute),
        (problem, error) => this.#onFault(problem === "does not call the function" ? new TypeError("its scope does not call execute") : error),
      );
    }
    return execute();
  }

  /** The SDK adapter calls it once, when the response stands and has not left yet. */
  respond(response: TResponse): void {
    for (const hooks of this.#hooks) {
      try {
        this.#isolate(hooks.onResponse?.(response));
      } catch (error) {
        this.#onFault(error);
      }
    }
  }

  /** The SDK adapter calls it once, when it knows what became of the response. */
  acknowledge(acknowledgement: Acknowledgement): void {
    for (const hooks of this.#hooks) {
      try {
        this.#isolate(hooks.onAcknowledged?.(acknowledgement));
      } catch (error) {
        this.#onFault(error);
      }
    }
  }

  /** Whether anybody wants to know of custom statuses. */
  get observesCustomStatus(): boolean {
    return this.#hooks.some((hooks) => hooks.onCustomStatus !== undefined);
  }

  /** The SDK adapter calls it at each custom status that differs from the one before. */
  customStatusChanged(): void {
    for (const hooks of this.#hooks) this.#call(() => hooks.onCustomStatus?.());
  }

  #call(callback: () => unknown): void {
    isolate(callback, (error) => this.#onFault(error));
  }

  // What a hook returned may be a promise that rejects.
  #isolate(returned: unknown): void {
    if (returned !== undefined) isolate(() => returned, (error) => this.#onFault(error));
  }

  #onFault(error: unknown): void {
    this.fault(`a hook of ${this.kind} "${this.name}" failed`, error);
  }
}

/** What the engine tells of the code of an orchestration that runs in this episode. */
export interface EpisodeCode {
  /** Whether the orchestration's code (middleware or orchestrator) runs at this moment. */
  readonly running: boolean;
  readonly isReplaying: boolean;
  /** The SDK's context of the orchestration. */
  readonly orchestrationContext: OrchestrationContext;
  /** Tells the code that its episode is over (contract.md O7). */
  end(response: EpisodeResponse): void;
}

/** One episode. */
export abstract class Episode extends Task<EpisodeResponse> implements OrchestrationWorkItem {
  readonly kind = "orchestration";
  abstract readonly parent: ParentOrchestration | undefined;
  abstract readonly persistedSpan: PersistedSpan | undefined;
  abstract readonly history: EpisodeHistory;
  /** Set once the orchestrator's function has been called; there are episodes that never call it. */
  code: EpisodeCode | undefined;

  get isLive(): boolean {
    return this.code !== undefined && this.code.running && !this.code.isReplaying;
  }

  get orchestrationContext(): OrchestrationContext | undefined {
    return this.code?.orchestrationContext;
  }

  override respond(response: EpisodeResponse): void {
    this.code?.end(response);
    super.respond(response);
  }
}

/** One execution of an activity. */
export abstract class ActivityExecution extends Task<ActivityResponse> implements ActivityWorkItem {
  readonly kind = "activity";
  abstract readonly taskId: number;
  /** Set once the activity function, or a middleware around it, is called. */
  hasStarted = false;
  /** While the SDK sends the response. */
  isResponding = false;

  get isLive(): boolean {
    return this.hasStarted && !this.isResponding;
  }
}
