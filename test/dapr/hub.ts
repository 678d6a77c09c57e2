/**
 * A task hub over gRPC that does what `github.com/dapr/durabletask-go` 0.14 does, as measured: with the trace contexts of
 * executions and activities, and with those of actions dropped. It decodes nothing that it hands on. Timers fire at once.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { Server, ServerCredentials, type ServerWritableStream, type UntypedHandleCall } from "@grpc/grpc-js";
import pb from "@dapr/dapr/workflow/internal/durabletask/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { contentOf, field, fieldsOf } from "../../src/worker/wire.ts";

const text = (value: string | undefined): wrappers.StringValue | undefined =>
  value === undefined ? undefined : new wrappers.StringValue().setValue(value);

/** How an orchestration ended. */
export interface Ended {
  readonly status: pb.OrchestrationStatus;
  readonly result: string | undefined;
  readonly failure: { readonly type: string; readonly message: string } | undefined;
}

interface Instance {
  readonly id: string;
  readonly name: string;
  readonly parent: pb.ParentInstanceInfo | undefined;
  executionId: string;
  traceparent: string | undefined;
  past: pb.HistoryEvent[];
  fresh: pb.HistoryEvent[];
  running: pb.HistoryEvent[] | undefined;
  isOver: boolean;
  readonly ended: PromiseWithResolvers<Ended>;
}

/** The bytes of one work item or response, with what it is of. */
export interface Seen {
  readonly method: string;
  readonly bytes: Uint8Array;
}

/** A hub that listens, until it is disposed of. */
export class DaprHub implements AsyncDisposable {
  /** All that workers and clients have sent. */
  readonly received: Seen[] = [];
  /** Where given, each activity gets this ID of its execution, as from a hub that has another worker's action. */
  taskExecutionId: string | undefined;
  readonly #server = new Server();
  readonly #instances = new Map<string, Instance>();
  readonly #streams: ServerWritableStream<Uint8Array, Uint8Array>[] = [];
  readonly #waiting: Uint8Array[] = [];
  #next = 0;
  #clock = Date.now();
  port = 0;

