import { InMemoryOrchestrationBackend } from "@microsoft/durabletask-js";
import { describe, expect, it } from "vitest";
import type { Delivery } from "../../src/pipeline/index.ts";
import { aroundWorkItem } from "../../src/pipeline/middleware.ts";
import { inMemoryHub } from "../registration/in-memory.ts";

interface Item {
  onResponse(callback: () => void): void;
  onDelivered(callback: (delivery: Delivery) => void): void;
}

describe("The in-memory worker", () => {
  it.each<[string, number, Delivery]>([
    ["takes", 100, "accepted"],
    ["refuses, as the history is too long", 1, "rejected"],
  ])("I4 tells whole-work-item middleware once what was answered, and what became of a response that the backend %s", async (_, size, delivery) => {
    const told: string[] = [];
    const observer = {
      name: "observer",
      activity: async (ctx: never, next: (ctx: never) => Promise<unknown>) => void (await next(ctx)),
      [aroundWorkItem]: (item: Item, run: () => unknown): unknown => {
        item.onResponse(() => told.push("responded"));
        item.onDelivered((became) => told.push(became));
        return run();
      },
    };
    const { backend, client, worker } = inMemoryHub({ use: [observer] }, new InMemoryOrchestrationBackend(size));
    worker.addNamedOrchestrator("plain", () => 1);
    const id = await client.scheduleNewOrchestration("plain");
    const processed: unknown = Reflect.apply(Reflect.get(worker, "processOrchestration"), worker, [backend.getInstance(id)]);
    if (delivery === "accepted") await processed;
    else await expect(processed).rejects.toThrow("would exceed maximum history size");
    expect(told).toEqual(["responded", delivery]);
  });
});
