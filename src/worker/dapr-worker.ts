import { currentWorkItem, type Activity, type Orchestrator, type TraceContext } from "../pipeline/index.ts";
import { bitsOf, executionIds, formatTraceContext, parseTraceContext, taskSpanId } from "../telemetry/identity.ts";
import type { WorkerAdapter } from "./adapter.ts";
import { eventType } from "./history.ts";
import { attachToRegistry, grpcWorkerAdapter, RequestedEpisode } from "./grpc-worker.ts";
import type { PipelineHost } from "./host.ts";
import { wrapMethod, type Members } from "./members.ts";
import type {
  ActivityRequest,
  ExecutionStartedEvent,
  HistoryEvent,
  OrchestratorAction,
  OrchestratorResponse,
} from "./protocol.ts";
import { quietClient } from "./quiet-client.ts";
import {
  daprContextInternals,
  daprRuntimeInternals,
  daprWorkerInternals,
  grpcClientInternals,
  grpcWorkerInternals,
  lostInternals,
  reportLost,
  registryInternals,
  stubInternals,
} from "./sdk-internals.ts";
import { daprDurableTaskSdk, daprSdk } from "./sdk-version.ts";
import { contentOf, field, fieldsOf } from "./wire.ts";
import { ProtoActivity, ProtoEpisode, ProtoEpisodeResponse, type Thrown } from "./work-items.ts";

/**
 * The worker of Dapr Workflow: the one in a `WorkflowRuntime` of `@dapr/dapr`, and `TaskHubGrpcWorker` of
 * `@dapr/durabletask-js`. Their protobuf classes know no trace contexts, and drop those that Dapr sends. So trace
 * contexts are read from the bytes, and travel as follows:
 *
 * - The field of an execution's trace context is another one in the SDK's classes, of compatible content.
 * - What Dapr hands to activities and sub-orchestrations names the same span for all of them, and what an action has is
 *   dropped. A sub-orchestration knows its parent's execution, from which its span follows. An activity does not: its
 *   trace context travels as the ID of the task's execution, which Dapr hands on as it is and the SDK leaves empty.
 * - Where Dapr makes spans itself, an execution and an activity get those of its spans of them.
 */
const adapter: WorkerAdapter = grpcWorkerAdapter(
  {
    kind: "WorkflowRuntime",
    orchestrator: daprWorkerInternals.orchestrator.name,
    activity: daprWorkerInternals.activity.name,
    registry: grpcWorkerInternals.registry.name,
    isRunning: grpcWorkerInternals.isRunning.name,
    logger: daprWorkerInternals.logger.name,
    connect: grpcWorkerInternals.connect.name,
  },
  {
    sdks: [daprSdk, daprDurableTaskSdk],
    protocol: "dapr",
    includes: (worker) =>
      daprWorkerInternals.orchestrator.name in worker &&
      !(grpcWorkerInternals.orchestrator.name in worker) &&
      !(grpcWorkerInternals.logger.name in worker),
    episode: (request) => new DaprEpisodeRequest(request),
    activity: (request, host) => new DaprActivity(request, host),
    episodeResponse,
    client: observedClient,
    attachToRegistry: attachRemembering,
  },
);

/** See above. */
export const daprWorker: WorkerAdapter = {
  ...adapter,
  // Not every one of these SDKs has a logger.
  lost: (worker) => lostInternals(worker, [grpcWorkerInternals.isRunning, grpcWorkerInternals.connect]),
};

/** The worker that a `WorkflowRuntime` has; what is none is returned as it is. */
export function workerIn<T>(candidate: T): object | T {
  if (typeof candidate !== "object" || candidate === null || !(daprRuntimeInternals.worker.name in candidate))
    return candidate;
  const worker = (candidate as Members)[daprRuntimeInternals.worker.name];
  return typeof worker === "object" && worker !== null && daprWorker.recognizes(worker) ? worker : candidate;
}

class DaprEpisodeRequest extends RequestedEpisode {
  traceContext(started: ExecutionStartedEvent): TraceContext | undefined {
    const traceparent = correlationOf(started);
    const context = traceparent === undefined ? undefined : parseTraceContext({ traceparent });
    if (traceparent === undefined || context === undefined) return undefined;
    if (continuesAsNew(this)) return { traceparent, startsTrace: true };
    const parent = started.getParentinstance();
    const instance = parent?.getOrchestrationinstance();
    const execution = instance?.getExecutionid()?.getValue();
    if (parent === undefined || instance === undefined || execution === undefined) return { traceparent };
    const { spanId } = executionIds({ instanceId: instance.getInstanceid(), execution });
    return formatTraceContext({ ...context, spanId: taskSpanId(bitsOf(spanId), parent.getTaskscheduledid()) });
  }

  backendSpanId(started: ExecutionStartedEvent): string | undefined {
    const traceparent = correlationOf(started);
    const spanId = traceparent === undefined ? undefined : workflowSpanId(this.request);
    // Without its own tracing, it has the span that the trace context names.
    return spanId !== undefined && traceparent?.includes(`-${spanId}-`) === true ? undefined : spanId;
  }
}

