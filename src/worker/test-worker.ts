import { isNativeError } from "node:util/types";
import type { HistoryEvent, OrchestratorAction } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { ActivityExecution, currentWorkItem, type ActivityOutcome } from "../pipeline/index.ts";
import { failureFrom } from "../telemetry/failure-causes.ts";
import type { WorkerAdapter } from "./adapter.ts";
import { missingFunctions, wrapMethod, type Members } from "./members.ts";
import { attachToRegistry, registryMethods } from "./grpc-worker.ts";
import type { PipelineHost } from "./host.ts";
import { noTags } from "./messages.ts";
import { backendInternals, lostInternals, reportLost, testWorkerInternals } from "./sdk-internals.ts";
import { durableTaskSdk } from "./sdk-version.ts";
import { ProtoEpisode, ProtoEpisodeResponse } from "./work-items.ts";

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
  sdks: [durableTaskSdk],
  recognizes: (worker) => backend.name in worker && registry.name in worker,
  missing: (worker) => [
    ...missingFunctions(worker, [orchestrator.name, activity.name, "start", "stop"]),
    ...missingFunctions((worker as Members)[registry.name], registryMethods, `${registry.name}.`),
    ...missingFunctions(
      (worker as Members)[backend.name],
      [completeOrchestration.name, completeActivity.name],
      `${backend.name}.`,
    ),
  ],
  lost: (worker) => lostInternals(worker, [isRunning]),
  isRunning: (worker) => (worker as Members)[isRunning.name] === true,
  logger: () => undefined,
  attach: (worker, host) => {
    const members = worker as Members;
    const hub = members[backend.name] as Members;
    wrapMethod<[Instance, ...unknown[]], Promise<void>>(
      worker,
      orchestrator.name,
      (original) =>
        (instance, ...rest) => {
          const item = host.isIdle ? undefined : episodeOf(instance, host);
          return item === undefined ? original(instance, ...rest) : host.run(item, () => original(instance, ...rest));
        },
    );
    wrapMethod<[ActivityTask, ...unknown[]], Promise<void>>(
      worker,
      activity.name,
      (original) =>
        (task, ...rest) =>
          host.isIdle
            ? original(task, ...rest)
            : host.run(new InMemoryActivity(task, hub, host), () => original(task, ...rest)),
    );
    observeBackend(hub);
    attachToRegistry(members[registry.name] as object, host);
  },
};

function episodeOf(instance: Instance, host: PipelineHost): ProtoEpisode | undefined {
  const { instanceId, executionId, history, pendingEvents } = instance;
  // The backend adds to these lists while the episode runs.
  return ProtoEpisode.from({ instanceId, executionId, past: history.slice(), fresh: pendingEvents.slice() }, host);
}

class InMemoryActivity extends ActivityExecution {
  readonly name: string;
  readonly instanceId: string;
  readonly executionId: string | undefined;
  readonly taskId: number;
  readonly version: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly rawInput: string | undefined;
  readonly traceContext: undefined;

  constructor(
    { name, instanceId, executionId, taskId, version, tags, input }: ActivityTask,
    hub: Members,
    host: PipelineHost,
  ) {
    super(host);
    this.name = name;
    this.instanceId = instanceId;
    this.executionId = executionId ?? executionIdOf(instanceId, hub, host);
    this.taskId = taskId;
    this.version = version || undefined;
    this.tags = tags === undefined ? noTags : Object.freeze({ ...tags });
    this.rawInput = input || undefined;
  }

  takeTraceContexts(): void {
    // This work item has none.
  }
}

function executionIdOf(instanceId: string, hub: Members, host: PipelineHost): string | undefined {
  const find = hub[getInstance.name] as ((id: string) => Instance | undefined) | undefined;
  if (typeof find === "function") return find.call(hub, instanceId)?.executionId;
  reportLost(host, "The in-memory backend", [getInstance]);
  return undefined;
}

// The arguments are found by what they are: releases add some. A result is JSON, never an error; the worker hands on
// what failed an activity as an error, whatever was thrown.
function outcomeIn(args: readonly unknown[]): ActivityOutcome {
  const error = args.find((each) => each instanceof Error || isNativeError(each));
  if (error === undefined) return { status: "completed" };
  return { status: "failed", failure: failureFrom(error) };
}

function actionsIn(args: readonly unknown[]): readonly OrchestratorAction[] {
  return (args.find(Array.isArray) as readonly OrchestratorAction[] | undefined) ?? [];
}

const observed = new WeakSet<object>();

// Several workers may share a backend: a completion belongs to the work item whose code runs.
function observeBackend(hub: Members): void {
  if (observed.has(hub)) return;
  observed.add(hub);
  wrapMethod<unknown[], unknown>(hub, completeOrchestration.name, (original) => (...args) => {
    const item = responding(ProtoEpisode);
    if (item === undefined) return original(...args);
    item.respond(new ProtoEpisodeResponse(item, actionsIn(args)));
    return acknowledged(item, () => original(...args));
  });
  wrapMethod<unknown[], unknown>(hub, completeActivity.name, (original) => (...args) => {
    const item = responding(InMemoryActivity);
    if (item === undefined) return original(...args);
    item.respond({ outcome: outcomeIn(args) });
    return acknowledged(item, () => original(...args));
  });
}

// The work item whose response this is. The SDK completes a work item a second time, as failed, if the backend rejects its
// response; only the first counts.
function responding<T extends ProtoEpisode | InMemoryActivity>(
  kind: abstract new (...args: never[]) => T,
): T | undefined {
  const item = currentWorkItem();
  if (!(item instanceof kind) || item.hasResponded) return undefined;
  item.hasResponded = true;
  return item;
}

function acknowledged(item: ProtoEpisode | InMemoryActivity, complete: () => unknown): unknown {
  try {
    const result = complete();
    item.acknowledge("accepted");
    return result;
  } catch (error) {
    item.acknowledge("rejected");
    throw error;
  }
}
