import { NoOpLogger, TaskHubGrpcWorker, type ActivityContext } from "@microsoft/durabletask-js";
import pb, { type ActivityRequest } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { work, type Variant } from "./alternate.ts";
import type { Middleware, withDurableTelemetry as WithDurableTelemetry } from "durable-telemetry";

interface Internals {
  _executeActivityInternal(request: ActivityRequest, token: string, stub: unknown): Promise<void>;
}

const stub = { completeActivityTask: (_: unknown, __: unknown, done: (error: null) => void): void => done(null) };

/** A worker with nothing in its pipeline but `innermost`; returns what runs the activity `quote` with an input in JSON. */
export function quoting(
  withDurableTelemetry: typeof WithDurableTelemetry,
  innermost: Middleware,
): (json: string) => Promise<void> {
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), {
    middlewares: () => [innermost],
  });
  worker.addNamedActivity("quote", (_: ActivityContext, { id }: { id: number }) => ({
    id,
    price: 42.5,
    currency: "EUR",
  }));
  const internals = worker as unknown as Internals;
  return (json) => {
    const request = new pb.ActivityRequest()
      .setName("quote")
      .setTaskid(1)
      .setInput(new wrappers.StringValue().setValue(json))
      .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("bench"));
    return internals._executeActivityInternal(request, "", stub);
  };
}

/** Runs the activity with one input after the other. */
export function quotes(quote: (json: string) => Promise<void>, nextInput: () => string): Variant {
  return work(async (count) => {
    for (let each = 0; each < count; each += 1) {
      await quote(nextInput());
      // Out of the microtask queue, as a worker is between work items.
      await new Promise(setImmediate);
    }
  });
}

/** A middleware that does nothing, in place of the cache. */
export const noCache: Middleware = {
  name: "none",
  activity: async (ctx, next) => {
    await next(ctx);
  },
};

/** An input of `size` bytes in JSON: some members, a list, and a long string. */
export function quoteInput(size: number, id: number): string {
  const input = {
    symbol: "ACME",
    id,
    exchange: { name: "Xetra", country: "DE", open: true },
    lines: Array.from({ length: 8 }, (_, line) => ({ line, quantity: line * 2, note: `line ${line}` })),
    text: "",
  };
  input.text = "x".repeat(Math.max(0, size - JSON.stringify(input).length));
  return JSON.stringify(input);
}