// Field 7 of the event: a StringValue in the SDK's classes, a TraceContext in Dapr's. In both, field 1 is a string.
function correlationOf(started: ExecutionStartedEvent): string | undefined {
  const read = (started as unknown as Record<string, (() => { getValue(): string } | undefined) | undefined>)[
    daprWorkerInternals.correlation.name
  ];
  return read?.call(started)?.getValue();
}

// In field 8 of the event that starts an execution, the first or second of its history, which the SDK's classes lack.
function workflowSpanId(request: object): string | undefined {
  const bytes = workItemBytes.get(request);
  if (bytes === undefined) return undefined;
  try {
    let started: Uint8Array | undefined;
    fieldsOf(contentOf(bytes, orchestratorRequestOfWorkItem) ?? bytes, ({ number, value }) => {
      if ((number === pastEventOfRequest || number === newEventOfRequest) && value instanceof Uint8Array)
        started = contentOf(value, eventType.executionStarted);
      return started !== undefined;
    });
    const id = contentOf(contentOf(started, workflowSpanIdOfStart), 1);
    return id && Buffer.from(id).toString();
  } catch {
    return undefined; // The SDK has decoded it.
  }
}

/**
 * Whether the execution continues another. Dapr makes up a trace context for it, whose span nobody emits. What tells is
 * the history: the engine writes the start of the episode before that of the execution, while the start of any other
 * execution is older than its first episode.
 */
function continuesAsNew({ past, fresh }: RequestedEpisode): boolean {
  const first = past.length > 0 ? past : fresh;
  const episode = first.find((event) => event.hasOrchestratorstarted());
  const execution = first.find((event) => event.hasExecutionstarted());
  return episode !== undefined && execution !== undefined && !isBefore(execution, episode);
}

function isBefore(one: HistoryEvent, other: HistoryEvent): boolean {
  const [a, b] = [one.getTimestamp(), other.getTimestamp()];
  if (a === undefined || b === undefined) return true;
  return a.getSeconds() === b.getSeconds() ? a.getNanos() < b.getNanos() : a.getSeconds() < b.getSeconds();
}

class DaprActivity extends ProtoActivity {
  readonly #message: ActivityRequest;

  constructor(request: ActivityRequest, host: PipelineHost) {
    super(request, host);
    this.#message = request;
  }

