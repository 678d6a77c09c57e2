import { whenAll, type ActivityContext, type OrchestrationContext, type Task } from "@microsoft/durabletask-js";
import { setTimeout } from "node:timers/promises";

export interface Position {
  readonly symbol: string;
  readonly shares: number;
}

interface Quote {
  readonly symbol: string;
  readonly price: number;
}

/** The exchange's bill: what we paid for, in order. */
export const bill: string[] = [];

/** Asks the exchange for a price. Each answer costs money, and takes its time. */
export async function getQuote(_: ActivityContext, { symbol }: { symbol: string }): Promise<Quote> {
  bill.push(symbol);
  await setTimeout(150);
  return { symbol, price: symbol.length * 10 + 0.5 };
}

/** What a portfolio is worth: asks for all prices at once, also for those that it needs twice. */
export async function* valuePortfolio(
  ctx: OrchestrationContext,
  positions: readonly Position[],
): AsyncGenerator<Task<unknown>, number, never> {
  const quotes: readonly Quote[] = yield whenAll(positions.map(({ symbol }) => ctx.callActivity(getQuote, { symbol })));
  return positions.reduce((sum, { shares }, index) => sum + shares * (quotes[index]?.price ?? 0), 0);
}