  static async start(): Promise<DaprHub> {
    const hub = new DaprHub();
    hub.#server.addService(hub.#definition(), hub.#handlers());
    hub.port = await new Promise<number>((resolve, reject) => {
      hub.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    return hub;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }

  #definition(): Record<
    string,
    { path: string; requestStream: false; responseStream: boolean } & Record<
      "requestSerialize" | "requestDeserialize" | "responseSerialize" | "responseDeserialize",
      (bytes: Buffer) => Buffer
    >
  > {
    const same = (bytes: Buffer): Buffer => bytes;
    const method = (name: string) => ({
      path: `/TaskHubSidecarService/${name}`,
      requestStream: false as const,
      responseStream: name === "GetWorkItems",
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    });
    return Object.fromEntries([...Object.keys(this.#calls), "GetWorkItems"].map((name) => [name, method(name)]));
  }

  #handlers(): Record<string, UntypedHandleCall> {
    const unary = Object.entries(this.#calls).map(([name, answer]) => [
      name,
      (call: { request: Buffer }, callback: (error: Error | null, bytes?: Buffer) => void) => {
        this.received.push({ method: name, bytes: call.request });
        void (async () => callback(null, Buffer.from(await answer(call.request))))().catch(callback);
      },
    ]);
    const getWorkItems = (stream: ServerWritableStream<Uint8Array, Uint8Array>): void => {
      this.#streams.push(stream);
      stream.on("close", () => this.#streams.splice(this.#streams.indexOf(stream), 1));
      for (const item of this.#waiting.splice(0)) this.#send(item);
    };
    return Object.fromEntries([...unary, ["GetWorkItems", getWorkItems]]) as Record<string, UntypedHandleCall>;
  }

  readonly #calls: Readonly<Record<string, (request: Uint8Array) => Uint8Array | Promise<Uint8Array>>> = {
    Hello: () => new Uint8Array(),
    StartInstance: (bytes) => {
      const request = pb.CreateInstanceRequest.deserializeBinary(bytes);
      const context = Buffer.from(contentOf(contentOf(bytes, 9), 1) ?? []).toString();
      // The engine hands on what is sampled alone.
      const sampled = context.endsWith("-01") ? context : undefined;
      const id = request.getInstanceid();
      if (this.#instances.has(id)) throw new Error("instance exists already");
      this.#create(id, request.getName(), request.getInput()?.getValue(), sampled, undefined);
      return new pb.CreateInstanceResponse().setInstanceid(id).serializeBinary();
    },
    RaiseEvent: (bytes) => {
      const request = pb.RaiseEventRequest.deserializeBinary(bytes);
      const raised = new pb.EventRaisedEvent().setName(request.getName()).setInput(request.getInput());
      this.#deliver(request.getInstanceid(), this.#event(-1).setEventraised(raised));
      return new Uint8Array();
    },
    WaitForInstanceCompletion: async (bytes) => {
      const id = pb.GetInstanceRequest.deserializeBinary(bytes).getInstanceid();
      const { status, result, failure } = await this.ended(id);
      const details =
        failure && new pb.TaskFailureDetails().setErrortype(failure.type).setErrormessage(failure.message);
      const state = new pb.OrchestrationState()
        .setInstanceid(id)
        .setOrchestrationstatus(status)
        .setOutput(text(result))
        .setFailuredetails(details);
      return new pb.GetInstanceResponse().setExists(true).setOrchestrationstate(state).serializeBinary();
    },
    CompleteActivityTask: (bytes) => {
      const response = pb.ActivityResponse.deserializeBinary(bytes);
      const failure = response.getFailuredetails();
      const event = this.#event(-1);
      if (failure === undefined)
        event.setTaskcompleted(
          new pb.TaskCompletedEvent().setTaskscheduledid(response.getTaskid()).setResult(response.getResult()),
        );
      else
        event.setTaskfailed(
          new pb.TaskFailedEvent().setTaskscheduledid(response.getTaskid()).setFailuredetails(failure),
        );
      this.#deliver(response.getInstanceid(), event);
      return new Uint8Array();
    },
    CompleteOrchestratorTask: (bytes) => {
      const response = pb.OrchestratorResponse.deserializeBinary(bytes);
      const instance = this.#instances.get(response.getInstanceid());
      if (instance?.running === undefined) return new Uint8Array();
      instance.past.push(...instance.running);
      instance.running = undefined;
      const raw = fieldsOf(bytes).filter(({ number }) => number === 2);
      response.getActionsList().forEach((action, index) => this.#apply(instance, action, raw[index]?.value));
      this.#run(instance);
      return new Uint8Array();
    },
  };

  /** How an orchestration ends. */
  async ended(id: string): Promise<Ended> {
    const instance = this.#instances.get(id);
    if (instance === undefined) throw new Error(`There is no instance ${id}.`);
    return instance.ended.promise;
  }

  #event(id: number): pb.HistoryEvent {
    const now = new timestamps.Timestamp();
    now.fromDate(new Date((this.#clock = Math.max(this.#clock + 1, Date.now()))));
    return new pb.HistoryEvent().setEventid(id).setTimestamp(now);
  }

  #started(instance: Instance, input: string | undefined): pb.HistoryEvent {
    const started = new pb.ExecutionStartedEvent()
      .setName(instance.name)
      .setInput(text(input))
      .setParentinstance(instance.parent)
      .setOrchestrationinstance(
        new pb.OrchestrationInstance().setInstanceid(instance.id).setExecutionid(text(instance.executionId)),
      )
      .setCorrelationdata(text(instance.traceparent));
    return this.#event(-1).setExecutionstarted(started);
  }

  #create(
    id: string,
    name: string,
    input: string | undefined,
    traceparent: string | undefined,
    parent: pb.ParentInstanceInfo | undefined,
  ): void {
    const ended = Promise.withResolvers<Ended>();
    const instance: Instance = {
      id,
      name,
      parent,
      executionId: randomUUID(),
      traceparent,
      past: [],
      fresh: [],
      running: undefined,
      isOver: false,
      ended,
    };
    this.#instances.set(id, instance);
    instance.fresh.push(this.#started(instance, input));
    this.#run(instance);
  }

  #deliver(id: string, event: pb.HistoryEvent): void {
    const instance = this.#instances.get(id);
    if (instance === undefined || instance.isOver) return;
    instance.fresh.push(event);
    this.#run(instance);
  }

  #run(instance: Instance): void {
    if (instance.running !== undefined || instance.fresh.length === 0) return;
    const isContinued = instance.fresh[0]?.hasOrchestratorstarted() === true;
    const start = isContinued ? [] : [this.#event(-1).setOrchestratorstarted(new pb.OrchestratorStartedEvent())];
    instance.running = [...start, ...instance.fresh.splice(0)];
    const request = new pb.OrchestratorRequest()
      .setInstanceid(instance.id)
      .setExecutionid(text(instance.executionId))
      .setPasteventsList(instance.past)
      .setNeweventsList(instance.running);
    this.#send(field(1, request.serializeBinary()));
  }

  #apply(instance: Instance, action: pb.OrchestratorAction, raw: unknown): void {
    const id = action.getId();
    const task = action.getScheduletask();
    if (task !== undefined) {
      instance.past.push(
        this.#event(id).setTaskscheduled(new pb.TaskScheduledEvent().setName(task.getName()).setInput(task.getInput())),
      );
      const request = new pb.ActivityRequest()
        .setName(task.getName())
        .setInput(task.getInput())
        .setTaskid(id)
        .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid(instance.id));
      const sent = raw instanceof Uint8Array ? contentOf(contentOf(raw, 2), 5) : undefined;
      const execution = this.taskExecutionId ?? sent;
      const more = [
        ...(instance.traceparent === undefined ? [] : [field(6, field(1, instance.traceparent))]),
        ...(execution === undefined ? [] : [field(7, execution)]),
      ];
      this.#send(field(2, Buffer.concat([request.serializeBinary(), ...more])));
    }
    const child = action.getCreatesuborchestration();
    if (child !== undefined) {
      const childId = child.getInstanceid();
      const created = new pb.SubOrchestrationInstanceCreatedEvent()
        .setName(child.getName())
        .setInstanceid(childId)
        .setInput(child.getInput());
      instance.past.push(this.#event(id).setSuborchestrationinstancecreated(created));
      const parent = new pb.ParentInstanceInfo()
        .setTaskscheduledid(id)
        .setName(text(instance.name))
        .setOrchestrationinstance(
          new pb.OrchestrationInstance().setInstanceid(instance.id).setExecutionid(text(instance.executionId)),
        );
      this.#create(childId, child.getName(), child.getInput()?.getValue(), instance.traceparent, parent);
    }
    const timer = action.getCreatetimer();
    if (timer !== undefined) {
      instance.past.push(this.#event(id).setTimercreated(new pb.TimerCreatedEvent().setFireat(timer.getFireat())));
      instance.fresh.push(
        this.#event(-1).setTimerfired(new pb.TimerFiredEvent().setTimerid(id).setFireat(timer.getFireat())),
      );
    }
    const complete = action.getCompleteorchestration();
    if (complete !== undefined) this.#complete(instance, complete);
  }

  #complete(instance: Instance, complete: pb.CompleteOrchestrationAction): void {
    const status = complete.getOrchestrationstatus();
    const result = complete.getResult()?.getValue();
    if (status === pb.OrchestrationStatus.ORCHESTRATION_STATUS_CONTINUED_AS_NEW) {
      instance.executionId = randomUUID();
      instance.past = [];
      if (instance.traceparent !== undefined)
        instance.traceparent = `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
      // The episode starts before the execution.
      const episode = this.#event(-1).setOrchestratorstarted(new pb.OrchestratorStartedEvent());
      instance.fresh = [episode, this.#started(instance, result), ...complete.getCarryovereventsList()];
      return;
    }
    instance.fresh = [];
    instance.isOver = true;
    const details = complete.getFailuredetails();
    const failure = details && { type: details.getErrortype(), message: details.getErrormessage() };
    instance.ended.resolve({ status, result, failure });
    const { parent } = instance;
    const parentId = parent?.getOrchestrationinstance()?.getInstanceid();
    if (parent === undefined || parentId === undefined) return;
    const taskId = parent.getTaskscheduledid();
    const event = this.#event(-1);
    if (details === undefined) {
      event.setSuborchestrationinstancecompleted(
        new pb.SubOrchestrationInstanceCompletedEvent().setTaskscheduledid(taskId).setResult(complete.getResult()),
      );
    } else {
      event.setSuborchestrationinstancefailed(
        new pb.SubOrchestrationInstanceFailedEvent().setTaskscheduledid(taskId).setFailuredetails(details),
      );
    }
    this.#deliver(parentId, event);
  }

  // To one worker after the other.
  #send(item: Uint8Array): void {
    const stream = this.#streams[this.#next++ % Math.max(1, this.#streams.length)];
    if (stream === undefined) this.#waiting.push(item);
    else stream.write(Buffer.from(item));
  }
}
