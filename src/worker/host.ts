import { ROOT_CONTEXT } from "@opentelemetry/api";
import {
  ActivityExecution,
  currentWorkItem,
  Episode,
  isolate,
  OrchestrationRun,
  OrchestratorRun,
  runActivity,
  runInWorkItem,
  type Activity,
  type AwaitGuardModes,
  type AwaitGuardOptions,
  type MiddlewareLogger,
  type Orchestrator,
  type Pipeline,
  type WorkItemHost,
} from "../pipeline/index.ts";
import { activeContext, runIn } from "../telemetry/active-context.ts";
import { Isolation } from "../telemetry/isolate.ts";
import { observeCustomStatus } from "./custom-status.ts";
import { observeWaits } from "./waits.ts";

const isolation = new Isolation("pipeline");

/** One worker in the engine: its pipeline, its logger, and the signal that it stops. */
export class PipelineHost implements WorkItemHost {
  readonly pipeline: Pipeline;
  readonly logger: MiddlewareLogger;
  readonly #guard: AwaitGuardModes;
  #stopping = new AbortController();

  constructor(pipeline: Pipeline, logger: MiddlewareLogger, guard: AwaitGuardOptions = {}) {
    this.pipeline = pipeline;
    this.logger = logger;
    this.#guard = { middleware: guard.middleware ?? "fail", orchestrator: guard.orchestrator ?? "warn" };
  }

  /** Whether there is nothing to run: then the worker does as if this package were not there (contract.md R8). */
  get isIdle(): boolean {
    return this.pipeline.names.length === 0;
  }

  /** Aborts when the worker is stopped (contract.md X8). */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** The worker starts, perhaps again. */
  started(): void {
    if (this.#stopping.signal.aborted) this.#stopping = new AbortController();
  }

  /** The worker is being stopped. */
  stopping(): void {
    this.#stopping.abort(new Error("The worker is stopping."));
  }

  /** Logs a warning. */
  readonly report = (message: string, error?: unknown): void =>
    isolate(
      () => this.logger.warn(`durable-telemetry: ${message}`, ...(error === undefined ? [] : [error])),
      (lost) => this.fault("a warning was lost", lost),
    );

  /** Counts and logs an isolated error (telemetry.md K1). */
  readonly fault = (what: string, error: unknown): void => isolation.fault(what, error);

  /**
   * Runs a work item: `execute` is the SDK's own execution. It starts from the root context, not from whatever was
   * active when the worker was started (telemetry.md I7).
   */
  run<T>(item: Episode | ActivityExecution, execute: () => T): T {
    const { workItem } = this.pipeline;
    const run = (): T => runInWorkItem(item, workItem.length === 0 ? execute : () => item.run(workItem, execute));
    return activeContext() === ROOT_CONTEXT ? run() : runIn(ROOT_CONTEXT, run);
  }

  /** The orchestrator that the SDK runs in place of `orchestrator`, in the work item that is running. */
  orchestrator(orchestrator: Orchestrator): Orchestrator {
    const item = currentWorkItem();
    const { orchestration: stages, workItem } = this.pipeline;
    if (!(item instanceof Episode) || (stages.length === 0 && workItem.length === 0)) return orchestrator;
    return (ctx, input) => {
      if (item.observesCustomStatus) observeCustomStatus(ctx, item);
      if (item.observesWaits) item.waits = observeWaits(ctx, this);
      const { orchestrator: mode } = this.#guard;
      if (stages.length === 0 && mode !== "fail")
        return new OrchestratorRun(item, ctx, mode).start(orchestrator, input);
      return new OrchestrationRun(item, stages, orchestrator, ctx, input, this.#guard);
    };
  }

  /** The activity that the SDK runs in place of `activity`, in the work item that is running. */
  activity(activity: Activity): Activity {
    const item = currentWorkItem();
    const { activity: stages, workItem } = this.pipeline;
    if (!(item instanceof ActivityExecution) || (stages.length === 0 && workItem.length === 0)) return activity;
    return (ctx, input) => {
      item.hasStarted = true;
      return stages.length === 0 ? activity(ctx, input) : runActivity(item, stages, activity, ctx, input);
    };
  }
}
