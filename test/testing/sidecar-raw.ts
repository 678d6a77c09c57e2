import { once } from "node:events";
import grpc from "@grpc/grpc-js";
import services, {
  type TaskHubSidecarServiceClient,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import type { LocalSidecar } from "../../src/testing/sidecar/index.ts";

type Callback<Response> = (error: grpc.ServiceError | null, response: Response) => void;

export const text = (value: string): wrappers.StringValue => new wrappers.StringValue().setValue(value);

export function timestamp(at: Date): timestamps.Timestamp {
  const message = new timestamps.Timestamp();
  message.fromDate(at);
  return message;
}

export const traceContext = (traceparent: string): pb.TraceContext => new pb.TraceContext().setTraceparent(traceparent);

/** The type of each event: `["orchestratorstarted", "executionstarted"]`. */
export function kinds(events: readonly pb.HistoryEvent[]): string[] {
  const names = Object.entries(pb.HistoryEvent.EventtypeCase);
  return events.map((event) => names.find(([, type]) => type === event.getEventtypeCase())?.[0].toLowerCase() ?? "?");
}

/** Makes a call that the SDK's client doesn't offer, or not with all fields. */
export class RawClient {
  readonly stub: TaskHubSidecarServiceClient;

  constructor({ address }: LocalSidecar) {
    this.stub = new services.TaskHubSidecarServiceClient(address, grpc.credentials.createInsecure());
  }

  /** @param make - Starts the call, with the callback it is given. */
  call<Response>(
    make: (stub: TaskHubSidecarServiceClient, callback: Callback<Response>) => unknown,
  ): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    make(this.stub, (error, response) => (error === null ? resolve(response) : reject(error)));
    return promise;
  }

  async start(name: string, fill?: (request: pb.CreateInstanceRequest) => unknown): Promise<string> {
    const request = new pb.CreateInstanceRequest().setName(name);
    fill?.(request);
    const response = await this.call<pb.CreateInstanceResponse>((stub, done) => stub.startInstance(request, done));
    return response.getInstanceid();
  }

  signal(
    entity: string,
    operation: string,
    fill?: (request: pb.SignalEntityRequest) => unknown,
  ): Promise<pb.SignalEntityResponse> {
    const request = new pb.SignalEntityRequest().setInstanceid(entity).setName(operation).setRequestid(operation);
    fill?.(request);
    return this.call((stub, done) => stub.signalEntity(request, done));
  }

  async state(instanceId: string): Promise<pb.OrchestrationState | undefined> {
    const request = new pb.GetInstanceRequest().setInstanceid(instanceId).setGetinputsandoutputs(true);
    const response = await this.call<pb.GetInstanceResponse>((stub, done) => stub.getInstance(request, done));
    return response.getOrchestrationstate();
  }

  raise(instanceId: string, name: string, input = "null"): Promise<pb.RaiseEventResponse> {
    const request = new pb.RaiseEventRequest().setInstanceid(instanceId).setName(name).setInput(text(input));
    return this.call((stub, done) => stub.raiseEvent(request, done));
  }

  close(): void {
    this.stub.close();
  }
}

export interface Episode {
  readonly request: pb.OrchestratorRequest;
  readonly token: string;
  readonly past: string[];
  readonly events: string[];
}

export interface Batch {
  readonly request: pb.EntityBatchRequest;
  readonly token: string;
  /** Their names, in order. */
  readonly operations: string[];
}

/** A worker that does nothing by itself: the test takes each work item and answers it. */
export class RawWorker extends RawClient {
  readonly stream: grpc.ClientReadableStream<pb.WorkItem>;
  readonly received: pb.WorkItem[] = [];
  readonly #unread: pb.WorkItem[] = [];
  #arrived = Promise.withResolvers<void>();

  private constructor(sidecar: LocalSidecar, request: pb.GetWorkItemsRequest) {
    super(sidecar);
    this.stream = this.stub.getWorkItems(request);
    this.stream.on("error", () => undefined);
    this.stream.on("data", (item: pb.WorkItem) => {
      this.received.push(item);
      this.#unread.push(item);
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    });
  }

  /** @returns Resolves when the sidecar knows the worker. */
  static async connect(sidecar: LocalSidecar, request?: pb.GetWorkItemsRequest): Promise<RawWorker> {
    const worker = new RawWorker(sidecar, request ?? new pb.GetWorkItemsRequest());
    await once(worker.stream, "metadata");
    return worker;
  }

  async next(): Promise<pb.WorkItem> {
    for (;;) {
      const item = this.#unread.shift();
      if (item !== undefined) return item;
      await this.#arrived.promise;
    }
  }

  async episode(): Promise<Episode> {
    const item = await this.next();
    const request = item.getOrchestratorrequest();
    if (request === undefined) throw new Error("This work item is no orchestration.");
    const past = kinds(request.getPasteventsList());
    return { request, token: item.getCompletiontoken(), past, events: kinds(request.getNeweventsList()) };
  }

  async activity(): Promise<{ request: pb.ActivityRequest; token: string }> {
    const item = await this.next();
    const request = item.getActivityrequest();
    if (request === undefined) throw new Error("This work item is no activity.");
    return { request, token: item.getCompletiontoken() };
  }

  async batch(): Promise<Batch> {
    const item = await this.next();
    const request = item.getEntityrequest();
    if (request === undefined) throw new Error("This work item is no entity.");
    const operations = request.getOperationsList().map((operation) => operation.getOperation());
    return { request, token: item.getCompletiontoken(), operations };
  }

