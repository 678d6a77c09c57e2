import type { HistoryEvent as FetchedEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Acknowledgement, Activity, MiddlewareLogger, Orchestrator } from "../pipeline/index.ts";
import { afterSlices } from "../telemetry/slices.ts";
import type { WorkerAdapter } from "./adapter.ts";
import type { PipelineHost } from "./host.ts";
import { missingFunctions, wrapMethod, type Members } from "./members.ts";
import type { Protocol } from "./protocol-clash.ts";
import { restoreTraceContext } from "./messages.ts";
import type {
  ActivityRequest,
  ActivityResponse,
  HistoryEvent,
  OrchestrationTraceContext,
  OrchestratorRequest,
  OrchestratorResponse,
} from "./protocol.ts";
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
import { durableTaskSdk, type SupportedSdk } from "./sdk-version.ts";
import { Sending } from "./sending.ts";
import {
  ProtoActivity,
  ProtoActivityResponse,
  ProtoEpisode,
  ProtoEpisodeResponse,
  type EpisodeSource,
} from "./work-items.ts";

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

/** How the messages of a fork's protocol are read and written, where they differ from those of the Durable Task SDK. */
export interface GrpcDialect {
  /** What an SDK is called in errors, and the versions of it that the adapter supports. */
  readonly sdks: readonly SupportedSdk[];
  /** Which protobuf classes its SDK has. */
  readonly protocol: Protocol;
  /** Whether a worker that has the named members is of this kind. */
  includes?(worker: object): boolean;
  episode(request: OrchestratorRequest): EpisodeSource;
  activity(request: ActivityRequest, host: PipelineHost): ProtoActivity;
  episodeResponse(item: ProtoEpisode, response: OrchestratorResponse): ProtoEpisodeResponse;
  /** The client that the worker connects with. */
  client(client: object): object;
  attachToRegistry(registry: object, host: PipelineHost): void;
}

/** The Durable Task SDK's own protocol. */
export const durableTaskDialect: GrpcDialect = {
  sdks: [durableTaskSdk],
  protocol: "durable task",
  episode: (request) => new RequestedEpisode(request),
  activity: (request, host) => new ProtoActivity(request, host),
  episodeResponse: (item, response) => {
    const actions = response.getActionsList();
    // With its own spans silenced the SDK writes an identity of zeros.
    if (
      response.hasOrchestrationtracecontext() &&
      /^0*$/.test(response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "")
    ) {
      response.setOrchestrationtracecontext(undefined);
    }
    if (item.hasTakenTraceContexts) restoreTraceContext(actions, item.traceContext);
    return new ProtoEpisodeResponse(item, actions, { message: response });
  },
  client: (client) => quietClient(client, grpcClientInternals.stub.name),
  attachToRegistry,
};

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
export function grpcWorkerAdapter(names: GrpcWorkerMembers, dialect: GrpcDialect = durableTaskDialect): WorkerAdapter {
  const { connect, history, ...fields } = names;
  const episodeCompletion = episodeCompletionIn(dialect);
  // Missing members of these are reported when the worker is created; others when they are needed.
  const optional = [
    { ...grpcWorkerInternals.isRunning, name: fields.isRunning },
    { ...grpcWorkerInternals.logger, name: fields.logger },
    ...(connect === undefined ? [] : [{ ...grpcWorkerInternals.connect, name: connect }]),
  ];
  return {
    kind: names.kind,
    sdks: dialect.sdks,
    protocol: dialect.protocol,
    recognizes: (worker) =>
      (names.registry in worker || names.orchestrator in worker) && dialect.includes?.(worker) !== false,
    missing: (worker) => [
      ...missingFunctions(worker, [names.orchestrator, names.activity, "start", "stop"]),
      ...missingFunctions((worker as Members)[names.registry], registryMethods, `${names.registry}.`),
    ],
    lost: (worker) => lostInternals(worker, optional),
    isRunning: (worker) => (worker as Members)[names.isRunning] === true,
    logger: (worker) => (worker as Members)[names.logger] as MiddlewareLogger | undefined,
    attach: (worker, host) => {
      wrapMethod<[OrchestratorRequest, ...unknown[]], Promise<void>>(
        worker,
        names.orchestrator,
        (original) =>
          (request, ...rest) => {
            if (host.isIdle) return original(request, ...rest);
            const run = (): Promise<void> => {
              const item = ProtoEpisode.from(dialect.episode(request), host);
              if (item === undefined) return original(request, ...rest);
              return runObserved(item, episodeCompletion, host, rest, (...args) => original(request, ...args));
            };
            const hydration = hydrate(worker, history, request, rest, host);
            return hydration === undefined ? run() : hydration.then(run);
          },
      );
      wrapMethod<[ActivityRequest, ...unknown[]], Promise<void>>(
        worker,
        names.activity,
        (original) =>
          (request, ...rest) => {
            if (host.isIdle) return original(request, ...rest);
            const item = dialect.activity(request, host);
            return runObserved(item, activityCompletion, host, rest, (...args) => original(request, ...args));
          },
      );
      if (connect !== undefined && missingFunctions(worker, [connect]).length === 0) {
        wrapMethod<[object, ...unknown[]], Promise<void>>(worker, connect, (original) => (client, ...rest) => {
          if (host.isIdle) return original(client, ...rest);
          reportLost(host, "The gRPC client of the worker", lostInternals(client, Object.values(grpcClientInternals)));
          return original(dialect.client(client), ...rest);
        });
      }
      dialect.attachToRegistry((worker as Members)[names.registry] as object, host);
    },
  };
}

