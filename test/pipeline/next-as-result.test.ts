import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { expect, it } from "vitest";
import { withDurableTelemetry, type ActivityMiddleware } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";

/** The JSON that leaves as the result of an activity that returns 21. */
async function resultUnder(middleware: ActivityMiddleware): Promise<string | undefined> {
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), customOnly);
  worker.useActivityMiddleware(middleware);
  worker.addNamedActivity("step", async () => 21);
  const { promise, resolve } = Promise.withResolvers<pb.ActivityResponse>();
  const stub = {
    completeActivityTask(
      response: pb.ActivityResponse,
      _: unknown,
      callback: (error: unknown, result: object) => void,
    ) {
      resolve(response);
      callback(null, {});
    },
  };
  const request = new pb.ActivityRequest()
    .setName("step")
    .setTaskid(1)
    .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("instance"));
  void (worker as unknown as { _executeActivityInternal(...args: unknown[]): Promise<void> })._executeActivityInternal(
    request,
    "",
    stub,
  );
  const response = await promise;
  return response.getFailuredetails()?.getErrormessage() ?? response.getResult()?.getValue();
}

it.each<[string, ActivityMiddleware]>([
  [
    "async",
    async (ctx, next) => {
      const doubled = (async () => ((await next(ctx)) as number) * 2)();
      await doubled;
      ctx.setResult(doubled);
    },
  ],
  [
    "then",
    async (ctx, next) => {
      const doubled = next(ctx).then((value) => (value as number) * 2);
      await doubled;
      ctx.setResult(doubled);
    },
  ],
])(
  "A3 a promise that was set as the result is awaited, as one that an activity returns is: of %s",
  async (_, middleware) => {
    expect(await resultUnder(middleware)).toBe("42");
  },
);
