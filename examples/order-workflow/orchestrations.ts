import { RetryPolicy, whenAll, type TOrchestrator } from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import {
  CardDeclinedError,
  chargeCard,
  releaseItems,
  reserveItem,
  shipOrder,
  type Item,
  type Order,
  type Payment,
} from "./activities.ts";

// Orchestrators say what happens in which order. They run again from the start at every step ("replay"), and still each
// one is a single span, because its identity comes from the history.

const tracer = trace.getTracer("order-workflow");

/** Reserves all items at once, takes the payment, waits for the courier's pick-up, and ships. */
export const processOrder: TOrchestrator = async function* processOrder(ctx, order: Order) {
  yield whenAll(order.items.map((item) => ctx.callActivity(reserveItem, item)));

  const amount = total(order.items);
  const payment: Payment = { orderId: order.id, card: order.card, amount };
  try {
    yield ctx.callSubOrchestrator(payOrder, payment, { instanceId: `${order.id}-payment` });
  } catch (error) {
    yield ctx.callActivity(releaseItems, order.items);
    throw error;
  }

  yield ctx.createTimer(new Date(ctx.currentUtcDateTime.getTime() + 400));
  const parcel: string = yield ctx.callActivity(shipOrder, order.id);
  return { parcel, amount };
};

/** Charges the card; a busy network is tried again, a declined card is not. */
export const payOrder: TOrchestrator = async function* payOrder(ctx, payment: Payment) {
  const retry = new RetryPolicy({
    maxNumberOfAttempts: 3,
    firstRetryIntervalInMilliseconds: 250,
    handleFailure: (failure) => failure.errorType !== CardDeclinedError.name,
  });
  const receipt: string = yield ctx.callActivity(chargeCard, payment, { retry });
  return receipt;
};

/** The price of all items. Its span is there once, although this code runs in every replay. */
function total(items: readonly Item[]): number {
  return tracer.startActiveSpan("price order", (span) => {
    const amount = items.reduce((sum, item) => sum + item.quantity * item.price, 0);
    span.setAttribute("order.amount", amount).end();
    return amount;
  });
}
