import type {
  ActivityRequest,
  ActivityResponse,
  HistoryEvent,
  OrchestratorRequest,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Activity, ActivityWorkItem, AnyWorkItem, Delivery, MiddlewareLogger, OrchestrationWorkItem, Orchestrator } from "../pipeline/index.ts";
import { missingFunctions, wrapMethod, type Members, type WorkerAdapter } from "./adapter.ts";
import type { PipelineHost } from "./host.ts";
import { failureOf, orchestrationTraceContextMessage, restoreTraceContext } from "./messages.ts";
import { quietClient } from "./quiet-client.ts";
import {
  grpcClientInternals,
  grpcWorkerInternals,
  lostInternals,
  registryInternals,
  reportLost,
  stubInternals,
  type SdkInternal,
} from "./sdk-internals.ts";
import { activityWorkItem, episodeResponse, orchestrationWorkItem } from "./work-items.ts";

/** The names that a fork of the SDK gives to what the adapter uses of its gRPC worker; see {@link grpcWorkerInternals}. */
export interface GrpcWorkerMembers {
  readonly kind: string;
  readonly orchestrator: string;
  readonly activity: string;
  readonly registry: string;
  readonly isRunning: string;
  readonly logger: string;
  readonly connect?: string;
  readonly history?: string;
}

/** The Durable Task SDK's own worker and its subclasses. */
export const taskHubGrpcWorker: WorkerAdapter = grpcWorkerAdapter({
  kind: "TaskHubGrpcWorker",
  orchestrator: grpcWorkerInternals.orchestrator.name,
  activity: grpcWorkerInternals.activity.name,
  registry: grpcWorkerInternals.registry.name,
  isRunning: grpcWorkerInternals.isRunning.name,
  logger: grpcWorkerInternals.logger.name,
  connect: grpcWorkerInternals.connect.name,
  history: grpcWorkerInternals.history.name,
});

/**
 * An adapter for a worker that talks to a task hub over gRPC. Both its streaming loop and its host entry
 * `processOrchestratorRequest` go through the two methods that are wrapped here. Their arguments are found by what they
 * are, not by where they stand: releases add some.
 */
export function grpcWorkerAdapter(names: GrpcWorkerMembers): WorkerAdapter {
  const { connect, history, ...fields } = names;
  // Their absence shows when the worker is made; that of the others, when they are needed.
  const optional = [
    { ...grpcWorkerInternals.isRunning, name: fields.isRunning },
    { ...grpcWorkerInternals.logger, name: fields.logger },
    ...(connect === undefined ? [] : [{ ...grpcWorkerInternals.connect, name: connect }]),
  ];
  return {
    kind: names.kind,
    recognizes: (worker) => names.registry in worker || names.orchestrator in worker,
    missing: (worker) => [
      ...missingFunctions(worker, [names.orchestrator, names.activity, "start", "stop"]),
      ...missingFunctions((worker as Members)[names.registry], registryMethods, `${names.registry}.`),
    ],
    lost: (worker) => lostInternals(worker, optional),
    isRunning: (worker) => (worker as Members)[names.isRunning] === true,
    logger: (worker) => (worker as Members)[names.logger] as MiddlewareLogger | undefined,
    attach: (worker, host) => {
      wrapMethod<[OrchestratorRequest, ...unknown[]], Promise<void>>(worker, names.orchestrator, (original) =>
        (request, ...rest) => {
          if (host.isIdle) return original(request, ...rest);
          const run = (): Promise<void> => {
            const item = episodeOf(request, host);
            if (item === undefined) return original(request, ...rest);
            return runObserved(item, orchestrationCompletion(item), host, rest, (...args) => original(request, ...args));
          };
          const hydration = hydrate(worker, history, request, rest, host);
          return hydration === undefined ? run() : hydration.then(run);
        },
      );
      wrapMethod<[ActivityRequest, ...unknown[]], Promise<void>>(worker, names.activity, (original) =>
        (request, ...rest) => {
          if (host.isIdle) return original(request, ...rest);
          const item = activityWorkItem(request, host);
          return runObserved(item, activityCompletion(item), host, rest, (...args) => original(request, ...args));
        },
      );
      if (connect !== undefined && missingFunctions(worker, [connect]).length === 0) {
        wrapMethod<[object, ...unknown[]], Promise<void>>(worker, connect, (original) => (client, ...rest) => {
          if (host.isIdle) return original(client, ...rest);
          reportLost(host.report, "The gRPC client of the worker", lostInternals(client, Object.values(grpcClientInternals)));
          return original(quietClient(client, grpcClientInternals.stub.name), ...rest);
        });
      }
      attachToRegistry((worker as Members)[names.registry] as object, host);
    },
  };
}