  override get traceContext(): TraceContext | undefined {
    return sentContexts.get(this.#message);
  }
}

// The numbers of the fields that the SDK's classes lack.
const orchestratorRequestOfWorkItem = 1;
const pastEventOfRequest = 3;
const newEventOfRequest = 4;
const workflowSpanIdOfStart = 8;
const activityRequestOfWorkItem = 2;
const traceContextOfRequest = 6;
const taskExecutionIdOfRequest = 7;
const actionOfResponse = 2;
const idOfAction = 1;
const scheduleTaskOfAction = 2;
const taskExecutionIdOfScheduleTask = 5;

// By the request as the SDK has decoded it.
const sentContexts = new WeakMap<object, TraceContext>();
const workItemBytes = new WeakMap<object, Uint8Array>();

// @dapr/durabletask-js connects again with the client that it was given.
const observed = new WeakSet<object>();

function observedClient(client: object): object {
  if (observed.has(client)) return client;
  const own = quietClient(readingClient(client), grpcClientInternals.stub.name);
  observed.add(own);
  return own;
}

/** A client whose stream of work items keeps what the SDK's classes drop. */
function readingClient(client: object): object {
  const stub: unknown = Reflect.get(client, grpcClientInternals.stub.name);
  if (typeof stub !== "object" || stub === null) return client;
  const method: unknown = Reflect.get(stub, stubInternals.getWorkItems.name);
  const open: unknown = Reflect.get(stub, "makeServerStreamRequest");
  if (typeof method !== "function" || typeof open !== "function" || !isDefinition(method)) return client;
  const { path, requestSerialize, responseDeserialize } = method;
  const decode = (bytes: Uint8Array): WorkItemMessage => {
    const item = responseDeserialize(bytes);
    keepTraceContext(item, bytes);
    return item;
  };
  const getWorkItems = (...args: unknown[]): unknown =>
    Reflect.apply(open, stub, [path, requestSerialize, decode, ...args]);
  const reading = Object.create(stub, {
    [stubInternals.getWorkItems.name]: { value: getWorkItems, configurable: true },
  }) as object;
  return Object.create(client, { [grpcClientInternals.stub.name]: { value: reading } }) as object;
}

interface WorkItemMessage {
  getActivityrequest(): object | undefined;
  getOrchestratorrequest(): object | undefined;
}

/** What gRPC's generated methods have. */
interface Definition {
  readonly path: string;
  readonly requestSerialize: unknown;
  readonly responseDeserialize: (bytes: Uint8Array) => WorkItemMessage;
}

function isDefinition(method: object): method is Definition {
  const { path, requestSerialize, responseDeserialize } = method as Members;
  return (
    typeof path === "string" && typeof requestSerialize === "function" && typeof responseDeserialize === "function"
  );
}

function keepTraceContext(item: WorkItemMessage, bytes: Uint8Array): void {
  const episode = item.getOrchestratorrequest();
  if (episode !== undefined) workItemBytes.set(episode, bytes);
  const request = item.getActivityrequest();
  if (request === undefined) return;
  try {
    const message = contentOf(bytes, activityRequestOfWorkItem);
    const id = Buffer.from(contentOf(message, taskExecutionIdOfRequest) ?? []).toString();
    // Another worker's ID is none, and what Dapr itself sends is all that is known of the parent then.
    const isOfRun = !id.startsWith(carrierPrefix);
    const traceparent = isOfRun
      ? Buffer.from(contentOf(contentOf(message, traceContextOfRequest), 1) ?? []).toString()
      : id.slice(carrierPrefix.length);
    if (parseTraceContext({ traceparent }) !== undefined) sentContexts.set(request, { traceparent, isOfRun });
  } catch {
    // The SDK has decoded it.
  }
}

// The field of that ID holds a message in the Durable Task protocol, for which a bare string would be malformed. With these
// two characters it is one, with an unknown field (number 6) of 55 bytes, as long as a trace context is.
const carrierPrefix = "27";

/** The response has no place for the identity of a span; trace contexts of activities leave with its bytes. */
function episodeResponse(item: ProtoEpisode, response: OrchestratorResponse): ProtoEpisodeResponse {
  const contexts = new Map<number, string>();
  const carry = (action: OrchestratorAction, { traceparent }: TraceContext): void => {
    if (!action.hasScheduletask()) return;
    if (contexts.size === 0) {
      wrapMethod<[], Uint8Array>(
        response,
        "serializeBinary",
        (serialize) => () => withTaskExecutionIds(serialize(), contexts),
      );
    }
    contexts.set(action.getId(), carrierPrefix + traceparent);
  };
  return new ProtoEpisodeResponse(item, response.getActionsList(), { carry });
}

function withTaskExecutionIds(response: Uint8Array, ids: ReadonlyMap<number, string>): Uint8Array {
  return edited(response, actionOfResponse, (action) => {
    const id = fieldsOf(action).find(({ number }) => number === idOfAction)?.value;
    const sent = typeof id === "number" ? ids.get(id) : undefined;
    if (sent === undefined) return action;
    return edited(action, scheduleTaskOfAction, (task) =>
      Buffer.concat([task, field(taskExecutionIdOfScheduleTask, sent)]),
    );
  });
}

// `message` with other contents of the fields of that number.
function edited(message: Uint8Array, number: number, edit: (content: Uint8Array) => Uint8Array): Uint8Array {
  const fields = fieldsOf(message).map((each) => {
    if (each.number !== number || !(each.value instanceof Uint8Array)) return each.bytes;
    const content = edit(each.value);
    return content === each.value ? each.bytes : field(number, content);
  });
  return Buffer.concat(fields);
}

/**
 * Has the registry hand out functions that run under the pipeline, and remembers what they throw that is no error: the SDK
 * records the `message` of whatever was thrown, which a string does not have.
 */
function attachRemembering(registry: object, host: PipelineHost): void {
  attachToRegistry(registry, host);
  wrapMethod<unknown[], Orchestrator | undefined>(
    registry,
    registryInternals.getOrchestrator.name,
    (original) =>
      (...args) => {
        const orchestrator = original(...args);
        const item = currentWorkItem();
        if (orchestrator === undefined || !(item instanceof ProtoEpisode)) return orchestrator;
        return (ctx, input) => {
          const lost = lostInternals(ctx, [daprContextInternals.fail]);
          if (lost.length > 0) reportLost(host, "The context of an orchestration", lost);
          else {
            wrapMethod<[unknown], void>(ctx, daprContextInternals.fail.name, (fail) => (error) => {
              item.thrown = thrown(error);
              fail(error);
            });
          }
          return orchestrator(ctx, input);
        };
      },
  );
  wrapMethod<unknown[], Activity | undefined>(registry, registryInternals.getActivity.name, (original) => (...args) => {
    const activity = original(...args);
    const item = currentWorkItem();
    if (activity === undefined || !(item instanceof ProtoActivity)) return activity;
    const remember = (error: unknown): void => {
      item.thrown = thrown(error);
    };
    return (ctx, input) => {
      try {
        const result: unknown = activity(ctx, input);
        // A reaction of its own: the promise stays the SDK's to wait for.
        if (result instanceof Promise) result.then(undefined, remember);
        return result;
      } catch (error) {
        remember(error);
        throw error;
      }
    };
  });
}

function thrown(error: unknown): Thrown | undefined {
  switch (typeof error) {
    case "string":
      return { message: error };
    case "number":
    case "bigint":
    case "boolean":
    case "symbol":
      return { message: String(error) };
    default:
      return undefined;
  }
}
