import type { Order } from "./activities.ts";

/** Three orders: one meets a busy card network, one is large enough to need approval, one is declined. */
export const orders: readonly Order[] = [
  {
    id: "order-1001",
    card: "card-0119",
    items: [
      { sku: "coffee", quantity: 2, price: 1_290 },
      { sku: "filter", quantity: 1, price: 450 },
      { sku: "mug", quantity: 4, price: 890 },
    ],
  },
  {
    id: "order-1002",
    card: "card-4242",
    items: [
      { sku: "espresso machine", quantity: 1, price: 129_000 },
      { sku: "grinder", quantity: 1, price: 34_900 },
    ],
  },
  {
    id: "order-1003",
    card: "card-0002",
    items: [
      { sku: "tea", quantity: 3, price: 790 },
      { sku: "kettle", quantity: 1, price: 4_900 },
    ],
  },
];
