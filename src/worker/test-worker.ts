import type { HistoryEvent, OrchestratorAction } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import {
  ActivityWorkItem,
  CurrentWorkItem,
  currentFeatures,
  featuresForWorkItem,
  OrchestrationWorkItem,
  type AnyWorkItem,
} from "../pipeline/index.ts";
import { failureFrom } from "../telemetry/failure-causes.ts";
import { missingFunctions, wrapMethod, type Members, type WorkerAdapter } from "./adapter.ts";
import { attachToRegistry } from "./grpc-worker.ts";
import type { PipelineHost } from "./host.ts";
import { outcomeOf, scheduledBy, sentBy } from "./messages.ts";
import { orchestrationWorkItem } from "./work-items.ts";

/** What the in-memory backend keeps of an orchestration, as far as the seam reads it. */
interface Instance {
  readonly instanceId: string;
  readonly executionId?: string;
  readonly history: readonly HistoryEvent[];
  readonly pendingEvents: readonly HistoryEvent[];
}

interface ActivityTask {
  readonly instanceId: string;
  readonly name: string;
  readonly taskId: number;
  readonly input?: string;
}

/** The SDK's in-memory worker for tests. It has no tracing, no logger option and no gRPC; its backend drops trace contexts. */
export const testOrchestrationWorker: WorkerAdapter = {
  kind: "TestOrchestrationWorker",
  recognizes: (worker) => "backend" in worker && "registry" in worker,
  missing: (worker) => [
    ...missingFunctions(worker, ["processOrchestration", "processActivity", "start", "stop"]),
    ...missingFunctions((worker as Members)["registry"], ["getOrchestrator", "getActivity"], "registry."),
    ...missingFunctions((worker as Members)["backend"], ["completeOrchestration", "completeActivity"], "backend."),
  ],
  isRunning: (worker) => (worker as Members)["isRunning"] === true,
  logger: () => undefined,
  attach: (worker, host) => {
    const members = worker as Members;
    const backend = members["backend"] as Members;
    wrapMethod<[Instance], Promise<void>>(worker, "processOrchestration", (original) => (instance) => {
      const item = host.isIdle ? undefined : episodeOf(instance, host);
      return item === undefined ? original(instance) : host.run(item, () => original(instance));
    });
    wrapMethod<[ActivityTask], Promise<void>>(worker, "processActivity", (original) => (task) =>
      host.isIdle ? original(task) : host.run(activityOf(task, backend, host), () => original(task)),
    );
    // The worker's own view of its backend: workers that share a backend stay apart.
    members["backend"] = observedBackend(backend);
    attachToRegistry(members["registry"] as object, host);
  },
};

function episodeOf(instance: Instance, host: PipelineHost): OrchestrationWorkItem | undefined {
  const { instanceId, executionId, history, pendingEvents } = instance;
  // The backend adds to these lists while the episode runs.
  return orchestrationWorkItem({ instanceId, executionId, past: [...history], fresh: [...pendingEvents] }, host);
}

function activityOf(task: ActivityTask, backend: Members, host: PipelineHost): ActivityWorkItem {
  const getInstance = backend["getInstance"] as ((id: string) => Instance | undefined) | undefined;
  return new ActivityWorkItem({
    name: task.name,
    instanceId: task.instanceId,
    executionId: getInstance?.call(backend, task.instanceId)?.executionId,
    taskId: task.taskId,
    version: undefined,
    tags: Object.freeze({}),
    rawInput: task.input || undefined,
    traceContext: undefined,
    features: featuresForWorkItem(),
    logger: host.logger,
    signal: host.signal,
    report: host.report,
    takeTraceContexts: () => undefined,
  });
}

// The backend with its completions observed; all else is the backend's own.
function observedBackend(backend: Members): Members {
  const complete = {
    completeOrchestration(...args: [string, number, readonly OrchestratorAction[], ...unknown[]]): unknown {
      const actions = args[2];
      return completed(OrchestrationWorkItem, "completeOrchestration", args, (item) =>
        item.respond({
          outcome: outcomeOf(actions, item.facts.history),
          scheduled: scheduledBy(actions, item.run),
          sent: sentBy(actions),
          actions: actions.length,
          // This backend has no place for it.
          carrySpan: () => undefined,
        }),
      );
    },
    completeActivity(...args: [string, number, string | undefined, Error?]): unknown {
      const error = args[3];
      return completed(ActivityWorkItem, "completeActivity", args, (item) =>
        item.respond({
          outcome:
            error === undefined
              ? { status: "completed" }
              : { status: "failed", failure: failureFrom(error) },
        }),
      );
    },
  };
  // The SDK completes a work item a second time, as failed, if the backend refuses its response; only the first counts.
  const responded = new WeakSet<AnyWorkItem>();
  function completed<T extends AnyWorkItem>(
    kind: abstract new (...args: never[]) => T,
    method: string,
    args: readonly unknown[],
    respond: (item: T) => void,
  ): unknown {
    const call = (): unknown => (backend[method] as (...args: unknown[]) => unknown).apply(backend, [...args]);
    const item = currentFeatures()?.get(CurrentWorkItem);
    if (!(item instanceof kind) || responded.has(item)) return call();
    responded.add(item);
    respond(item);
    try {
      const result = call();
      item.delivered("accepted");
      return result;
    } catch (error) {
      item.delivered("rejected");
      throw error;
    }
  }
  return new Proxy(backend, {
    get: (target, member) => {
      if (member === "completeOrchestration" || member === "completeActivity") return complete[member];
      const value: unknown = Reflect.get(target, member, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