/** The methods of a registry that must be there. */
export const registryMethods: readonly string[] = Object.values(registryInternals).map(({ name }) => name);

/** Has the registry hand out functions that run under the pipeline; so it makes no difference what is registered first (R3). */
export function attachToRegistry(registry: object, host: PipelineHost): void {
  wrapMethod<unknown[], Orchestrator | undefined>(
    registry,
    registryInternals.getOrchestrator.name,
    (original) =>
      (...args) => {
        const orchestrator = original(...args);
        return orchestrator && host.orchestrator(orchestrator);
      },
  );
  wrapMethod<unknown[], Activity | undefined>(registry, registryInternals.getActivity.name, (original) => (...args) => {
    const activity = original(...args);
    return activity && host.activity(activity);
  });
}

/** What a request hands over of an episode. */
export class RequestedEpisode implements EpisodeSource {
  protected readonly request: OrchestratorRequest;

  constructor(request: OrchestratorRequest) {
    this.request = request;
  }

  get instanceId(): string {
    return this.request.getInstanceid();
  }
  get executionId(): string | undefined {
    return this.request.getExecutionid()?.getValue();
  }
  get past(): readonly HistoryEvent[] {
    return this.request.getPasteventsList();
  }
  get fresh(): readonly HistoryEvent[] {
    return this.request.getNeweventsList();
  }
  get persistedSpan(): OrchestrationTraceContext | undefined {
    return this.request.getOrchestrationtracecontext?.();
  }

  clearPersistedSpan(): void {
    this.request.setOrchestrationtracecontext?.(undefined);
  }
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
  if (method === undefined || request.getRequireshistorystreaming?.() !== true) return undefined;
  if (missingFunctions(worker, [method]).length > 0) {
    reportLost(host, "A worker whose histories come as a stream", [{ ...grpcWorkerInternals.history, name: method }]);
    return undefined;
  }
  const fetch = (worker as Record<string, (...args: unknown[]) => Promise<FetchedEvent[]>>)[method];
  const stub = rest.find((each) => isStub(each, stubInternals.completeOrchestrator));
  const signal = rest.find((each) => each instanceof AbortSignal);
  return (async () => {
    try {
      const events = (await fetch?.call(worker, request, stub, signal)) ?? [];
      if (![...events, ...request.getNeweventsList()].some((event) => event.hasExecutionstarted())) return;
      request.setPasteventsList(events);
      request.setRequireshistorystreaming?.(false);
    } catch {
      // The worker meets the same error, and reports it.
    }
  })();
}

