import { types } from "node:util";
import type { HistoryEvent, OrchestratorAction } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import {
  ActivityWorkItem,
  CurrentWorkItem,
  currentFeatures,
  featuresForWorkItem,
  OrchestrationWorkItem,
  type ActivityOutcome,
  type AnyWorkItem,
} from "../pipeline/index.ts";
import { failureFrom } from "../telemetry/failure-causes.ts";
import { missingFunctions, wrapMethod, type Members, type WorkerAdapter } from "./adapter.ts";
import { attachToRegistry, registryMethods } from "./grpc-worker.ts";
import type { PipelineHost } from "./host.ts";
import { backendInternals, lostInternals, reportLost, testWorkerInternals } from "./sdk-internals.ts";
import { episodeResponse, orchestrationWorkItem } from "./work-items.ts";

/** What the in-memory backend keeps of an orchestration, as far as the adapter reads it. */
interface Instance {
  readonly instanceId: string;
  readonly executionId?: string;
  readonly history: readonly HistoryEvent[];
  readonly pendingEvents: readonly HistoryEvent[];
}

/** What the in-memory backend hands over of an activity. */
interface ActivityTask {
  readonly instanceId: string;
  readonly name: string;
  readonly taskId: number;
  readonly input?: string;
  /** These came after 0.4.0. */
  readonly executionId?: string;
  readonly version?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

const { orchestrator, activity, registry, backend, isRunning } = testWorkerInternals;
const { completeOrchestration, completeActivity, getInstance } = backendInternals;

/** The SDK's in-memory worker for tests. It has no tracing, no logger option and no gRPC; its backend drops trace contexts. */
export const testOrchestrationWorker: WorkerAdapter = {
  kind: "TestOrchestrationWorker",
  recognizes: (worker) => backend.name in worker && registry.name in worker,
  missing: (worker) => [
    ...missingFunctions(worker, [orchestrator.name, activity.name, "start", "stop"]),
    ...missingFunctions((worker as Members)[registry.name], registryMethods, `${registry.name}.`),
    ...missingFunctions((worker as Members)[backend.name], [completeOrchestration.name, completeActivity.name], `${backend.name}.`),
  ],
  lost: (worker) => lostInternals(worker, [isRunning]),
  isRunning: (worker) => (worker as Members)[isRunning.name] === true,
  logger: () => undefined,
  attach: (worker, host) => {
    const members = worker as Members;
    const hub = members[backend.name] as Members;
    wrapMethod<[Instance, ...unknown[]], Promise<void>>(worker, orchestrator.name, (original) => (instance, ...rest) => {
      const item = host.isIdle ? undefined : episodeOf(instance, host);
      return item === undefined ? original(instance, ...rest) : host.run(item, () => original(instance, ...rest));
    });
    wrapMethod<[ActivityTask, ...unknown[]], Promise<void>>(worker, activity.name, (original) => (task, ...rest) =>
      host.isIdle ? original(task, ...rest) : host.run(activityOf(task, hub, host), () => original(task, ...rest)),
    );
    // The worker's own view of its backend: workers that share a backend stay apart.
    members[backend.name] = observedBackend(hub);
    attachToRegistry(members[registry.name] as object, host);
  },
};

function episodeOf(instance: Instance, host: PipelineHost): OrchestrationWorkItem | undefined {
  const { instanceId, executionId, history, pendingEvents } = instance;
  // The backend adds to these lists while the episode runs.
  return orchestrationWorkItem({ instanceId, executionId, past: [...history], fresh: [...pendingEvents] }, host);
}

function activityOf(task: ActivityTask, hub: Members, host: PipelineHost): ActivityWorkItem {
  return new ActivityWorkItem({
    name: task.name,
    instanceId: task.instanceId,
    executionId: task.executionId ?? executionIdOf(task.instanceId, hub, host),
    taskId: task.taskId,
    version: task.version || undefined,
    tags: Object.freeze({ ...task.tags }),
    rawInput: task.input || undefined,
    traceContext: undefined,
    features: featuresForWorkItem(),
    logger: host.logger,
    signal: host.signal,
    report: host.report,
    fault: host.fault,
    takeTraceContexts: () => undefined,
  });
}

function executionIdOf(instanceId: string, hub: Members, host: PipelineHost): string | undefined {
  if (missingFunctions(hub, [getInstance.name]).length > 0) {
    reportLost(host.report, "The in-memory backend", [getInstance]);
    return undefined;
  }
  const find = hub[getInstance.name] as (id: string) => Instance | undefined;
  return find.call(hub, instanceId)?.executionId;
}

// The arguments are found by what they are: releases add some. A result is JSON, never an error; the worker hands on
// what failed an activity as an error, whatever was thrown.
function outcomeIn(args: readonly unknown[]): ActivityOutcome {
  const error = args.find((each) => each instanceof Error || types.isNativeError(each));
  if (error === undefined) return { status: "completed" };
  return { status: "failed", failure: failureFrom(error) };
}

function actionsIn(args: readonly unknown[]): readonly OrchestratorAction[] {
  return (args.find(Array.isArray) as readonly OrchestratorAction[] | undefined) ?? [];
}

// The backend with its completions observed; all else is the backend's own.
function observedBackend(hub: Members): Members {
  const observed: Members = {
    [completeOrchestration.name]: (...args: unknown[]): unknown =>
      completed(OrchestrationWorkItem, completeOrchestration.name, args, (item) =>
        // This backend has no place for the identity of a span.
        item.respond(episodeResponse(item, actionsIn(args), () => undefined)),
      ),
    [completeActivity.name]: (...args: unknown[]): unknown =>
      completed(ActivityWorkItem, completeActivity.name, args, (item) => item.respond({ outcome: outcomeIn(args) })),
  };
  // The SDK completes a work item a second time, as failed, if the backend refuses its response; only the first counts.
  const responded = new WeakSet<AnyWorkItem>();
  function completed<T extends AnyWorkItem>(
    kind: abstract new (...args: never[]) => T,
    method: string,
    args: readonly unknown[],
    respond: (item: T) => void,
  ): unknown {
    const call = (): unknown => (hub[method] as (...args: unknown[]) => unknown).apply(hub, [...args]);
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
  return new Proxy(hub, {
    get: (target, member) => {
      if (typeof member === "string" && Object.hasOwn(observed, member)) return observed[member];
      const value: unknown = Reflect.get(target, member, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