/** The methods of a registry that must be there. */
export const registryMethods: readonly string[] = Object.values(registryInternals).map(({ name }) => name);

/** Has the registry hand out functions that run under the pipeline; so it makes no difference what is registered first (R3). */
export function attachToRegistry(registry: object, host: PipelineHost): void {
  wrapMethod<unknown[], Orchestrator | undefined>(registry, registryInternals.getOrchestrator.name, (original) => (...args) => {
    const orchestrator = original(...args);
    return orchestrator && host.orchestrator(orchestrator);
  });
  wrapMethod<unknown[], Activity | undefined>(registry, registryInternals.getActivity.name, (original) => (...args) => {
    const activity = original(...args);
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

/**
 * Where the history comes as a stream, the worker fetches it while it runs the episode; middleware needs it before that.
 * So it is fetched here, with the worker's own method, and put into the request. If that fails, the request stays as it
 * is: the worker fetches again, and does as it does without middleware.
 */
function hydrate(
  worker: object,
  method: string | undefined,
  request: OrchestratorRequest,
  rest: readonly unknown[],
  host: PipelineHost,
): Promise<void> | undefined {
  if (method === undefined || !request.getRequireshistorystreaming()) return undefined;
  if (missingFunctions(worker, [method]).length > 0) {
    reportLost(host.report, "A worker whose histories come as a stream", [{ ...grpcWorkerInternals.history, name: method }]);
    return undefined;
  }
  const fetch = (worker as Record<string, (...args: unknown[]) => Promise<HistoryEvent[]>>)[method];
  const stub = rest.find((each) => isStub(each, stubInternals.completeOrchestrator));
  const signal = rest.find((each) => each instanceof AbortSignal);
  return (async () => {
    try {
      const events = (await fetch?.call(worker, request, stub, signal)) ?? [];
      if (![...events, ...request.getNeweventsList()].some((event) => event.hasExecutionstarted())) return;
      request.setPasteventsList(events);
      request.setRequireshistorystreaming(false);
    } catch {
      // The worker meets the same error, and reports it.
    }
  })();
}

/** How a work item's response is sent: the stub's method, and what it says. */
interface Completion {
  readonly method: SdkInternal;
  respond(response: object): void;
}

function orchestrationCompletion(item: OrchestrationWorkItem): Completion {
  return {
    method: stubInternals.completeOrchestrator,
    respond(response: OrchestratorResponse) {
      const actions = response.getActionsList();
      // With its own spans silenced the SDK writes an identity of zeros.
      if (/^0*$/.test(response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "")) {
        response.setOrchestrationtracecontext(undefined);
      }
      restoreTraceContext(actions, item.facts.traceContext);
      item.respond(
        episodeResponse(item, actions, (spanId, startTime) =>
          response.setOrchestrationtracecontext(orchestrationTraceContextMessage(response, spanId, startTime)),
        ),
      );
    },
  };
}

function activityCompletion(item: ActivityWorkItem): Completion {
  return {
    method: stubInternals.completeActivity,
    respond(response: ActivityResponse) {
      item.respond({
        outcome: response.hasFailuredetails()
          ? { status: "failed", failure: failureOf(response.getFailuredetails()) }
          : { status: "completed" },
      });
    },
  };
}

/**
 * Runs a work item with a stub that shows the response before it leaves, and tells what became of it. A worker may send
 * a response several times until the backend takes it: it is one response, whose fate is known when one was taken or
 * the worker gives up.
 */
function runObserved(
  item: AnyWorkItem,
  completion: Completion,
  host: PipelineHost,
  args: readonly unknown[],
  execute: (...args: unknown[]) => Promise<void>,
): Promise<void> {
  const at = args.findIndex((each) => isStub(each, completion.method));
  const stub: unknown = args[at];
  if (typeof stub !== "object" || stub === null) {
    reportLost(host.report, "What runs work items", [completion.method]);
    return host.run(item, () => execute(...args));
  }
  const sending = new Sending(item);
  return host.run(item, () => {
    sending.running = execute(...args.with(at, observedStub(stub, completion, sending)));
    return sending.running;
  });
}

const isStub = (value: unknown, method: SdkInternal): boolean => missingFunctions(value, [method.name]).length === 0;

/** The fate of one response. */
class Sending {
  readonly #item: AnyWorkItem;
  #state: "not sent" | "sent" | "failed" | "acknowledged" = "not sent";
  #last: Delivery = "unconfirmed";
  #seen = false;
  #running: Promise<void> | undefined;

  constructor(item: AnyWorkItem) {
    this.#item = item;
  }

  /** What settles when the worker is done with the work item. */
  get running(): Promise<void> | undefined {
    return this.#running;
  }
  set running(running: Promise<void>) {
    this.#running = running;
    // With a second reaction V8 no longer follows a promise in the stacks of failures. Those of an episode are durable
    // (D3), and a host's call is in them: so it gets the reaction when an attempt has failed, after all code has run.
    if (this.#item.kind === "activity" || this.#state === "failed") this.#endWith(running);
  }

  /** The response leaves. Tells whether for the first time. */
  start(): boolean {
    if (this.#state === "not sent") this.#state = "sent";
    const first = !this.#seen;
    this.#seen = true;
    return first;
  }

  /** It could not be sent, as the connection is closed say. */
  refused(): void {
    if (this.#state === "sent") this.#state = "not sent";
  }

  /** One attempt ended. After an unconfirmed one there may be more. */
  attempted(delivery: Delivery): void {
    this.#last = delivery;
    if (delivery !== "unconfirmed") return this.#end();
    if (this.#state !== "sent") return;
    this.#state = "failed";
    if (this.#item.kind === "orchestration" && this.#running !== undefined) this.#endWith(this.#running);
  }

  #endWith(running: Promise<void>): void {
    const end = (): void => this.#end();
    running.then(end, end);
  }

  #end(): void {
    if (this.#state === "acknowledged" || this.#state === "not sent") return;
    this.#state = "acknowledged";
    this.#item.delivered(this.#last);
  }
}

type Callback = (error: unknown, ...results: unknown[]) => void;

// All else goes to the real stub, on whose own `this` its methods rely.
function observedStub(stub: object, completion: Completion, sending: Sending): unknown {
  const target = stub as Record<PropertyKey, unknown>;
  const { method } = completion;
  const complete = (response: object, ...rest: unknown[]): unknown => {
    if (sending.start()) completion.respond(response);
    const observed = rest.map((each) => (typeof each === "function" ? observedCallback(each as Callback, sending) : each));
    try {
      return (target[method.name] as (...args: unknown[]) => unknown).call(target, response, ...observed);
    } catch (error) {
      sending.refused();
      throw error;
    }
  };
  return new Proxy(target, {
    get: (_, member) => {
      if (member === method.name) return complete;
      const value = target[member];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function observedCallback(callback: Callback, sending: Sending): Callback {
  return (error, ...results) => {
    sending.attempted(deliveryOf(error));
    callback(error, ...results);
  };
}

// gRPC's codes after which the backend may have taken the response all the same: CANCELLED, UNKNOWN,
// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE.
const unconfirmed: ReadonlySet<unknown> = new Set([1, 2, 4, 13, 14]);

function deliveryOf(error: unknown): Delivery {
  if (error === null || error === undefined) return "accepted";
  const code = typeof error === "object" && "code" in error ? error.code : undefined;
  return code === undefined || unconfirmed.has(code) ? "unconfirmed" : "rejected";
}