/** How a response of one kind of work item is sent: the stub's method, and how the response is read. */
interface Completion<TResponse> {
  readonly method: SdkInternal;
  respond(item: Item, response: TResponse): void;
}

type Item = ProtoEpisode | ProtoActivity;

function episodeCompletionIn(dialect: GrpcDialect): Completion<OrchestratorResponse> {
  return {
    method: stubInternals.completeOrchestrator,
    respond(item, response) {
      if (item instanceof ProtoEpisode) item.respond(dialect.episodeResponse(item, response));
    },
  };
}

const activityCompletion: Completion<ActivityResponse> = {
  method: stubInternals.completeActivity,
  respond(item, response) {
    if (item instanceof ProtoActivity) item.respond(new ProtoActivityResponse(response, item.thrown));
  },
};

/** Runs a work item with a stub that shows the response before it leaves, and what becomes of it. */
function runObserved<TResponse extends object>(
  item: Item,
  completion: Completion<TResponse>,
  host: PipelineHost,
  args: readonly unknown[],
  execute: (...args: unknown[]) => Promise<void>,
): Promise<void> {
  const at = args.findIndex((each) => isStub(each, completion.method));
  const stub: unknown = args[at];
  if (typeof stub !== "object" || stub === null) {
    reportLost(host, "What runs work items", [completion.method]);
    return host.run(item, () => execute(...args));
  }
  const sending = new Sending(item);
  item.sending = sending;
  const observed = observedStub(stub as Stub, completion, item, sending);
  return host.run(item, () => {
    const running = execute(...args.with(at, observed));
    sending.running = running;
    return running;
  });
}

function isStub(value: unknown, { name }: SdkInternal): value is Stub {
  return typeof value === "object" && value !== null && typeof (value as Members)[name] === "function";
}

type Stub = Readonly<Record<PropertyKey, unknown>>;

// All else goes to the real stub, on whose own `this` its methods rely.
function observedStub<TResponse extends object>(
  stub: Stub,
  completion: Completion<TResponse>,
  item: Item,
  sending: Sending,
): Stub {
  const { name } = completion.method;
  const complete = (response: TResponse, ...rest: unknown[]): unknown => {
    if (sending.start()) completion.respond(item, response);
    const observed = rest.map((each) =>
      typeof each === "function" ? observedCallback(each as Callback, sending) : each,
    );
    if (item.kind === "activity") item.isResponding = true;
    try {
      return (stub[name] as (...args: unknown[]) => unknown).call(stub, response, ...observed);
    } catch (error) {
      sending.refused();
      throw error;
    } finally {
      if (item.kind === "activity") item.isResponding = false;
    }
  };
  return new Proxy(stub, {
    get: (_, member) => {
      if (member === name) return complete;
      const value = stub[member];
      return typeof value === "function" ? value.bind(stub) : value;
    },
  });
}

type Callback = (error: unknown, ...results: unknown[]) => void;

function observedCallback(callback: Callback, sending: Sending): Callback {
  return (error, ...results) => {
    // The work item is not over before its spans are recorded: a host may flush, and be frozen, right after it.
    afterSlices(
      () => sending.attempted(acknowledgementOf(error)),
      () => callback(error, ...results),
    );
  };
}

// gRPC's codes after which the backend may have taken the response all the same: CANCELLED, UNKNOWN,
// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE.
const unconfirmed: ReadonlySet<unknown> = new Set([1, 2, 4, 13, 14]);

function acknowledgementOf(error: unknown): Acknowledgement {
  if (error === null || error === undefined) return "accepted";
  const code = typeof error === "object" && "code" in error ? error.code : undefined;
  return code === undefined || unconfirmed.has(code) ? "unconfirmed" : "rejected";
}
