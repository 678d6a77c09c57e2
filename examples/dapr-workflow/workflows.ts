import type { WorkflowActivityContext, WorkflowContext, WorkflowRuntime } from "@dapr/dapr";
import { trace } from "@opentelemetry/api";

/** Registers the workflows of an order, and their activities. */
export function registerOrders(runtime: WorkflowRuntime): void {
  runtime
    .registerActivityWithName("reserve", async (_: WorkflowActivityContext, item: string) => `reserved ${item}`)
    .registerActivityWithName("charge", async (_: WorkflowActivityContext, item: string) =>
      // A span of the application's own.
      trace.getTracer("orders").startActiveSpan("card payment", (span) => {
        span.end();
        return `charged for ${item}`;
      }),
    )
    .registerWorkflowWithName("ship", async function* (ctx: WorkflowContext, item: string): AsyncGenerator<
      unknown,
      string,
      never
    > {
      yield ctx.createTimer(0.1);
      return `shipped ${item}`;
    })
    .registerWorkflowWithName("order", async function* (ctx: WorkflowContext, item: string): AsyncGenerator<
      unknown,
      string[],
      never
    > {
      const done: string[] = yield ctx.whenAll([ctx.callActivity("reserve", item), ctx.callActivity("charge", item)]);
      const shipped: string = yield ctx.callSubWorkflow("ship", item);
      return [...done, shipped];
    });
}
