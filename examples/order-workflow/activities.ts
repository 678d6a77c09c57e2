import type { ActivityContext } from "@microsoft/durabletask-js";
import { SpanKind, trace } from "@opentelemetry/api";
import { EventEmitter } from "node:events";
import { setTimeout } from "node:timers/promises";

// Activities do the real work. This shop's warehouse, card network and courier only take their time; what they show is
// that a span opened here is a child of the activity's span, with nothing to pass around.

/** What a customer ordered. Amounts are in cents. */
export interface Order {
  readonly id: string;
  readonly items: readonly Item[];
  readonly card: string;
}

export interface Item {
  readonly sku: string;
  readonly quantity: number;
  readonly price: number;
}

export interface Payment {
  readonly orderId: string;
  readonly card: string;
  readonly amount: number;
}

/** The card's issuer said no. Asking again does not help. */
export class CardDeclinedError extends Error {
  override readonly name = "CardDeclinedError";
}

/** What needs a person: emits `request` with an order's ID. A real shop would send mail with a link. */
export const approvalDesk: EventEmitter<{ request: [orderId: string] }> = new EventEmitter();

const tracer = trace.getTracer("order-workflow");

/** Takes one item out of stock. */
export async function reserveItem(_: ActivityContext, item: Item): Promise<string> {
  return query("UPDATE stock", async () => {
    await setTimeout(40 + 25 * item.quantity);
    return `${item.quantity} x ${item.sku}`;
  });
}

/** Puts items back into stock. */
export async function releaseItems(_: ActivityContext, items: readonly Item[]): Promise<void> {
  await query("UPDATE stock", () => setTimeout(30 * items.length));
}

/** Charges a card once. The network is busy when a card that ends in 0119 is tried first, and declines 0002. */
export async function chargeCard(_: ActivityContext, { orderId, card, amount }: Payment): Promise<string> {
  await setTimeout(120);
  if (card.endsWith("0002")) throw new CardDeclinedError(`The card ${card} was declined.`);
  if (card.endsWith("0119") && !triedCards.has(card)) {
    triedCards.add(card);
    throw new Error("The card network did not answer in time.");
  }
  await query("INSERT payment", () => setTimeout(30));
  return `${orderId}/${amount}`;
}

const triedCards = new Set<string>();

/** Hands a parcel to the courier. */
export async function shipOrder(_: ActivityContext, orderId: string): Promise<string> {
  await setTimeout(90);
  return `parcel-${orderId}`;
}

/** Asks a person to approve an order. */
export async function requestApproval(_: ActivityContext, orderId: string): Promise<void> {
  await setTimeout(20);
  approvalDesk.emit("request", orderId);
}

/** A database call, as an instrumented database client would trace it. */
async function query<T>(operation: string, run: () => Promise<T>): Promise<T> {
  return tracer.startActiveSpan("db.query", { kind: SpanKind.CLIENT }, async (span) => {
    span.setAttribute("db.query.summary", operation);
    try {
      return await run();
    } finally {
      span.end();
    }
  });
}
