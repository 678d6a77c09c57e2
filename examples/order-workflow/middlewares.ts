import { defineMiddleware, OrchestrationSpan, type DurableMiddleware, type MiddlewareObject } from "durable-telemetry";
import { requestApproval, type Order } from "./activities.ts";

/** Tells about every task as it starts and ends. One middleware for orchestrations and activities. */
export const auditTrail: MiddlewareObject = defineMiddleware({
  name: "auditTrail",

  async orchestration(ctx, next) {
    // The logger is silent in replays. So this line, which runs in every episode, is written once.
    ctx.logger.info(`${ctx.name} started`, ctx.instanceId);
    try {
      await next(ctx);
      ctx.logger.info(`${ctx.name} completed`, ctx.instanceId);
    } catch (error) {
      ctx.logger.error(`${ctx.name} failed: ${messageOf(error)}`, ctx.instanceId);
      throw error;
    }
  },

  async activity(ctx, next) {
    try {
      await next(ctx);
      ctx.logger.info(`${ctx.name} done`, ctx.instanceId);
    } catch (error) {
      ctx.logger.warn(`${ctx.name} failed: ${messageOf(error)}`, ctx.instanceId);
      throw error;
    }
  },
});

/**
 * Orders of more than 1000 euros wait for a person. A durable middleware: it is an async generator, so it can yield
 * durable tasks as an orchestrator does, and hold an order for days while no process is running.
 */
export const approvalPolicy: DurableMiddleware = async function* approvalPolicy(ctx, next) {
  const { orchestrationContext, input } = ctx;
  if (ctx.name === "processOrder" && isOrder(input) && worth(input) > 100_000) {
    ctx.features.get(OrchestrationSpan)?.setAttribute("order.needs_approval", true);
    yield orchestrationContext.callActivity(requestApproval, input.id);
    ctx.logger.info("waits for approval", ctx.instanceId);
    const answer: unknown = yield orchestrationContext.waitForExternalEvent("approval");
    if (answer !== "approved") throw new Error(`Order ${input.id} was not approved.`);
    ctx.logger.info("was approved", ctx.instanceId);
  }
  yield* next(ctx);
};

const worth = (order: Order): number => order.items.reduce((sum, item) => sum + item.quantity * item.price, 0);

function isOrder(input: unknown): input is Order {
  return typeof input === "object" && input !== null && "items" in input;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
