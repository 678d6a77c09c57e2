import type {
  ActivityRequest,
  ActivityResponse,
  OrchestratorRequest,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Activity, ActivityWorkItem, Delivery, MiddlewareLogger, OrchestrationWorkItem, Orchestrator } from "../pipeline/index.ts";
import { missingFunctions, wrapMethod, type Members, type WorkerAdapter } from "./adapter.ts";
import type { PipelineHost } from "./host.ts";
import { failureOf, orchestrationTraceContextMessage, outcomeOf, restoreTraceContext, scheduledBy, sentBy } from "./messages.ts";
import { quietClient } from "./quiet-client.ts";
import { activityWorkItem, orchestrationWorkItem } from "./work-items.ts";

/** The names that a fork of the SDK gives to what the seam needs of its gRPC worker. */
export interface GrpcWorkerMembers {
  readonly kind: string;
  /** Runs one episode: `(request, …, stub)`. */
  readonly orchestrator: string;
  /** Runs one activity: `(request, …, stub)`. */
  readonly activity: string;
  /** Opens the stream of work items: `(client, …)`. Without it the worker's calls are seen by other instrumentation. */
  readonly connect?: string;
  readonly registry: string;
  readonly isRunning: string;
  readonly logger: string;
}

/** The Durable Task SDK's own worker and its subclasses, `@microsoft/durabletask-js` 0.4. */
export const taskHubGrpcWorker: WorkerAdapter = grpcWorkerAdapter({
  kind: "TaskHubGrpcWorker",
  orchestrator: "_executeOrchestratorInternal",
  activity: "_executeActivityInternal",
  connect: "internalRunWorker",
  registry: "_registry",
  isRunning: "_isRunning",
  logger: "_logger",
});

/**
 * An adapter for a worker that talks to a task hub over gRPC. Both its streaming loop and its host entry
 * `processOrchestratorRequest` go through the two methods that are wrapped here.
 */
export function grpcWorkerAdapter(names: GrpcWorkerMembers): WorkerAdapter {
  return {
    kind: names.kind,
    recognizes: (worker) => names.registry in worker || names.orchestrator in worker,
    missing: (worker) => [
      ...missingFunctions(worker, [names.orchestrator, names.activity, "start", "stop"]),
      ...missingFunctions((worker as Members)[names.registry], ["getOrchestrator", "getActivity"], `${names.registry}.`),
    ],
    isRunning: (worker) => (worker as Members)[names.isRunning] === true,
    logger: (worker) => (worker as Members)[names.logger] as MiddlewareLogger | undefined,
    attach: (worker, host) => {
      wrapMethod<[OrchestratorRequest, ...unknown[]], Promise<void>>(worker, names.orchestrator, (original) =>
        (request, ...rest) => {
          const item = host.isIdle ? undefined : episodeOf(request, host);
          if (item === undefined) return original(request, ...rest);
          return host.run(item, () => original(request, ...rest.with(-1, orchestrationStub(rest.at(-1), item))));
        },
      );
      wrapMethod<[ActivityRequest, ...unknown[]], Promise<void>>(worker, names.activity, (original) =>
        (request, ...rest) => {
          if (host.isIdle) return original(request, ...rest);
          const item = activityWorkItem(request, host);
          return host.run(item, () => original(request, ...rest.with(-1, activityStub(rest.at(-1), item))));
        },
      );
      // It is not among what must be there.
      if (names.connect !== undefined && missingFunctions(worker, [names.connect]).length === 0) {
        wrapMethod<[object, ...unknown[]], Promise<void>>(worker, names.connect, (original) =>
          (client, ...rest) => original(host.isIdle ? client : quietClient(client), ...rest),
        );
      }
      attachToRegistry((worker as Members)[names.registry] as object, host);
    },
  };
}

/** Has the registry hand out functions that run under the pipeline; so it makes no difference what is registered first (R3). */
export function attachToRegistry(registry: object, host: PipelineHost): void {
  wrapMethod<[string | undefined], Orchestrator | undefined>(registry, "getOrchestrator", (original) => (name) => {
    const orchestrator = original(name);
    return orchestrator && host.orchestrator(orchestrator);
  });
  wrapMethod<[string], Activity | undefined>(registry, "getActivity", (original) => (name) => {
    const activity = original(name);
    return activity && host.activity(activity);
  });
}

function episodeOf(request: OrchestratorRequest, host: PipelineHost): OrchestrationWorkItem | undefined {
  return orchestrationWorkItem(
    {
      instanceId: request.getInstanceid(),
      executionId: request.getExecutionid()?.getValue(),
      past: request.getPasteventsList(),
      fresh: request.getNeweventsList(),
      carried: request.getOrchestrationtracecontext(),
      clearCarried: () => request.setOrchestrationtracecontext(undefined),
    },
    host,
  );
}

function orchestrationStub(stub: unknown, item: OrchestrationWorkItem): unknown {
  return observedStub(stub, item, {
    method: "completeOrchestratorTask",
    respond(response: OrchestratorResponse) {
      const actions = response.getActionsList();
      // With its own spans silenced the SDK writes an identity of zeros.
      if (/^0*$/.test(response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "")) {
        response.setOrchestrationtracecontext(undefined);
      }
      restoreTraceContext(actions, item.facts.traceContext);
      item.respond({
        outcome: outcomeOf(actions, item.facts.history),
        scheduled: scheduledBy(actions, item.run),
        sent: sentBy(actions),
        actions: actions.length,
        carrySpan: (spanId, startTime) =>
          response.setOrchestrationtracecontext(orchestrationTraceContextMessage(spanId, startTime)),
      });
    },
  });
}

function activityStub(stub: unknown, item: ActivityWorkItem): unknown {
  return observedStub(stub, item, {
    method: "completeActivityTask",
    respond(response: ActivityResponse) {
      item.respond({
        outcome: response.hasFailuredetails()
          ? { status: "failed", failure: failureOf(response.getFailuredetails()) }
          : { status: "completed" },
      });
    },
  });
}

/** The call that sends a response. */
interface Completion {
  readonly method: string;
  respond(response: object): void;
}

type Callback = (error: unknown, ...results: unknown[]) => void;

// A stub that shows the response before it leaves, and tells what became of it. All else goes to the real stub, on
// whose own `this` its methods rely.
function observedStub(stub: unknown, item: OrchestrationWorkItem | ActivityWorkItem, completion: Completion): unknown {
  const target = stub as Record<PropertyKey, unknown>;
  const complete = (response: object, ...rest: unknown[]): unknown => {
    completion.respond(response);
    const callback = rest.at(-1) as Callback;
    const told: Callback = (error, ...results) => {
      item.delivered(deliveryOf(error));
      callback(error, ...results);
    };
    return (target[completion.method] as (...args: unknown[]) => unknown).call(target, response, ...rest.with(-1, told));
  };
  return new Proxy(target, {
    get: (_, member) => {
      if (member === completion.method) return complete;
      const value = target[member];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

// gRPC's codes after which the backend may have taken the response all the same: CANCELLED, UNKNOWN,
// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE.
const unconfirmed: ReadonlySet<unknown> = new Set([1, 2, 4, 13, 14]);

function deliveryOf(error: unknown): Delivery {
  if (error === null || error === undefined) return "accepted";
  const code = typeof error === "object" && "code" in error ? error.code : undefined;
  return code === undefined || unconfirmed.has(code) ? "unconfirmed" : "rejected";
}
