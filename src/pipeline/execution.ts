import { isPromise } from "node:util/types";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { hostFeatures, MiddlewareFeatures } from "./features.ts";
import type { EpisodeHistory } from "./history.ts";
import { hooksFrom, type IsolatedHooks } from "./isolated-hooks.ts";
import type { MiddlewareLogger } from "./logger.ts";
import type { Stage } from "./stage.ts";
import type { ParentOrchestration, PersistedSpan, TraceContext } from "./task-info.ts";
import type { ObservedWaits } from "./waits.ts";
import type {
  Acknowledgement,
  ActivityResponse,
  ActivityWorkItem,
  EpisodeResponse,
  OrchestrationWorkItem,
  WorkItem,
  WorkItemMiddleware,
} from "./work-item.ts";

/** What all work items of one worker have in common. */
export interface WorkItemHost {
  readonly logger: MiddlewareLogger;
  readonly signal: AbortSignal;
  readonly report: (message: string, error?: unknown) => void;
  readonly fault: (what: string, error: unknown) => void;
}

/** A work item in the engine. SDK adapters derive it from the worker's request. */
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
  // That of the moment at which the work item came: a worker that starts again has another one.
  readonly signal: AbortSignal;
  // Those of the moment at which the work item came.
  readonly #hostFeatures: MiddlewareFeatures | undefined = hostFeatures();
  #features: MiddlewareFeatures | undefined;
  readonly #hooks: IsolatedHooks[] = [];
  /** For an adapter whose worker may respond more than once. */
  hasResponded = false;
  /**
   * Its end tells what became of the response, if that is not known when the worker is done with the work item. An object:
   * with a function in its place V8 keeps the work item, and with that its history, until a full collection of garbage.
   */
  sending: { end(): void } | undefined;

  constructor(host: WorkItemHost) {
    this.host = host;
    this.signal = host.signal;
  }

  abstract takeTraceContexts(): void;

  /** The identity of the work item: no payload, no feature (contract.md F3), and nothing of the engine. */
  toJSON(): object {
    const { name, instanceId, executionId, version } = this;
    return { name, instanceId, executionId, version };
  }

  get features(): MiddlewareFeatures {
    return (this.#features ??= new MiddlewareFeatures(this.#hostFeatures));
  }
  get logger(): MiddlewareLogger {
    return this.host.logger;
  }

  get report(): WorkItemHost["report"] {
    return this.host.report;
  }
  get fault(): WorkItemHost["fault"] {
    return this.host.fault;
  }

  /** Asks each middleware for its hooks (contract.md W1), and runs `execute` in their scopes (W2). */
  run<T>(middlewares: readonly Stage<WorkItemMiddleware>[], execute: () => T): T {
    for (const middleware of middlewares) {
      const hooks = hooksFrom(middleware, this as unknown as WorkItem);
      if (hooks !== undefined) this.#hooks.push(hooks);
    }
    for (const hooks of this.#hooks) hooks.start();
    let result: T;
    try {
      result = this.#inScopes(0, execute);
    } catch (error) {
      this.#end();
      throw error;
    }
    if (!this.#hooks.some(({ hasEnd }) => hasEnd)) return result;
    const end = (): void => this.#end();
    if (isPromise(result)) result.then(end, end);
    else end();
    return result;
  }

  #inScopes<T>(from: number, execute: () => T): T {
    for (let index = from; index < this.#hooks.length; index += 1) {
      const hooks = this.#hooks[index];
      if (hooks?.hasScope === true) return hooks.inScope(() => this.#inScopes(index + 1, execute));
    }
    return execute();
  }

  #end(): void {
    // What became of the response comes first.
    this.sending?.end();
    for (const hooks of this.#hooks) hooks.end();
  }

  /** The SDK adapter calls it once, when the response stands and has not left yet. */
  respond(response: TResponse): void {
    for (const hooks of this.#hooks) hooks.respond(response);
  }

  /** The SDK adapter calls it once, when it knows what became of the response. */
  acknowledge(acknowledgement: Acknowledgement): void {
    for (const hooks of this.#hooks) hooks.acknowledge(acknowledgement);
  }

  /** Whether anybody wants to know of custom statuses. */
  get observesCustomStatus(): boolean {
    return this.#hooks.some(({ hasCustomStatus }) => hasCustomStatus);
  }

  /** The SDK adapter calls it at each custom status that differs from the one before. */
  customStatusChanged(status: string | undefined): void {
    for (const hooks of this.#hooks) hooks.customStatusChanged(status);
  }
}

/** The code of an orchestration that runs in this episode, as the engine sees it. */
export interface EpisodeCode {
  /** Whether the orchestration's code (middleware or orchestrator) runs at this moment. */
  readonly running: boolean;
  readonly isReplaying: boolean;
  /** The SDK's context of the orchestration. */
  readonly orchestrationContext: OrchestrationContext;
  /** Ends the code, because its episode is over (contract.md O7). */
  end(response: EpisodeResponse): void;
}

/** One episode. */
export abstract class Episode extends Task<EpisodeResponse> implements OrchestrationWorkItem {
  readonly kind = "orchestration";
  abstract readonly parent: ParentOrchestration | undefined;
  abstract readonly persistedSpan: PersistedSpan | undefined;
  abstract readonly activityExecutionId: string | undefined;
  abstract readonly backendSpanId: string | undefined;
  abstract readonly history: EpisodeHistory;
  /** Set once the orchestrator's function has been called; there are episodes that never call it. */
  code: EpisodeCode | undefined;
  /** Whether anybody wants to know what the code waits for. */
  observesWaits = false;
  /** Set by the SDK adapter when the code starts, if anybody wants to know. */
  waits: ObservedWaits | undefined;

  observeWaits(): void {
    this.observesWaits = true;
  }

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
