import grpc from "@grpc/grpc-js";
import { TaskHubRefusal } from "../hub/errors.ts";

/** What a client gets to see of an error. */
export function statusOf(error: unknown): Partial<grpc.StatusObject> {
  if (error instanceof TaskHubRefusal) return { code: grpc.status[error.code], details: error.message };
  const details = error instanceof Error ? error.message : String(error);
  return { code: grpc.status.INTERNAL, details: `The local sidecar failed: ${details}` };
}

/** A handler of a unary call from a function that answers it, or throws. */
export function unary<Request, Response>(
  answer: (request: Request) => Response,
): grpc.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    let response: Response;
    try {
      response = answer(call.request);
    } catch (error) {
      callback(statusOf(error));
      return;
    }
    callback(null, response);
  };
}

/** Ends a stream with an error. */
export function fail<Request, Response>(call: grpc.ServerWritableStream<Request, Response>, error: unknown): void {
  call.emit("error", statusOf(error));
}