  answer(
    { request, token }: Pick<Episode, "request" | "token">,
    actions: pb.OrchestratorAction[],
    fill?: (response: pb.OrchestratorResponse) => unknown,
  ): Promise<pb.CompleteTaskResponse> {
    const response = new pb.OrchestratorResponse()
      .setInstanceid(request.getInstanceid())
      .setCompletiontoken(token)
      .setActionsList(actions);
    fill?.(response);
    return this.call((stub, done) => stub.completeOrchestratorTask(response, done));
  }

  complete(
    { request, token }: { request: pb.ActivityRequest; token: string },
    result = "null",
  ): Promise<pb.CompleteTaskResponse> {
    const response = new pb.ActivityResponse()
      .setInstanceid(request.getOrchestrationinstance()?.getInstanceid() ?? "")
      .setTaskid(request.getTaskid())
      .setCompletiontoken(token)
      .setResult(text(result));
    return this.call((stub, done) => stub.completeActivityTask(response, done));
  }

  /** Answers a batch: each operation succeeds without a result, unless `fill` says otherwise. */
  completeBatch(
    { operations, token }: Batch,
    state: string | undefined,
    fill?: (result: pb.EntityBatchResult) => unknown,
  ): Promise<pb.CompleteTaskResponse> {
    const result = new pb.EntityBatchResult()
      .setCompletiontoken(token)
      .setEntitystate(state === undefined ? undefined : text(state))
      .setResultsList(operations.map(() => new pb.OperationResult().setSuccess(new pb.OperationResultSuccess())));
    fill?.(result);
    return this.call((stub, done) => stub.completeEntityTask(result, done));
  }

  override close(): void {
    this.stream.cancel();
    super.close();
  }
}

/** Actions of an orchestrator. */
export const act = {
  schedule: (id: number, name: string, fill?: (action: pb.ScheduleTaskAction) => unknown): pb.OrchestratorAction => {
    const action = new pb.ScheduleTaskAction().setName(name);
    fill?.(action);
    return new pb.OrchestratorAction().setId(id).setScheduletask(action);
  },
  timer: (id: number, at: Date): pb.OrchestratorAction =>
    new pb.OrchestratorAction().setId(id).setCreatetimer(new pb.CreateTimerAction().setFireat(timestamp(at))),
  child: (
    id: number,
    name: string,
    fill?: (action: pb.CreateSubOrchestrationAction) => unknown,
  ): pb.OrchestratorAction => {
    const action = new pb.CreateSubOrchestrationAction().setName(name);
    fill?.(action);
    return new pb.OrchestratorAction().setId(id).setCreatesuborchestration(action);
  },
  callEntity: (id: number, entity: string, operation: string, requestId = `call ${id}`): pb.OrchestratorAction => {
    const called = new pb.EntityOperationCalledEvent()
      .setRequestid(requestId)
      .setOperation(operation)
      .setInput(text("1"))
      .setParentinstanceid(text("caller"))
      .setParentexecutionid(text("execution"))
      .setTargetinstanceid(text(entity));
    return act.sendToEntity(id, (message) => message.setEntityoperationcalled(called));
  },
  signalEntity: (id: number, entity: string, operation: string, at?: Date): pb.OrchestratorAction => {
    const signaled = new pb.EntityOperationSignaledEvent()
      .setRequestid(`signal ${id}`)
      .setOperation(operation)
      .setInput(text("1"))
      .setScheduledtime(at === undefined ? undefined : timestamp(at))
      .setTargetinstanceid(text(entity));
    return act.sendToEntity(id, (message) => message.setEntityoperationsignaled(signaled));
  },
  lock: (id: number, section: string, entities: string[]): pb.OrchestratorAction => {
    const requested = new pb.EntityLockRequestedEvent()
      .setCriticalsectionid(section)
      .setLocksetList(entities)
      .setParentinstanceid(text("caller"));
    return act.sendToEntity(id, (message) => message.setEntitylockrequested(requested));
  },
  unlock: (id: number, section: string, entity: string): pb.OrchestratorAction => {
    const unlocked = new pb.EntityUnlockSentEvent()
      .setCriticalsectionid(section)
      .setParentinstanceid(text("caller"))
      .setTargetinstanceid(text(entity));
    return act.sendToEntity(id, (message) => message.setEntityunlocksent(unlocked));
  },
  sendToEntity: (id: number, fill: (message: pb.SendEntityMessageAction) => unknown): pb.OrchestratorAction => {
    const message = new pb.SendEntityMessageAction();
    fill(message);
    return new pb.OrchestratorAction().setId(id).setSendentitymessage(message);
  },
  finish: (
    id: number,
    status: pb.OrchestrationStatus,
    fill?: (action: pb.CompleteOrchestrationAction) => unknown,
  ): pb.OrchestratorAction => {
    const action = new pb.CompleteOrchestrationAction().setOrchestrationstatus(status);
    fill?.(action);
    return new pb.OrchestratorAction().setId(id).setCompleteorchestration(action);
  },
  complete: (id: number, result = "null"): pb.OrchestratorAction =>
    act.finish(id, pb.OrchestrationStatus.ORCHESTRATION_STATUS_COMPLETED, (action) => action.setResult(text(result))),
  continueAsNew: (
    id: number,
    input: string,
    fill?: (action: pb.CompleteOrchestrationAction) => unknown,
  ): pb.OrchestratorAction =>
    act.finish(id, pb.OrchestrationStatus.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, (action) => {
      action.setResult(text(input));
      fill?.(action);
    }),
};
