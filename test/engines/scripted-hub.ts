/** A task hub over gRPC that answers UNIMPLEMENTED to whatever a test does not implement, and sends the bytes that a test writes. */
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import services from "@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Message } from "google-protobuf";
import empty from "google-protobuf/google/protobuf/empty_pb.js";

/** The calls that a hub implements. */
export type Implemented = "hello" | "getWorkItems" | "completeOrchestratorTask" | "completeActivityTask";

type Stream = ServerWritableStream<pb.GetWorkItemsRequest, Uint8Array>;

export class ScriptedHub implements AsyncDisposable {
  readonly address: string;
  /** What workers have sent, in order. */
  readonly responses: (pb.OrchestratorResponse | pb.ActivityResponse)[] = [];
  /** The calls that were refused, in order. */
  readonly refused: string[] = [];
  readonly #server: Server;
  readonly #implemented: Set<Implemented>;
  readonly #streams: Stream[] = [];
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();

  static async start(implemented: readonly Implemented[]): Promise<ScriptedHub> {
    const server = new Server();
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return new ScriptedHub(server, port, implemented);
  }

  private constructor(server: Server, port: number, implemented: readonly Implemented[]) {
    this.address = `127.0.0.1:${port}`;
    this.#server = server;
    this.#implemented = new Set(implemented);
    // Work items are sent as bytes: of a newer protocol than that of the SDK.
    const service = {
      ...services.TaskHubSidecarServiceService,
      getWorkItems: {
        ...services.TaskHubSidecarServiceService.getWorkItems,
        responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
      },
    };
    server.addService(service, {
      hello: this.#unary("hello", () => new empty.Empty()),
      completeOrchestratorTask: this.#unary("completeOrchestratorTask", (response: pb.OrchestratorResponse) =>
        this.#take(response),
      ),
      completeActivityTask: this.#unary("completeActivityTask", (response: pb.ActivityResponse) =>
        this.#take(response),
      ),
      getWorkItems: ((stream: Stream) => {
        if (!this.#implemented.has("getWorkItems")) stream.emit("error", this.#refusal("getWorkItems"));
        else {
          this.#streams.push(stream);
          this.#change();
        }
      }) as UntypedHandleCall,
    });
  }

  /** From now on it implements this too. */
  implement(call: Implemented): void {
    this.#implemented.add(call);
  }

  /** Sends a work item, to the worker that connected last. */
  async send(bytes: Uint8Array): Promise<void> {
    await this.until(() => this.#streams.length > 0);
    this.#streams.at(-1)?.write(bytes);
  }

  /** Resolves when `isReached` is true of what workers have sent or were refused. */
  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) await this.#changed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #take(response: pb.OrchestratorResponse | pb.ActivityResponse): pb.CompleteTaskResponse {
    this.responses.push(response);
    return new pb.CompleteTaskResponse();
  }

  // As a server in Go or C# says it.
  #refusal(call: string): object {
    this.refused.push(call);
    this.#change();
    return { code: 12, details: `unknown method ${call}` };
  }

  #unary(call: Implemented, answer: (request: never) => Message): UntypedHandleCall {
    return (({ request }: ServerUnaryCall<never, Message>, callback: sendUnaryData<Message>) => {
      if (!this.#implemented.has(call)) callback(this.#refusal(call));
      else {
        callback(null, answer(request));
        this.#change();
      }
    }) as UntypedHandleCall;
  }
}
